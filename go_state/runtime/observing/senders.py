"""The senders of an app: the context that tracers take from one is noted by the position of its message, before that can have its turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from go_state.runtime.observing.observation import Observation
    from go_state.runtime.observing.turns import Turns


class PutKnown(Protocol):
    """A put of messages, together, that calls `know(position)` before any reader can have the first of them."""

    def __call__(self, message: Any, know: Callable[[int], object], /, *others: Any) -> None:  # Any: of whichever program
        """Put the messages."""
        ...


class Senders:
    """Whoever sends to one app."""

    def __init__(self, observation: Observation | None) -> None:
        self._turns: Turns[object] | None = observation.turns if observation is not None and observation.carries else None

    def put(self, put: Callable[..., None], put_known: PutKnown) -> Callable[..., None]:
        """Return the put for senders: `put` itself, unless tracers want something carried along."""
        turns = self._turns
        if turns is None:
            return put

        def put_and_carry(*messages: object) -> None:
            know = turns.carrying(len(messages)) if messages else None
            if know is None:
                put(*messages)
            else:
                put_known(messages[0], know, *messages[1:])

        return put_and_carry

    def known(self, know: Callable[[int], object]) -> Callable[[int], object]:
        """Return what is to be called with the position of the message that the caller is about to send, and calls `know`."""
        carry = None if self._turns is None else self._turns.carrying(1)
        if carry is None:
            return know

        def both(position: int) -> None:
            carry(position)
            know(position)

        return both
