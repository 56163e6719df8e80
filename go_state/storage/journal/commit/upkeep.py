"""What a user changes in a journal besides putting messages: pass over one, forget a reader, forget what is old."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from go_state.buffer.log import Log
from go_state.core.errors import UsageError
from go_state.storage.journal.commit.lease_holder import LeaseHolder
from go_state.storage.journal.commit.writer import Writer
from go_state.storage.journal.run_record import RunRecord
from go_state.storage.journal.tail import Tail
from go_state.storage.records.records import PROGRAM, SNAPSHOT, Records
from go_state.system.crash_points import reach


class Upkeep:
    """The upkeep of one journal; each of its methods takes the lease."""

    def __init__(
        self, records: Records, log: Log[Any], tail: Tail[Any], lease: LeaseHolder, writer: Writer[Any], run_record: RunRecord
    ) -> None:
        self._records = records
        self._log = log
        self._tail = tail
        self._lease = lease
        self._writer = writer
        self._run_record = run_record

    def skip(self, position: int) -> None:
        """Set a message aside; see `Journal.skip`."""
        with self._writer.exclusive(), self._log.lock:
            start, end, done = self._tail.start, self._tail.end, max(self._lease.positions.stored.values(), default=0)
            if any(each.name for each in self._log.cursors):
                raise UsageError(f"the journal {self._records.name!r} is being read: end its program first")
            if not isinstance(position, int) or not max(start, done) <= position < end:
                first = max(start, done)
                can_be = (
                    f"a message from position {first} to {end - 1} can be"
                    if first < end
                    else "every message is processed: none can be"
                )
                raise UsageError(f"{can_be} skipped, not {position!r}")
            self._run_record.set_aside_locked(position, "skipped")
        self._writer.flush()

    def remove_reader(self, name: str) -> None:
        """Forget how far a named reader has come; see `Journal.remove_reader`."""
        journal = self._records.name
        with self._writer.exclusive(), self._log.lock:
            stored = self._lease.positions.stored
            if any(each.name == name for each in self._log.cursors):
                raise UsageError(f"the reader {name!r} of the journal {journal!r} is open: close it first")
            if name not in stored or name == SNAPSHOT:
                there = ", ".join(repr(each) for each in stored if each != SNAPSHOT) or "none"
                raise UsageError(f"the journal {journal!r} has no reader {name!r}: there are {there}")
            if name == PROGRAM and SNAPSHOT in stored:
                raise UsageError(f"the reader {name!r} is the program's, which goes on from it: it stays with its snapshots")
            self._records.remove_reader(name)
            del stored[name]

    def truncate(self, before: int) -> int:
        """Forget the messages before the position; see `Journal.truncate`."""
        with self._writer.exclusive():
            with self._log.lock:
                who, at = min(self._lease.positions.stored.items(), key=lambda item: item[1], default=("", before))
            if at < before:
                who = "the newest snapshot stands at" if who == SNAPSHOT else f"the reader {who!r} has only come to"
                raise UsageError(f"{who} {at}: truncate before that at most")
            try:
                reach("before-truncate")
                self._records.truncate(before)
                reach("after-truncate")
                with self._log.lock:
                    self._tail.catch_up()
            except BaseException:  # also Ctrl-C: it may have happened all the same
                self._look_where_it_begins()
                raise
            return self._records.start

    def _look_where_it_begins(self) -> None:
        with suppress(Exception):  # the first error tells more
            self._records.refresh()
        with self._log.lock:
            self._tail.catch_up()
