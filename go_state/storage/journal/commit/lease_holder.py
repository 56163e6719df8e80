"""Whether this process may write a journal, and what it knows of what is on disk.

Without the lease another process may write at any time: then what is on disk is looked at anew (`refresh`), and readers are woken, if
the store can, when the other has written (`follow`). With it nobody else writes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from go_state.buffer.log import Log
from go_state.storage.journal.commit.lease_queue import LeaseQueue
from go_state.storage.journal.tail import Positions, Tail
from go_state.storage.records.lease import IfHeld, LeaseWait
from go_state.storage.records.records import Records
from go_state.system.own_thread import OwnThread


class Right(Enum):
    """Whether this process may write."""

    UNREAD = auto()  # it may not, and nothing on disk was looked at
    READING = auto()  # it may not: another may write at any time
    HELD = auto()  # the lease is ours
    LOST = auto()  # another has taken the journal over: what is not written here never will be
    ENDED = auto()  # the store is closed: nothing is read or written any more


class LeaseHolder:
    """Takes the lease of one journal and gives it back. `flushing` guards taking it, the log's lock what is known of the disk."""

    def __init__(
        self,
        records: Records,
        log: Log[Any],
        tail: Tail[Any],
        positions: Positions,
        queue: LeaseQueue,
        *,
        before: Callable[[], object] | None,
        taken: Callable[[], object],
        thread: OwnThread,
    ) -> None:
        self.flushing = threading.Lock()  #: held around a flush, and taken before the log's lock
        self.queue = queue  #: those who wait for the lease
        self.positions = positions
        self._records = records
        self._log = log
        self._tail = tail
        self._before = before  # finishes the journal that was here before, which may have failed when it was closed
        self._taken = taken  # called with the log's lock held, when the lease is ours
        self._thread = thread
        self.right = Right.UNREAD  #: what this process may do now
        self._end_following: Callable[[], object] | None = None

    @property
    def is_held(self) -> bool:
        """Whether the lease is ours, so that nobody else writes; also after it was lost, when everything that writes raises."""
        return self.right is Right.HELD or self.right is Right.LOST

    @property
    def is_lost(self) -> bool:
        """Whether another process has taken the journal over."""
        return self.right is Right.LOST

    @property
    def is_ended(self) -> bool:
        """Whether the store was closed."""
        return self.right is Right.ENDED

    # ------------------------------------------------------------------ taking it

    def acquire(self, if_held: IfHeld | None = None, *, given_up: LeaseWait | None = None) -> None:
        """Take the lease, which the first write does otherwise; `LeaseHeld` if another process has it, or wait for it.

        While it is waited for nothing else of the journal waits. `Closed` if the journal is closed meanwhile, or `given_up` is set.
        """
        if self.is_held:
            return
        try:
            if (if_held or self.queue.if_held) == "wait":
                self.queue.wait(given_up)
            with self.flushing:
                self.take()
        except BaseException:  # nobody else would give back a lease that nobody is known to have
            with self.flushing:
                if not self.is_held:
                    self.queue.release()
            raise

    async def acquire_async(self) -> None:
        """Take the lease as `acquire` does, in a thread: one of its own if it is waited for, and one however many tasks wait."""
        if self.is_held:
            return
        if self.queue.if_held == "wait":
            await self.queue.wait_async(lambda wait: self.acquire(given_up=wait), lambda: self.is_held)
        else:
            await self._thread.call(self.acquire)

    def take(self) -> None:
        """Take the lease, if it is not ours yet, and look what others have written before. `flushing` held, and not the log's lock."""
        if self.is_held:
            return
        self.queue.take()
        try:
            self._finish_before()
            self._records.take_over(self.queue.token)
            self._know(taken=True)
        except BaseException:  # a full disk, say: nobody else would give back a lease that nobody is known to have
            if not self.is_held:
                self.queue.release()
            raise

    def lose(self) -> None:
        """Called when a write has found that another process has taken the journal over."""
        self.right = Right.LOST

    # ------------------------------------------------------------------ looking at the disk

    def look(self) -> None:
        """Read the journal's beginning and end and its readers' positions, unless they are known."""
        if self.right is Right.UNREAD:
            with self.flushing:
                self._finish_before()
                self._records.refresh()
                self._know(taken=False)

    def _finish_before(self) -> None:
        before, self._before = self._before, None
        if before is not None:
            before()

    def _know(self, *, taken: bool) -> None:
        """Go on with what was read, in the transaction that has left our token if the lease was `taken`."""
        with self._log.lock:
            self._take_in()
            if taken:
                self.right = Right.HELD
                self._taken()
            elif self.right is Right.UNREAD:
                self.right = Right.READING

    def _take_in(self) -> None:
        self.positions.stored = dict(self._records.reached)
        self._tail.catch_up()

    def follow(self) -> None:
        """Wake readers when another process writes, if the store can; until this one holds the lease."""
        if self._end_following is None:
            self._end_following = self._records.store.backend.follow(self._records.name, self.refresh)

    def refresh(self) -> None:
        """Read what another process has written since; while this process holds the lease no other writes."""
        if self.is_held or self.is_ended:
            return
        self._records.refresh()
        with self._log.lock:
            if not self.is_held:  # taken meanwhile, by which all of this is known, and more
                self._take_in()
                self._log.wake_sleepers()

    def slowest(self) -> int | None:
        """Return how far the named reader that is furthest behind has come, on disk; None if there is none."""
        with self._log.lock:
            return min(self.positions.stored.values(), default=None)

    # ------------------------------------------------------------------ giving it back

    def release(self) -> None:
        """Give the lease back."""
        if self.right is Right.HELD:
            self.right = Right.READING
        self.queue.release()
        following, self._end_following = self._end_following, None
        if following is not None:
            following()

    def end(self) -> None:
        """Give the lease back for good: the store is closed."""
        self.release()
        self.right = Right.ENDED

    def leave_to_parent(self, lock: threading.Lock) -> None:
        """In a forked child: the lease is the parent's, and so are the locks, which the stand-in takes the place of."""
        self._end_following = None  # the thread that listens to other writers is the parent's
        self.flushing = lock
        self.queue.leave_to_parent(lock)
        self.end()
