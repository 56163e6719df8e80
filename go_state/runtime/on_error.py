"""What becomes of a message that update or a command fails on: raised, or set aside.

error ──▶ on_error(message, position, error) ──▶ Raise: the run ends and raises it
└─▶ SetAside: kept as a `FailedMessage`, and the run goes on with the next message
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar, Union

from go_state.core.errors import InvalidKey, NotStorable, StoreError, UsageError
from go_state.core.ports import Producer
from go_state.runtime.effects.effect import Origin
from go_state.runtime.flow.waits import Answer, Flow

Msg = TypeVar("Msg")


@dataclass(frozen=True)
class FailedMessage(Generic[Msg]):
    """A message that was set aside: its turn was rolled back and the run went on with the next."""

    message: Msg
    position: object  # whatever the source counts in, of which no type is known here; None if it does not count
    error: Exception


@dataclass(frozen=True, slots=True)
class Raise:
    """Raise: the failing message ends the run. The default."""


@dataclass(frozen=True)
class SetAside(Generic[Msg]):
    """Put the failing message into `buffer`, as a `FailedMessage`, and go on with the next.

    A batch lists it in its result as well, and needs no buffer, nor does a durable run, whose journal keeps it; any other run or
    app needs one. The model stays what it was before the message.
    """

    buffer: Producer[FailedMessage[Msg]] | None = field(default=None)

    def __post_init__(self) -> None:
        if self.buffer is not None and not isinstance(self.buffer, Producer):
            raise UsageError(f"SetAside takes a gs.Buffer, or another object with put, not a {type(self.buffer).__qualname__}")


Decide: TypeAlias = Callable[[Any, Any, Exception], Union[Raise, SetAside[Any]]]
OnError: TypeAlias = Union[Raise, SetAside[Any], Decide]
"""A policy, or a function of the message, its position and the error that returns one."""


def decide(on_error: OnError, message: object, position: object, error: Exception) -> SetAside[object] | None:
    """Return how to set the message aside, or None if the error is to be raised."""
    policy = on_error if isinstance(on_error, (Raise, SetAside)) else on_error(message, position, error)
    if isinstance(policy, SetAside):
        return policy
    if isinstance(policy, Raise):
        return None
    raise UsageError(f"on_error returned a {type(policy).__qualname__}: it returns gs.Raise() or gs.SetAside(...)") from error


def check_on_error(on_error: object) -> None:
    """Raise `UsageError` if it cannot serve as a policy."""
    if isinstance(on_error, type) or not (isinstance(on_error, (Raise, SetAside)) or callable(on_error)):
        raise UsageError(
            "on_error is gs.Raise(), gs.SetAside(buffer), or a function of (message, position, error) that returns one"
        )


class Failures(Generic[Msg]):
    """What becomes of the messages that one run fails on: decided by the policies, and kept as they say.

    `on_error` decides on a message whose turn was rolled back, `on_failure` (by default the same) on one whose turn stays while a
    command of it has failed. Only a run that `lists` has a result to keep messages in without a buffer.
    """

    def __init__(self, on_error: OnError = Raise(), *, on_failure: OnError | None = None, lists: bool = True) -> None:
        check_on_error(on_error)
        self._on_error = on_error
        self._on_failure = on_failure or on_error
        self._lists = lists
        self.set_aside: list[FailedMessage[Msg]] = []
        self.observe: Callable[[object, object, Exception], object] | None = None  #: told of each message that was set aside

    def of_turn(self, message: Msg, position: object, error: Exception) -> SetAside[object]:
        """Return how to set the message of a rolled-back turn aside; or raise the error, with a note of the position."""
        if isinstance(error, StoreError) and not isinstance(error, (InvalidKey, NotStorable)):
            raise error  # the store has failed, not the message
        at = "" if position is None else f", position {position}"
        error.add_note(f"go_state was processing a message of type {type(message).__qualname__}{at}; the turn was rolled back")
        return _or_raise(decide(self._on_error, message, position, error), error)

    def of_command(self, origin: Origin, error: Exception) -> SetAside[object]:
        """Return how to set the message aside of which a command has failed after its turn; raises as `of_turn` does."""
        error.add_note(f"go_state was performing a command of {origin}; its turn stays")
        return _or_raise(decide(self._on_failure, origin.message, origin.position, error), error)

    def keep(self, failed: FailedMessage[Msg], policy: SetAside[Any]) -> Flow[None]:
        """Keep a message that is set aside."""
        if policy.buffer is not None:
            yield Answer(policy.buffer.put(failed), "the put of SetAside's buffer")
        elif not self._lists:
            raise UsageError(
                "SetAside() has nowhere to keep the message, because only a batch has a result that lists it: give it a buffer, "
                "gs.SetAside(gs.Buffer()), or make the run durable with store= and key="
            ) from failed.error
        if self._lists:
            self.set_aside.append(failed)
        if self.observe is not None:
            self.observe(failed.message, failed.position, failed.error)


def _or_raise(policy: SetAside[object] | None, error: Exception) -> SetAside[object]:
    if policy is None:
        raise error
    return policy
