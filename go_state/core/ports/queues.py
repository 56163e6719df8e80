"""Queues: what gives a run its messages, and takes those that it sends."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

Msg = TypeVar("Msg")
Put = TypeVar("Put", contravariant=True)
Got = TypeVar("Got", covariant=True)


@runtime_checkable
class Producer(Protocol[Put]):
    """Takes messages. Under an event loop `put` may return an awaitable."""

    def put(self, *messages: Put) -> Awaitable[object] | object:
        """Append the messages in order, all or none, without waiting for a reader: a bounded queue would wait for itself."""
        ...


@runtime_checkable
class Consumer(Protocol[Got]):
    """Gives messages in the order they were put. Under an event loop each method may return an awaitable."""

    def get(self) -> Awaitable[Got] | Got:
        """Wait for the next message; `Closed` or `Ended` when there will be none: `UsedAfterClose` and `AppEnded` are failures."""
        ...

    def commit(self) -> Awaitable[object] | object:
        """Note that the messages read so far are processed."""
        ...

    def rollback(self) -> Awaitable[object] | object:
        """Give the messages read since the last commit again."""
        ...


@runtime_checkable
class Reader(Protocol[Msg]):
    """A consumer that gives many messages at once."""

    @property
    def committed(self) -> int:
        """The position of the first message that is not committed."""
        ...

    def take(self, limit: int) -> list[Msg]:
        """Read up to `limit` messages without waiting; an empty list when there is none."""
        ...

    def diff(self) -> int:
        """Return how many messages there are still to take; from any thread."""
        ...

    def wait(self, timeout: float | None = None) -> None:
        """Block the thread until there is something to take; `Closed` when there will be nothing, `TimedOut` after the seconds."""
        ...

    async def wait_async(self, timeout: float | None = None) -> None:
        """Wait on the event loop until there is something to take. Raises like `wait`."""
        ...

    def wake(self) -> None:
        """End the wait that is running, or else the next one, at once; from any thread."""
        ...

    def rollback(self) -> object:
        """Give the messages taken since the last commit again; `NothingPending` when there are none."""
        ...

    def settle(self, count: int, messages: Sequence[Msg] = (), follow: bool = False, /) -> Sequence[Msg]:
        """Commit `count` more of the messages taken and append the reader's own messages, as one step, even to a closed log.

        With `follow`, if all that came before was taken already, they count as taken too and are returned.
        """
        ...


@runtime_checkable
class Log(Protocol[Put]):
    """A lossless ordered log with one position per reader."""

    def put(self, *messages: Put) -> None:
        """Append the messages in order."""
        ...

    def consumer(self) -> Any:
        """Open a `Reader` that is also a context manager, at the oldest message still there."""
        ...
