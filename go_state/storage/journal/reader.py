"""A reader of a journal: a consumer whose messages are on disk, and, with a name, its commits too."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from go_state.buffer.consumer import Consumer
from go_state.buffer.locks import Lock
from go_state.core.errors import TimedOut
from go_state.system.own_thread import OwnThread
from go_state.waking.deadlines import check_timeout, deadline

if TYPE_CHECKING:
    from go_state.storage.journal.journal import Journal

Msg = TypeVar("Msg")

GROUP = 4096  # messages: what a crash may take of a journal whose durability is "group"


class JournalConsumer(Consumer[Msg]):
    """A reader of a journal; with a name its commits are durable."""

    def __init__(self, journal: Journal[Msg], tail: Any, lock: Lock, start: Any, name: str) -> None:
        super().__init__(journal, tail, lock, start)
        self.name = name
        self._journal = journal

    @property
    def journal(self) -> Journal[Msg]:
        """The journal that it reads."""
        return self._journal

    def has_moved(self) -> bool:
        """Tell whether it has a name, and has committed more than is on disk."""
        return bool(self.name) and self._journal._cursors.get(self.name) != self.committed

    def take(self, limit: int) -> list[Msg]:
        """Read up to `limit` messages that are on disk; those that are not yet are committed first."""
        journal = self._journal
        if journal.has_staged or (self.position >= journal._tail.durable and (journal._entries or journal._tail.pending)):
            journal.flush()
        return super().take(limit)

    def take_written(self, limit: int) -> list[Msg]:
        """Read up to `limit` messages as `take` does, of those that are in memory: it asks no disk, and may find none; see `needs_disk`.

        Between `prepare` and this others may have read so much that the block is not kept any more.
        """
        with self._lock:
            return self._take(limit) if self._journal._tail.is_in_memory(self.position) else []

    @property
    def thread(self) -> OwnThread:
        """The thread in which the journal's async faces use the disk."""
        return self._journal.thread

    def needs_disk(self) -> bool:
        """Tell whether the next message has to be written or read first, which `prepare` does."""
        return self._journal.needs_flush(self) or not self._journal.is_in_memory(self.position)

    def prepare(self) -> None:
        """Write what is to be written before the next message can be taken, and read the block in which it lies."""
        journal = self._journal
        if journal.needs_flush(self):
            journal.flush()
        journal.bring(self.position)

    async def get_async(self, timeout: float | None = None) -> Msg:
        """Return the next message as `get` does, waiting on the event loop, with the disk's part in a thread."""
        if timeout is not None:
            check_timeout(timeout)
        until = deadline(timeout)
        await self._give_way()
        while True:
            if self.needs_disk():
                await self._journal.thread.call(self.prepare)
                self._has_given_way()
            if messages := self.take_written(1):
                return messages[0]
            await self._wait_until(until, timeout)
            self._has_given_way()

    async def _wait_until(self, until: float | None, timeout: float | None) -> None:
        try:
            await self.wait_async(None if until is None else max(until - time.monotonic(), 0))
        except TimedOut:
            raise TimedOut(f"nothing came within {timeout} seconds; nothing was consumed") from None

    async def commit_async(self) -> int:
        """Take what was read for done as `commit` does, with the disk's part in a thread."""
        count = super().commit()
        if self._is_due():
            await self._journal.thread.finish(self._journal.flush)
        return count

    def _look(self) -> bool:
        """Count what is staged as well: it is read once it is written."""
        return self._journal.has_staged or super()._look()

    def commit(self) -> int:
        """Take what was read for done. With a name it is durable at the next flush, and at once where the durability is "put"."""
        count = super().commit()
        if self._is_due():
            self._journal.flush()
        return count

    def settle(self, count: int, messages: Sequence[Msg] = (), follow: bool = False, /) -> Sequence[Msg]:
        """Commit and append as one step, in memory and, at the next flush, on disk."""
        journal = self._journal
        if not messages:
            return super().settle(count)
        encoded, times, number = journal._encode(messages), journal._now(len(messages)), len(messages)
        following: Sequence[Msg] = ()
        with self._lock:
            journal._absorb()
            tail = journal._tail
            follows = follow and self.position == tail.end
            # No call until all has moved, so that Ctrl-C finds it before or after the step: see Buffer._absorb.
            tail.pending += encoded
            tail.times += times
            tail._items += messages
            tail.end += number
            self.committed += count
            if follows:
                self.position += number
                following = messages
            journal._wake_all(journal._wakers)
        return following

    def _is_due(self) -> bool:
        """Tell whether the commits have to be on disk now."""
        if not self.name:
            return False
        return self._journal._at_once or self.committed - self._journal._cursors.get(self.name, 0) >= GROUP

    def close(self) -> None:
        """End the reader, its commits on disk. In a forked child it is its parent's, and nothing is done."""
        if self._journal.is_inherited:
            return
        try:
            if not self._closed and self.has_moved() and not self._journal._ended:
                self._journal.flush()
        finally:
            super().close()
            with self._lock:
                self._journal._let_go()

    async def aclose(self) -> None:
        """End the reader as `close` does, with the disk's part in a thread, and wait until the event loop is free of it."""
        if self._journal.is_inherited:
            return
        try:
            await self._journal.thread.finish(self.close)
        finally:
            await super().aclose()
            if not self._journal.is_read:
                await self._journal.thread.aclose()
