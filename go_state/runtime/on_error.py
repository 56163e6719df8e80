"""What a message does that update or its commands fail on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar, Union

from go_state.core.errors import UsageError
from go_state.core.ports import Producer

Msg = TypeVar("Msg")


@dataclass(frozen=True)
class FailedMessage(Generic[Msg]):
    """A message that was set aside: its turn was rolled back and the run went on with the next."""

    message: Msg
    position: Any  # whatever the source counts in; None where it does not count
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


def decide(on_error: OnError, message: object, position: object, error: Exception) -> SetAside[Any] | None:
    """Return how to set the message aside, or None when the error is to be raised."""
    policy = on_error if isinstance(on_error, (Raise, SetAside)) else on_error(message, position, error)
    if isinstance(policy, SetAside):
        return policy
    if isinstance(policy, Raise):
        return None
    raise UsageError(f"on_error returned a {type(policy).__qualname__}: it returns gs.Raise() or gs.SetAside(...)") from error


def check_on_error(on_error: object) -> None:
    """Raise `UsageError` when it cannot serve as a policy."""
    if isinstance(on_error, type) or not (isinstance(on_error, (Raise, SetAside)) or callable(on_error)):
        raise UsageError(
            "on_error is gs.Raise(), gs.SetAside(buffer), or a function of (message, position, error) that returns one"
        )
