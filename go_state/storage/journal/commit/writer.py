"""How a journal gets to disk: one flush, one transaction; then its readers are woken, and senders told.

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
at the disk: the lease is ours, so whatever was written is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import time_ns
from types import MappingProxyType
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

from go_state.buffer.cursor import TRIM_STEP
from go_state.buffer.log import Log
from go_state.core.errors import Conflict, LeaseHeld, StoreFull, StoreReplaced, UsedAfterClose
from go_state.storage.journal.commit.flush_rules import FlushRules
from go_state.storage.journal.commit.group_commit import GroupCommit, Pending
from go_state.storage.journal.commit.in_hand import InHand
from go_state.storage.journal.commit.lease_holder import LeaseHolder, Right
from go_state.storage.journal.message_type import MessageType
from go_state.storage.journal.run_record import NO_NOTES, Notes, RunRecord
from go_state.storage.journal.tail import Tail
from go_state.storage.records.layout import Times
from go_state.storage.records.records import PROGRAM, SNAPSHOT, Records
from go_state.storage.records.writes.entry import Entry, Snapshot
from go_state.storage.records.writes.together import Steps
from go_state.system.at_exit import at_exit
from go_state.system.crash_points import Watch, reach
from go_state.system.own_thread import OwnThread

Msg = TypeVar("Msg")

Durability: TypeAlias = Literal["group", "put"]
"""When messages are committed to disk; see `Journal`."""

Beside: TypeAlias = Mapping[str, bytes | None]
_NONE: Beside = MappingProxyType({})
REFUSED = "the journal is closed: messages may no longer be put"
_NOT_WRITTEN = (Conflict, LeaseHeld, StoreFull, StoreReplaced)  # errors that come before anything is written


class FlushObserver(Protocol):
    """Notes each write of a journal."""

    def now(self) -> float:
        """Return the time, in seconds."""
        ...

    def flushed(self, messages: int, begun: float) -> None:
        """Called in the thread that has written so many messages, by a write that begun then."""
        ...


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
        stage: GroupCommit[Msg],
        lease: LeaseHolder,
        rules: FlushRules[Msg],
        *,
        thread: OwnThread,
        let_go: Callable[[], object],
    ) -> None:
        self.rules = rules  #: when to flush
        self.positions = rules.positions  #: how far named readers have come
        self.thread = thread  #: in which the async methods use the disk
        self.time_ns: Callable[[], int] = time_ns  #: the clock that dates what enters
        self.observer: FlushObserver | None = None  #: of the run, if somebody observes that
        self.take_steps = records.store.together.take_steps  #: takes steps, writes what they yield, and returns what they return
        self._records = records
        self._log = log
        self._tail = tail
        self._kind = kind
        self._run_record = run_record
        self._in_hand = in_hand
        self._stage = stage
        self._lease = lease
        self._tell_store = let_go
        self._is_finished = False  # closed, with everything written that was put before: what is staged later is refused
        self._is_unsure = False  # whether a write has begun of which nobody knows what has become
        self._failure: Exception | None = None  # of the last write, until what it has left in hand is on disk or taken out

    # ------------------------------------------------------------------ the flush

    def flush(self) -> int:
        """Commit to disk all that was put and every cursor that has moved; return the position up to which all is durable."""
        if self._lease.right is not Right.HELD:
            self._acquire_to_flush()
        with self._lease.flushing:
            self.take_steps(self._steps())
        return self._tail.durable

    def flush_in_steps(self) -> Steps[int]:
        """Flush as `flush` does; the write itself is a job that is yielded, for whoever writes it with those of other journals."""
        self._acquire_to_flush()
        with self._lease.flushing:
            yield from self._steps()
        return self._tail.durable

    def _acquire_to_flush(self) -> None:
        if not (self._lease.is_held or self._log.closed) and self.rules.has_unwritten():
            self._lease.acquire()

    async def flush_async(self) -> int:
        """Flush as `flush` does, in a thread."""
        if not (self._lease.is_held or self._log.closed) and self.rules.has_unwritten():
            await self._lease.acquire_async()
        return await self.thread.call(self.flush)

    def begin(self) -> None:
        """Give a new journal its journal_id, which is on disk with the first write."""
        with self._lease.flushing:
            self._lease.take()
            self._records.found()

    def save(self, snapshot: Snapshot | None, messages: Sequence[Msg] = (), beside: Beside = _NONE) -> int:
        """Write a snapshot with all that a flush writes, and return its version; the messages enter with it or not at all.

        What is `beside` are keys of the store that change with it: None deletes one.
        """
        return self.take_steps(self.save_in_steps(snapshot, messages, beside))

    def save_in_steps(self, snapshot: Snapshot | None, messages: Sequence[Msg] = (), beside: Beside = _NONE) -> Steps[int]:
        """Save as `save` does; the write itself is a job that is yielded."""
        with self._lease.flushing:
            return (yield from self._steps(snapshot, messages, beside))

    def lead(self, staged: Pending[Msg]) -> None:
        """Write what is staged, unless another has written this one meanwhile."""
        with self._lease.flushing:
            if not staged.done:
                self.flush_locked()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Flush, and keep others from flushing for the block, which changes what is on disk; the lease is ours in it."""
        with self._lease.flushing:
            self.flush_locked()
            self._lease.take()
            try:
                yield
            finally:
                with self._log.lock:
                    self.let_go_locked()

    def flush_locked(self) -> None:
        """Flush. `flushing` held."""
        self.take_steps(self._steps())

    def _steps(self, snapshot: Snapshot | None = None, messages: Sequence[Msg] = (), beside: Beside = _NONE) -> Steps[int]:
        """Flush, and return the number of the transaction, 0 if there was nothing to write. `flushing` held."""
        if self._lease.right is not Right.HELD and (snapshot is not None or messages or self.rules.has_unwritten()):
            self._take_lease()
        if self._is_unsure:
            self._catch_up_with_ourselves()
        own = [Pending(messages, self._kind.encode(messages), self.now(len(messages)), with_snapshot=True)] if messages else []
        self._is_unsure = bool(own)  # from here on: Ctrl-C must not leave them to a flush without the snapshot
        with self._log.lock:
            self._log.absorb()
            if self._stage.staged or self._in_hand.all:
                self._enter_waiting()
            for each in own:
                self._in_hand.place(each)
            cursors = self.positions.moved()
            notes, record = NO_NOTES, self._run_record
            if record.has_unwritten or record.keeps_wake:
                notes = record.notes(cursors.get(PROGRAM, self.positions.stored.get(PROGRAM, 0)))
            entry = self._entry(snapshot, notes, cursors, beside)
            if entry is None:
                self.let_go_locked()  # the lease may have been taken for a put that came too late
        if entry is None:
            return 0
        observer = self.observer
        begun = 0.0 if observer is None else observer.now()
        self._is_unsure = True
        point = "flush" if snapshot is None else "snapshot"
        try:
            if Watch.reached is not None:
                reach(f"before-{point}")
            yield (job := self._records.job(entry))
            number = self._records.written(entry, job.outcome())
            if Watch.reached is not None:
                reach(f"after-{point}")
        except Exception as error:  # Ctrl-C, say, is for this thread alone: the next flush finds out what became of the entry
            if not self._is_on_disk(entry, error):
                raise
            number = 0  # of a transaction whose number nobody knows
        if observer is not None:
            observer.flushed(len(entry.messages), begun)
        with self._log.lock:
            self._written(entry, notes)
        return number

    def _take_lease(self) -> None:
        if self._lease.is_lost:
            raise LeaseHeld(self._records.name)
        self._lease.take()

    def taken(self) -> None:
        """Called when the lease has become ours, before anybody else can put. Lock held."""
        if not self.rules.at_once:
            self._log.absorb()
            self._enter_waiting()  # what was put before now, and before all that is put from now on
        at_exit.add(self)

    def _enter_waiting(self) -> None:
        """Give what is staged its place behind all that has entered; it is written, or taken out again. Lock held, inbox absorbed."""
        for each in self._stage.to_write():
            if each.first >= 0:
                continue  # it has its place, from a flush that was interrupted
            # What could not be written before the end is refused.
            each.finish(UsedAfterClose(REFUSED)) if self._is_finished else self._in_hand.place(each)
        if not self.rules.at_once:
            self._in_hand.finish_up_to(self._tail.end)  # in a group a message has entered before it is on disk

    def _entry(self, snapshot: Snapshot | None, notes: Notes, cursors: dict[str, int], beside: Beside) -> Entry | None:
        """Return what is to be written, None for nothing. Lock held."""
        tail = self._tail
        if snapshot is not None:
            cursors[SNAPSHOT] = snapshot.position
        messages, times = list(tail.pending), list(tail.times)
        aside, running, wake, letters = notes
        if beside:
            letters = {**letters, **beside}
        if not (messages or cursors or aside or snapshot or running is not None or wake is not None or letters):
            return None
        kind = self._kind.written_as
        return Entry(tail.durable, kind.schema, messages, times, cursors, aside, snapshot, kind.types, running, wake, letters)

    def _written(self, entry: Entry, notes: Notes) -> None:
        """Called when the entry is on disk. Lock held."""
        end = entry.first + len(entry.messages)
        log = self._log
        if self._in_hand.all:
            self._in_hand.finish_up_to(end)  # they know their position before a reader has them
        self._tail.written(end, entry.times)
        if log.sleepers:
            log.wake_sleepers()
        if entry.cursors:
            self.positions.written(entry.cursors)
        if notes is not NO_NOTES:
            self._run_record.written(notes)
        self._is_unsure, self._failure = False, None
        if len(self._tail.items) >= TRIM_STEP or log.closers:
            log.on_commit()
        if log.closed:
            self.let_go_locked()

    # ------------------------------------------------------------------ a write, and what is known of it

    def _is_on_disk(self, entry: Entry, error: Exception) -> bool:
        """Return whether a write that has failed is on disk all the same, as if a connection is lost while it is committed.

        If it is not, its messages are taken out again. If nobody knows yet, they keep their place until the next flush finds out.
        """
        if isinstance(error, LeaseHeld):
            self._lease.lose()
        self._failure = error
        if isinstance(error, _NOT_WRITTEN):
            with self._log.lock:
                self._withdraw()
            if isinstance(error, StoreReplaced):
                self._is_unsure = False  # and nothing can be read either, to be surer
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
            self._failure = self._failure or error  # the leader gets this error, so what it wrote must not become durable later
            raise
        with self._log.lock:
            self.positions.stored = dict(self._records.reached)
            self._tail.written(min(self._records.end, self._tail.end))
            self._tail.catch_up()
            self._in_hand.finish_up_to(self._tail.durable)
            self._withdraw()
        self._is_unsure = False

    def _withdraw(self) -> None:
        self._in_hand.withdraw(self._failure)
        self._failure = None

    # ------------------------------------------------------------------ what enters

    @property
    def knows_disk(self) -> bool:
        """Whether what is on disk is known: nobody else writes, and no write of ours has an outcome that is not known."""
        return self._lease.is_held and not self._is_unsure

    def now(self, number: int) -> list[Times]:
        """Return the times of `number` messages that enter now."""
        return [Times(number, self.time_ns() // 1000)]

    def date_by(self, clock: Callable[[], float]) -> None:
        """Date what enters from now on by another clock than the system's, in seconds since 1970."""
        self.time_ns = lambda: round(clock() * 1e9)

    # ------------------------------------------------------------------ ending

    def finish(self) -> None:
        """Write what is left, once the log is closed, and let go of the journal."""
        try:
            if not self._lease.is_lost:
                self.flush()
        except LeaseHeld as error:
            with self._log.lock:
                for each in self._stage.to_write():  # sent while the lease was waited for, and never to be written
                    each.finish(error)
            raise
        with self._log.lock:
            self._is_finished = True
            self.let_go_locked()

    def let_go(self) -> None:
        """Give the lease back if the journal is closed and nobody reads it, for a run that has taken it and come no further."""
        with self._log.lock:
            self.let_go_locked()

    def let_go_locked(self) -> None:
        """Give the lease back if nobody will write any more. Lock held.

        It may be done any number of times: an interrupted one is done again, and a journal that was let go can be read again.
        """
        if self._log.closed and not self._log.cursors:
            at_exit.discard(self)
            self._lease.release()
            # A journal that is lost, or not finished, stays with its store, which sees to it that what is left is tried once more.
            if self._is_finished and not self._lease.is_lost:
                self._tell_store()

    def end(self) -> None:
        """End with the store: nothing is written from now on."""
        at_exit.discard(self)
        self._lease.end()
