"""What a durable run does with a message that is set aside: replays pass over it as well."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from go_state.core.ports import Producer
from go_state.runtime.on_error import FailedMessage, OnError, Raise, SetAside, decide
from go_state.storage.journal.journal import Journal


class DeadLetters:
    """Decides what becomes of a failing message, and has the journal remember those that are set aside; `kept` is called then."""

    def __init__(self, journal: Journal[Any], on_error: OnError, kept: Callable[[], object]) -> None:
        self._journal = journal
        self._on_error = on_error
        self._kept = kept

    def decide(self, message: object, position: object, error: Exception) -> Raise | SetAside[object]:
        """Return the policy for the message; one that sets it aside does so into a `DeadLetter`."""
        policy = decide(self._on_error, message, position, error)
        if policy is None or not isinstance(position, int):
            return Raise()
        return SetAside(DeadLetter(self._remember, position, error, policy.buffer))

    def _remember(self, position: int, kind: str) -> None:
        self._kept()
        self._journal.run_record.set_aside(position, kind)


class DeadLetter:
    """Takes one message that is set aside: into the user's buffer, if there is one, and then into what replays pass over."""

    def __init__(
        self,
        remember: Callable[[int, str], object],
        position: int,
        error: Exception,
        buffer: Producer[FailedMessage[object]] | None,
    ) -> None:
        self._remember = remember
        self._position = position
        self._kind = type(error).__name__
        self._buffer = buffer

    def put(self, *failed: FailedMessage[object]) -> Awaitable[None] | None:
        """Put the message into the user's buffer and remember its position; an awaitable if the buffer's put returns one."""
        taken = None if self._buffer is None else self._buffer.put(*failed)
        if inspect.isawaitable(taken):
            return self._remember_after(taken)
        self._remember(self._position, self._kind)
        return None

    async def _remember_after(self, taken: Awaitable[object]) -> None:
        await taken
        self._remember(self._position, self._kind)
