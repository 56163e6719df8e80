"""The cursor of a journal's reader: its messages are read once they are on disk, and, with a name, its commits are written too.

A cursor writes nothing itself. If the next message has to be written before it can be read, it asks the journal's `Writer` for a flush.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from go_state.buffer.cursor import TRIM_STEP, Cursor, Start
from go_state.core.errors import ConcurrentGet
from go_state.storage.journal.parts import Parts
from go_state.storage.records.keys import check_reader_name
from go_state.storage.records.writes.together import Steps
from go_state.system.own_thread import OwnThread

Msg = TypeVar("Msg")


class JournalCursor(Cursor[Msg]):
    """The place of one reader in a journal."""

    def __init__(self, parts: Parts[Msg], start: Start, name: str) -> None:
        super().__init__(parts.log, start, name)
        self._tail = parts.tail
        self._lease = parts.lease
        self._stage = parts.stage
        self._positions = parts.positions
        self._writer = parts.writer
        self._kind = parts.kind
        self.thread: OwnThread = parts.writer.thread  #: in which the journal's async methods use the disk

    def take(self, limit: int) -> list[Msg]:
        """Read up to `limit` messages that are on disk; those that are not yet are flushed first."""
        if self.is_blocked():
            self._writer.flush()
        with self.log.lock:
            return self.log.take(self, limit)

    def is_blocked(self) -> bool:
        """Return whether a read has to wait for a flush: the next message, or what was staged, is not on disk."""
        if (self.log.inbox or self._tail.pending) and self.position >= self._tail.durable:
            return True
        return bool(self._stage.staged) and self._writer.rules.has_staged

    def take_written(self, limit: int) -> list[Msg]:
        """Read up to `limit` messages of those that are in memory: it asks no disk, and may find none, also after `prepare`."""
        with self.log.lock:
            return self.log.take(self, limit) if self._tail.is_in_memory(self.position) else []

    def needs_disk(self) -> bool:
        """Return whether the next message has to be written or read first, which `prepare` does."""
        if self._writer.rules.needs_flush(self):
            return True
        with self.log.lock:
            return not self._tail.is_in_memory(self.position)

    def prepare(self) -> None:
        """Write what has to be written before the next message can be taken, and read the block that holds it."""
        self._writer.take_steps(self.prepare_in_steps())

    def prepare_in_steps(self) -> Steps[None]:
        """Do the same; what is written is yielded, to be written with what other journals write."""
        if self._writer.rules.needs_flush(self):
            yield from self._writer.flush_in_steps()
        with self.log.lock:
            if self._tail.is_in_memory(self.position):
                return
        # Not while the lock is held: an event loop that wants it would wait for the disk.
        if (found := self._tail.fetch(self.position)) is not None:
            with self.log.lock:
                self._tail.keep(found)

    def has_more(self) -> bool:
        """Count what is staged as well: it can be read once it is written. Lock held."""
        return self._writer.rules.has_staged or super().has_more()

    # ------------------------------------------------------------------ moving

    def commit(self) -> int:
        """Commit what was read. With a name it is on disk at the next flush, and at once if the durability is "put"."""
        count = super().commit()
        if self._writer.rules.commit_is_due(self):
            self._writer.flush()
        return count

    async def commit_async(self) -> int:
        """Commit as `commit` does, with the disk's part in a thread."""
        count = super().commit()
        if self._writer.rules.commit_is_due(self):
            await self.thread.finish(self._writer.flush)
        return count

    def settle(self, count: int, messages: Sequence[Msg] = (), follow: bool = False, /) -> Sequence[Msg]:
        """Commit and append as one step, in memory and, at the next flush, on disk."""
        if not messages:
            with self.log.lock:
                self.committed += count
                if self.committed - self._tail.start >= TRIM_STEP or self.log.closers:
                    self.log.on_commit()
            return ()
        encoded, times, number = self._kind.encode(messages), self._writer.now(len(messages)), len(messages)
        following: Sequence[Msg] = ()
        log, tail = self.log, self._tail
        with log.lock:
            log.absorb()
            follows = follow and self.position == tail.end
            # No call until all has moved, so that Ctrl-C finds it before or after the step: see `Retained`.
            tail.pending += encoded
            tail.times += times
            tail.items += messages
            tail.end += number
            self.committed += count
            if follows:
                self.position += number
                following = messages
            log.wake_sleepers()
        return following

    def is_on_disk(self, end: int) -> bool:
        """Return whether every message before the position is on disk; from any thread."""
        return self._tail.durable >= end

    # ------------------------------------------------------------------ closing

    def close(self) -> None:
        """End the reader, its commits on disk. In a forked child it is its parent's, and nothing is done."""
        if self.log.in_parent:
            return
        try:
            if not self.closed and self._positions.has_moved(self) and not self._lease.is_ended:
                self._writer.flush()
        finally:
            with self.log.lock:
                self._positions.remember_left(self)
                self.close_locked()
                self._writer.let_go_locked()

    async def close_async(self) -> None:
        """End the reader as `close` does, with the disk's part in a thread, and wait until the event loop is free of it."""
        if self.log.in_parent:
            return
        try:
            await self.thread.finish(self.close)
        finally:
            if not self.closed:  # the thread could not be begun
                self.close()
            if not self.log.cursors:
                await self.thread.aclose()


def open_cursor(parts: Parts[Msg], start: Start, name: str) -> JournalCursor[Msg]:
    """Open a reader; see `Journal.consumer`."""
    log = parts.log
    if name:
        check_reader_name(parts.records.prefix, name)
        parts.lease.acquire()  # its commits are writes, and what another process has committed under the name has to be known
    cursor: JournalCursor[Msg] | None = None
    try:
        with log.lock:
            if name and any(each.name == name for each in log.cursors):
                raise ConcurrentGet(
                    f"the reader {name!r} of the journal {parts.records.name!r} is open already: end the run that it belongs to, or "
                    f"give another reader a name of its own"
                )
            log.look()
            stored = parts.positions.start_of(name) if name else None
            cursor = JournalCursor(parts, start if stored is None else stored, name)
            log.cursors.append(cursor)
        if not parts.lease.is_held:
            parts.lease.follow()
    except BaseException:  # Ctrl-C: nobody would have it, to close it
        log.cursors[:] = [each for each in log.cursors if each is not cursor]
        raise
    return cursor
