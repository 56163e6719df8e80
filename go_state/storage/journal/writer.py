"""How a journal gets to disk: one flush, one transaction.

Messages enter in memory and lie there encoded until a *flush* writes them, the cursors of named readers and what else belongs
together in one synced transaction. There is no thread that flushes: whoever needs something durable does, and takes everybody's
messages along. The order inside a flush:

    take the lease, once            nobody else writes from then on
    enter what is staged            under the log's lock: from here on it has a position
    make the entry                  under the log's lock: all of it is of one moment
    write it                        without the lock: an event loop that wants the lock would wait for the disk
    count it as written             under the log's lock: readers are woken, senders told

An exception such as Ctrl-C may come between any two steps, and belongs to this thread alone. Before the write begins the writer is
*unsure*; it is sure again once the entry is counted as written or known not to be. A flush that finds the writer unsure first looks
at the disk: the lease is ours, so whatever is there is ours.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from time import time_ns
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

from go_state.buffer.log import Log
from go_state.buffer.statistics import Backlog
from go_state.core.errors import Closed, Conflict, LeaseHeld, StoreFull
from go_state.storage.journal.group_commit import GroupCommit, InHand, Pending
from go_state.storage.journal.history import MessageType
from go_state.storage.journal.lease_holder import LeaseHolder
from go_state.storage.journal.run_record import Notes, RunRecord
from go_state.storage.journal.tail import Tail
from go_state.storage.records.lease import IfHeld, LeaseWait
from go_state.storage.records.process import is_written, keep_until_written
from go_state.storage.records.records import SNAPSHOT, Entry, Records, Snapshot
from go_state.storage.records.times import Times
from go_state.storage.snapshots.parts import Parts
from go_state.system.crash_points import reach
from go_state.system.own_thread import OwnThread

Msg = TypeVar("Msg")

Durability: TypeAlias = Literal["group", "put"]
"""When messages are committed to disk; see `Journal`."""

GROUP = 4096  # messages: what a crash may take of a journal whose durability is "group"
REFUSED = "the journal is closed: messages may no longer be put"
_NOT_WRITTEN = (Conflict, LeaseHeld, StoreFull)  # errors that come before anything is written


class Right(Enum):
    """Whether this process may write."""

    UNREAD = auto()  # it may not, and nothing on disk was looked at
    READING = auto()  # it may not: another may write at any time
    HELD = auto()  # the lease is ours
    LOST = auto()  # another has taken the journal over: what is not written here never will be


class Ending(Enum):
    """How far the journal's end has come."""

    OPEN = auto()  # not closed, or closed with something left to write
    FINISHED = auto()  # closed, and everything that was put before is written: what is staged later is refused
    LET_GO = auto()  # and nobody reads it any more: the lease is given back, and the store has forgotten it
    STORE_CLOSED = auto()


class Place(Protocol):
    """What the writer asks of a reader."""

    name: str
    position: int
    committed: int


