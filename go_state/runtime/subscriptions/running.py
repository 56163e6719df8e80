"""One subscription that is running, and what it brings to its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from go_state.core.subscriptions import At, Every, Signal, Stream
from go_state.runtime.effects.place import Origin
from go_state.system.timers import Timer

if TYPE_CHECKING:
    import asyncio

Asked: TypeAlias = Every[Any] | At[Any] | Stream[Any] | Signal[Any]  # their messages are the program's business


class Running:
    """One subscription that is running."""

    __slots__ = ("beat", "due", "over", "room", "signal", "sub", "timer")

    def __init__(self, sub: Asked) -> None:
        self.sub = sub  # as the newest model has it
        self.over = False
        self.beat = (
            0.0  # how many messages will have been taken when the last beat of an `every` has; endless until it is processed
        )
        self.due = 0.0  # when the next beat is, of the monotonic clock
        self.timer: Timer | None = None
        self.signal: int | None = None  # the one that it listens for
        self.room: asyncio.Semaphore | None = None  # how many more items of a stream may wait


class Produced(NamedTuple):
    """A subscription has something to send."""

    running: Running
    item: object = None

    @property
    def origin(self) -> Origin:
        """The origin of the message, for `on_error`."""
        return Origin(self.running.sub, None, "subscription")


class Broken(NamedTuple):
    """A stream has raised."""

    running: Running
    error: BaseException

    @property
    def origin(self) -> Origin:
        """The origin of the message, for `on_error`."""
        return Origin(self.running.sub, None, "subscription")
