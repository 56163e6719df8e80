"""What a feed needs of a log on disk, so that an event loop never waits for the disk."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol, TypeVar, runtime_checkable

from go_state.core.ports import Log, Reader
from go_state.system.own_thread import OwnThread

Msg = TypeVar("Msg")
Put = TypeVar("Put", contravariant=True)


@runtime_checkable
class DiskReader(Reader[Msg], Protocol[Msg]):
    """A reader whose messages are on disk: on an event loop it takes what is in memory, and has the rest read or written first."""

    @property
    def thread(self) -> OwnThread:
        """The thread in which the disk is used on behalf of an event loop."""
        ...

    def take_written(self, limit: int) -> list[Msg]:
        """Read up to `limit` messages without writing anything; without the disk when `needs_disk()` is false."""
        ...

    def needs_disk(self) -> bool:
        """Return whether the next message has to be written or read first."""
        ...

    def prepare(self) -> None:
        """Write or read what the next message needs."""
        ...

    def prepare_in_steps(self) -> Generator[object, None, object]:
        """Do the same in steps; see `Stepwise`."""
        ...

    async def commit_async(self) -> int:
        """Commit what was taken, waiting on the event loop for the disk."""
        ...


@runtime_checkable
class DiskLog(Log[Put], Protocol[Put]):
    """A log on disk, whose readers are `DiskReader`s."""

    @property
    def thread(self) -> OwnThread:
        """The thread in which the disk is used on behalf of an event loop."""
        ...