class Writer(Generic[Msg]):
    """Writes one journal. The log's lock guards its state but where another is named."""

    def __init__(
        self,
        records: Records,
        log: Log[Msg],
        tail: Tail[Msg],
        kind: MessageType[Msg],
        run_record: RunRecord,
        in_hand: InHand[Msg],
        lease: LeaseHolder,
        *,
        at_once: bool,
        before: Callable[[], object] | None,
        let_go: Callable[[], object],
    ) -> None:
        self._records = records
        self._log = log
        self._tail = tail
        self._kind = kind
        self._run_record = run_record
        self.lease = lease
        self.at_once = at_once  #: whether puts and commits are on disk when they return: the durability "put"
        self.stage: GroupCommit[Msg] = GroupCommit()  #: what waits to be written and has no position yet
        self.flushing = threading.Lock()  #: held around a flush, and taken before the log's lock
        self._in_hand = in_hand
        self._before = before  # finishes the journal that was here before, which may have failed when it was closed
        self._tell_store = let_go
        self.thread = OwnThread(f"go_state journal {records.name}")  #: in which the async faces use the disk
        self._right = Right.UNREAD
        self._ending = Ending.OPEN
        self._unsure = False  # whether a write has begun of which nobody knows what has become
        self._failure: Exception | None = None  # of the last write, until what it has left in hand is on disk or taken out
        self.stored: dict[str, int] = {}  #: how far each named reader has come, on disk
        self._left: dict[str, int] = {}  # the same, of named readers that were closed and are not on disk yet
        self._end_following: Callable[[], object] | None = None
        self.time_ns: Callable[[], int] = time_ns  #: the clock that dates what enters

    # ------------------------------------------------------------------ when to flush: nobody else decides

    @property
    def is_full(self) -> bool:
        """Whether as many messages wait to be written as a crash may take: whoever puts one more flushes first."""
        return len(self._log.inbox) + len(self._tail.pending) >= GROUP

    @property
    def has_staged(self) -> bool:
        """Whether messages wait to be written that have no position yet."""
        return self.has_lease and self.stage.waiting

    def blocks(self, cursor: Place) -> bool:
        """Return whether a reader has to wait for a flush: its next message, or what was staged, is not on disk."""
        waits = self._log.inbox or self._tail.pending
        return self.has_staged or bool(waits and cursor.position >= self._tail.durable)

    def commit_is_due(self, cursor: Place) -> bool:
        """Return whether a reader's commits have to be on disk now."""
        return bool(cursor.name) and (self.at_once or self._is_far_ahead(cursor))

    def needs_flush(self, cursor: Place) -> bool:
        """Return whether a run, or a task, should flush before it takes more.

        It does if a read blocks, or if as much waits as a crash may take; the rest, such as commits, is written when the reader has
        come to the end of the journal.
        """
        if self.blocks(cursor) or self.is_full:
            return True
        if not (self.has_moved(cursor) or self._run_record.has_news):
            return False
        return self._is_far_ahead(cursor) or self.at_once or cursor.position >= self._tail.end

    def has_moved(self, cursor: Place) -> bool:
        """Return whether the reader has a name, and has committed more than is on disk."""
        return bool(cursor.name) and self.stored.get(cursor.name) != cursor.committed

    def _is_far_ahead(self, cursor: Place) -> bool:
        return cursor.committed - self.stored.get(cursor.name, 0) >= GROUP

    # ------------------------------------------------------------------ the lease

    @property
    def has_lease(self) -> bool:
        """Whether the lease is ours, so that nobody else writes."""
        return self._right is Right.HELD or self._right is Right.LOST

    @property
    def knows_disk(self) -> bool:
        """Whether what is on disk is known: nobody else writes, and no write of ours has an outcome that is not known."""
        return self.has_lease and not self._unsure

    @property
    def is_unused(self) -> bool:
        """Whether the lease is not ours, and no message waits for it to be."""
        return not (self.has_lease or self.stage.waiting)

    def acquire(self, if_held: IfHeld | None = None, *, given_up: LeaseWait | None = None) -> None:
        """Take the lease, which the first write does otherwise; `LeaseHeld` if another process has it, or wait for it.

        While it is waited for nothing else of the journal waits. `Closed` if the journal is closed meanwhile, or `given_up` is set.
        """
        if self.has_lease:
            return
        try:
            if (if_held or self.lease.if_held) == "wait":
                self.lease.wait(given_up)
            with self.flushing:
                self._acquire()
        except BaseException:  # nobody else would give back a lease that nobody is known to have
            with self.flushing:
                if not self.has_lease:
                    self.lease.release()
            raise

    async def acquire_async(self) -> None:
        """Take the lease as `acquire` does, in a thread: one of its own if it is waited for, and one however many tasks wait."""
        if self.has_lease:
            return
        if self.lease.if_held == "wait":
            await self.lease.wait_async(lambda wait: self.acquire(given_up=wait), lambda: self.has_lease)
        else:
            await self.thread.call(self.acquire)

    def _acquire(self) -> None:
        """Take the lease, if it is not ours yet, and look what others have written before. Not while the log's lock is held."""
        if self.has_lease:
            return
        self.lease.take()
        self._records.take_over(self.lease.token)
        self._look_at_disk(owned=True)

    def look(self) -> None:
        """Read where the journal begins and ends, and how far its readers have come, unless that is known."""
        if self._right is Right.UNREAD:
            with self.flushing:
                self._look_at_disk()

    def _look_at_disk(self, *, owned: bool = False) -> None:
        before, self._before = self._before, None
        if before is not None:
            before()
        self._records.refresh()
        with self._log.lock:
            self._take_over_from_disk()
            if owned:
                self._right = Right.HELD
                if self._ending is Ending.LET_GO:
                    self._ending = Ending.FINISHED
                if not self.at_once:
                    self._enter_waiting()  # what was put before now, and before all that is put from now on
            elif self._right is Right.UNREAD:
                self._right = Right.READING
        if owned:
            keep_until_written(self)

    def _take_over_from_disk(self) -> None:
        self.stored = dict(self._records.reached)
        self._tail.catch_up()

    def follow(self) -> None:
        """Have readers woken, if the store can, by what another process writes; until the lease is ours."""
        if self._end_following is None:
            self._end_following = self._records.store._follow(self._records.name, self.refresh)

    def refresh(self) -> None:
        """Look what another process has written since; while the lease is ours nobody else does."""
        if self.has_lease or self._ending is Ending.STORE_CLOSED:
            return
        self._records.refresh()
        with self._log.lock:
            if not self.has_lease:  # taken meanwhile, by which all of this is known, and more
                self._take_over_from_disk()
                self._log.wake_sleepers()

    # ------------------------------------------------------------------ the flush

    def flush(self) -> int:
        """Commit to disk all that was put and every cursor that has moved; return the position up to which all is durable."""
        if not (self.has_lease or self._log.closed) and self.has_news():
            self.acquire()
        with self.flushing:
            self.flush_locked()
        return self._tail.durable

    async def flush_async(self) -> int:
        """Flush as `flush` does, in a thread."""
        if not (self.has_lease or self._log.closed) and self.has_news():
            await self.acquire_async()
        return await self.thread.call(self.flush)

    def begin(self) -> None:
        """Give the journal its journal_id, which the first write does otherwise."""
        with self.flushing:
            self._acquire()
            self._records.write(Entry())

    def save(self, snapshot: Snapshot, messages: Sequence[Msg] = ()) -> int:
        """Write a snapshot together with all that a flush writes, and return its version; the messages enter with it or not at all."""
        with self.flushing:
            return self.flush_locked(snapshot, messages)

    def parts(self, key: str) -> Parts:
        """Return what a large snapshot is written into bit by bit, before `save` makes it count."""
        return self._records.parts(key)

    def lead(self, staged: Pending[Msg]) -> None:
        """Write what is staged, unless another has written this one meanwhile."""
        with self.flushing:
            if not staged.done:
                self.flush_locked()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Flush, and keep others from flushing for the block, which changes what is on disk; the lease is ours in it."""
        with self.flushing:
            self.flush_locked()
            self._acquire()
            yield

    def has_news(self) -> bool:
        """Return whether there is something to write."""
        with self._log.lock:
            self._log.absorb()
            return bool(self._tail.pending or self.stage.waiting or self._run_record.has_news or self._moved())

    def flush_locked(self, snapshot: Snapshot | None = None, messages: Sequence[Msg] = ()) -> int:
        """Flush, and return the number of the transaction, 0 if there was nothing to write. `flushing` held."""
        if self.has_news() or snapshot is not None:
            if self._right is Right.LOST:
                raise LeaseHeld(self._records.name)
            self._acquire()
        if self._unsure:
            self._catch_up_with_ourselves()
        own = [Pending(messages, self._kind.encode(messages), self.now(len(messages)), with_snapshot=True)] if messages else []
        self._unsure = bool(own)  # from here on: Ctrl-C must not leave them to a flush without the snapshot
        with self._log.lock:
            self._enter_waiting()
            for each in own:
                self._in_hand.place(each)
            notes = self._run_record.notes()
            entry = self._entry(snapshot, notes)
        if entry is None:
            return 0
        number = self._write(entry)
        with self._log.lock:
            self._written(entry, notes)
        return number

    def _enter_waiting(self) -> None:
        """Give what is staged its place behind all that has entered; it is written, or taken out again. Lock held."""
        self._log.absorb()
        for each in self.stage.to_write():
            if each.first >= 0:
                continue  # it has its place, from a flush that was interrupted
            # What could not be written before the end is refused.
            each.finish(Closed(REFUSED)) if self._ending is not Ending.OPEN else self._in_hand.place(each)
        if not self.at_once:
            self._in_hand.finish_up_to(self._tail.end)  # in a group a message has entered before it is on disk

    def _entry(self, snapshot: Snapshot | None, notes: Notes) -> Entry | None:
        """Return what is to be written, None for nothing. Lock held."""
        tail, cursors = self._tail, self._moved()
        if snapshot is not None:
            cursors[SNAPSHOT] = snapshot.position
        messages, times = list(tail.pending), list(tail.times)
        if not (messages or cursors or notes.aside or snapshot or notes.running is not None):
            return None
        schema, types = self._kind.written_as()
        return Entry(tail.durable, schema, messages, times, cursors, notes.aside, snapshot, types, notes.running)

    def _moved(self) -> dict[str, int]:
        open_ones = {each.name: each.committed for each in self._log.cursors if self.has_moved(each)}
        return self._left | open_ones

    def _written(self, entry: Entry, notes: Notes) -> None:
        """Called when the entry is on disk. Lock held."""
        end = entry.first + len(entry.messages)
        self._in_hand.finish_up_to(end)  # they know their position before a reader has them
        self._tail.written(end, entry.times)
        self._log.wake_sleepers()
        self.stored.update(entry.cursors)
        self._left = {name: position for name, position in self._left.items() if self.stored.get(name) != position}
        self._run_record.written(notes)
        self._unsure, self._failure = False, None
        self._log.on_commit()
        self._tail.bound()
        self.let_go_locked()

    # ------------------------------------------------------------------ a write, and what is known of it

    def _write(self, entry: Entry) -> int:
        """Write the entry and return its number, 0 if it was found to be on disk although the write has failed."""
        self._unsure = True
        point = "flush" if entry.snapshot is None else "snapshot"
        try:
            reach(f"before-{point}")
            number = self._records.write(entry)
            reach(f"after-{point}")
            return number
        except Exception as error:  # Ctrl-C, say, is for this thread alone: the next flush finds out what became of the entry
            if isinstance(error, LeaseHeld):
                self._right = Right.LOST
            self._failure = error
            if not self._is_on_disk(entry, error):
                raise
            return 0

    def _is_on_disk(self, entry: Entry, error: Exception) -> bool:
        """Return whether a write that has failed is on disk all the same, as if a connection is lost while it is committed.

        If it is not, its messages are taken out again. If nobody knows yet, they keep their place until the next flush finds out.
        """
        if isinstance(error, _NOT_WRITTEN):
            with self._log.lock:
                self._withdraw()
            return False
        try:
            self._catch_up_with_ourselves()
            self._records.check_ours()
        except Exception:  # the first error tells more
            with self._log.lock:
                self._in_hand.fail(error)
            return False
        there = self._tail.durable >= entry.first + len(entry.messages)
        return there and bool(entry.messages) and entry.snapshot is None

    def _catch_up_with_ourselves(self) -> None:
        """Count as written what an interrupted flush has written: the lease is ours, so nobody else has. Not while locked."""
        try:
            self._records.refresh()
        except Exception as error:
            self._failure = self._failure or error  # who leads now is told that it is not written: so it is not to be
            raise
        with self._log.lock:
            self.stored = dict(self._records.reached)
            self._tail.written(min(self._records.end, self._tail.end))
            self._tail.catch_up()
            self._in_hand.finish_up_to(self._tail.durable)
            self._withdraw()
        self._unsure = False

    def _withdraw(self) -> None:
        self._in_hand.withdraw(self._failure)
        self._failure = None

    # ------------------------------------------------------------------ what enters

    def now(self, number: int) -> list[Times]:
        """Return the times of `number` messages that enter now."""
        return [Times(number, self.time_ns() // 1000)]

    def date_by(self, clock: Callable[[], float]) -> None:
        """Date what enters from now on by another clock than the system's, in seconds since 1970."""
        self.time_ns = lambda: round(clock() * 1e9)

    def backlog(self, position: int | None) -> Backlog:
        """Return what waits from the position on, or what is not on disk, with what waits for the lease; it asks no disk."""
        log, tail = self._log, self._tail
        with log.lock:
            log.absorb()
            position = tail.durable if position is None else position
            size = max(tail.end - position, 0)
            at = tail.entered_in_memory(position) if size else self.stage.oldest
            age = None if at is None else max(time.time() - at, 0.0)
            return Backlog(size + self.stage.size, age, log.times.rate(tail.end, log.clock()))

    # ------------------------------------------------------------------ ending

    def remember_left(self, cursor: Place) -> None:
        """Keep what a named reader has committed, which is being closed, for the next flush. Lock held."""
        if cursor in self._log.cursors and self.has_moved(cursor):
            self._left[cursor.name] = cursor.committed  # its own messages may be pending: the two are written together

    def slowest(self) -> int | None:
        """Return how far the named reader that is furthest behind has come, on disk; None if there is none."""
        with self._log.lock:
            return min(self.stored.values(), default=None)

    def start_of(self, name: str) -> int | None:
        """Return where the reader of this name has come to, None if it is new. Lock held."""
        return self._left.get(name, self.stored.get(name))

    def finish(self) -> None:
        """Write what is left, once the log is closed, and let go of the journal."""
        try:
            if self._right is not Right.LOST:
                self.flush()
        except LeaseHeld as error:
            with self._log.lock:
                for each in self.stage.to_write():  # sent while the lease was waited for, and never to be written
                    each.finish(error)
            raise
        with self._log.lock:
            if self._ending is Ending.OPEN:
                self._ending = Ending.FINISHED
            self.let_go_locked()

    def let_go(self) -> None:
        """Give the lease back if the journal is closed and nobody reads it, for a run that has taken it and come no further."""
        with self._log.lock:
            self.let_go_locked()

    def let_go_locked(self) -> None:
        """Give the lease back if nobody will write any more. Lock held."""
        if self._log.closed and not self._log.cursors and self._ending is not Ending.LET_GO:
            self.release()
            # A journal that is lost, or not finished, stays with its store, which sees to it that what is left is tried once more.
            if self._ending is Ending.FINISHED and self._right is not Right.LOST:
                self._tell_store()
                self._ending = Ending.LET_GO

    def end(self) -> None:
        """End with the store: nothing is read or written from now on."""
        self._ending = Ending.STORE_CLOSED
        self.release()

    @property
    def is_ended(self) -> bool:
        """Whether the store was closed."""
        return self._ending is Ending.STORE_CLOSED

    def release(self) -> None:
        """Give the lease back."""
        if self._right is Right.HELD:
            self._right = Right.READING
        is_written(self)
        self.lease.release()
        following, self._end_following = self._end_following, None
        if following is not None:
            following()

    def leave_to_parent(self, lock: threading.Lock) -> None:
        """In a forked child: the lease, the file and what is not written yet are the parent's, and so are the locks."""
        self._end_following = None  # who listens to other writers is a thread of the parent's
        self.flushing = lock
        self.stage.leave_to_parent(lock)
        self.lease.leave_to_parent(lock)
        self.end()
