"""When a journal is flushed: nobody else decides.

A put asks `is_full`, a commit `commit_is_due`; a run asks `needs_flush` between two chunks of messages. A read flushes if its cursor
`is_blocked`: the message that it is to get is not on disk.
"""

from __future__ import annotations

import time
from typing import Generic, Protocol, TypeVar

from go_state.buffer.log import Log
from go_state.buffer.retained import Place
from go_state.buffer.statistics import Backlog
from go_state.storage.journal.commit.group_commit import GroupCommit
from go_state.storage.journal.commit.lease_holder import LeaseHolder
from go_state.storage.journal.run_record import RunRecord
from go_state.storage.journal.tail import Positions, Tail
from go_state.storage.records.records import PROGRAM

Msg = TypeVar("Msg")

GROUP = 4096  # messages: what a crash may take of a journal whose durability is "group"


class Reading(Place, Protocol):
    """The place of a reader that knows whether its next message can be read."""

    def is_blocked(self) -> bool:
        """Return whether a read has to wait for a flush."""
        ...


class FlushRules(Generic[Msg]):
    """What waits to be written, and whether its sender waits for the disk. It changes nothing."""

    def __init__(
        self,
        log: Log[Msg],
        tail: Tail[Msg],
        stage: GroupCommit[Msg],
        lease: LeaseHolder,
        run_record: RunRecord,
        positions: Positions,
        *,
        at_once: bool,
    ) -> None:
        self.at_once = at_once  #: whether puts and commits are on disk when they return: the durability "put"
        self._log = log
        self._tail = tail
        self._stage = stage
        self._lease = lease
        self._run_record = run_record
        self.positions = positions  #: how far named readers have come

    @property
    def is_full(self) -> bool:
        """Whether as many messages wait to be written as a crash may take: whoever puts one more flushes first."""
        return len(self._log.inbox) + len(self._tail.pending) >= GROUP

    @property
    def has_staged(self) -> bool:
        """Whether messages can be written that have no position yet."""
        return bool(self._stage.staged) and self._lease.is_held and self._stage.waiting

    @property
    def is_unused(self) -> bool:
        """Whether the lease is not ours, and no message waits for it to be."""
        return not (self._lease.is_held or self._stage.waiting)

    def has_unwritten(self) -> bool:
        """Return whether there is something to write."""
        with self._log.lock:
            self._log.absorb()
            noted = self._run_record.has_unwritten or self._run_record.has_unwritten_wake
            return bool(self._tail.pending or self._stage.waiting or noted or self.positions.moved())

    def backlog(self, position: int | None) -> Backlog:
        """Return what waits from the position on, or what is not on disk, with what waits for the lease; it asks no disk."""
        log, tail = self._log, self._tail
        with log.lock:
            log.absorb()
            position = tail.durable if position is None else position
            size = max(tail.end - position, 0)
            at = tail.entered_in_memory(position) if size else self._stage.oldest
            age = None if at is None else max(time.time() - at, 0.0)
            return Backlog(size + self._stage.size, age, log.times.rate(tail.end, log.clock()))

    def commit_is_due(self, cursor: Place) -> bool:
        """Return whether a reader's commits have to be on disk now."""
        return bool(cursor.name) and (self.at_once or self._is_far_ahead(cursor))

    def needs_flush(self, cursor: Reading) -> bool:
        """Return whether a run, or a task, should flush before it takes more.

        It does if a read blocks, or if as much waits as a crash may take; the rest, such as commits, is written when the reader has
        come to the end of the journal.
        """
        if cursor.is_blocked() or self.is_full:
            return True
        has_unwritten, at_end = self._run_record.has_unwritten, cursor.position >= self._tail.end
        if not (has_unwritten or self.positions.has_moved(cursor)):
            return False
        if has_unwritten or self._is_far_ahead(cursor):
            return self._is_far_ahead(cursor) or self.at_once or at_end
        # A program's run says itself when its cursor has to be on disk: until then a replay finds its turns again.
        return cursor.name != PROGRAM and (self.at_once or at_end)

    def is_moved_or_noted(self, cursor: Place) -> bool:
        """Return whether a run has come further, or has another time to be woken, than is on disk."""
        return self.positions.has_moved(cursor) or self._run_record.has_unwritten_wake

    def marks_are_due(self, cursor: Place) -> bool:
        """Return whether turns with effects are to be marked on disk now: at the end of a backlog, or each time with "put"."""
        return self.positions.has_moved(cursor) and (self.at_once or cursor.position >= self._tail.end)

    def is_unwritten(self, cursor: Reading) -> bool:
        """Return whether the disk does not know all that the reader has done."""
        return cursor.is_blocked() or self.positions.has_moved(cursor) or self._run_record.has_unwritten

    def _is_far_ahead(self, cursor: Place) -> bool:
        return cursor.committed - self.positions.stored.get(cursor.name, 0) >= GROUP
