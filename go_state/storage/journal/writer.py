"""How a journal gets to disk: the entries that wait, the lease, and the flush that writes them together.

Messages enter in memory and lie there encoded until a *flush* writes them, the cursors of named readers and what else belongs
together in one synced transaction. There is no thread that flushes: whoever needs something durable does, and takes everybody's
messages along. An exception such as that of Ctrl-C may come between any two steps; what was written is then found out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from go_state.buffer.buffer import Buffer
from go_state.buffer.consumer import Consumer
from go_state.core.errors import Closed, Conflict, LeaseHeld, StoreFull, UsageError
from go_state.storage.journal.group_commit import GroupCommit, Pending
from go_state.storage.journal.history import History
from go_state.storage.journal.reader import GROUP, JournalConsumer
from go_state.storage.journal.tail import Tail
from go_state.storage.records.block import Entry, Snapshot
from go_state.storage.records.lease import IfHeld, Lease, check_if_held, wait_for_lock
from go_state.storage.records.parts import Parts
from go_state.storage.records.records import SNAPSHOT, Records
from go_state.storage.records.times import Times, merged
from go_state.system.at_exit import at_exit
from go_state.system.crash_points import reach
from go_state.system.forks import belongs_to_parent
from go_state.system.own_thread import OwnThread, call_once

if TYPE_CHECKING:
    import asyncio

Msg = TypeVar("Msg")

Durability: TypeAlias = Literal["group", "put"]
"""When messages are committed to disk; see `Journal`."""


_NOT_WRITTEN = (Conflict, LeaseHeld, StoreFull)  # errors that come before anything is written
_REFUSED = "the journal is closed: messages may no longer be put"


class Writing(Buffer[Msg], History[Msg]):
    """The half of `Journal` that writes: `Journal` says what, this says how and when."""

    def __init__(
        self,
        records: Records,
        lease: Lease,
        durability: Durability,
        if_held: IfHeld,
        *,
        before: Callable[[], object] | None = None,
    ) -> None:
        if durability not in ("group", "put"):
            raise UsageError(f'durability is "group" or "put", not {durability!r}')
        check_if_held(if_held)
        Buffer.__init__(self)
        History.__init__(self, records)
        self._lease = lease
        self._if_held: IfHeld = if_held
        self._at_once = durability == "put"
        self._flushing = threading.Lock()  # held around the write of an entry, and taken before the buffer's lock
        self._writing = False
        self._tail: Tail[Msg] = Tail(records, self._decode_as_far)  # this and all below: guarded by the buffer's lock
        self._retained = self._tail
        self._locked_put = True  # until the first put has taken the lease
        self._entries: list[tuple[Msg, bytes, int]] = self._inbox  # type: ignore[assignment]  # a journal's inbox holds entries
        self._stage: GroupCommit[Msg] = GroupCommit()
        self._time_ns: Callable[[], int] = time_ns
        self._finished = False  # closed, and everything that was put before is written
        self._is_let_go = False  # finished, with nobody who reads it, and the lease given back
        self._ended = False  # its store is closed
        self._lost = False  # another has taken the journal over: what is not written here never will be
        self._failure: Exception | None = None  # of the last write, until what it has left in hand is on disk or taken out
        self._in_hand: list[Pending[Msg]] = []  # what was staged and is being written
        self._before = before  # finishes the journal that was here before, which may have failed when it was closed
        self._known = False  # whether it was read where it begins and ends
        self._leasing: object | None = None  # the call that waits for the lease; others wait for it, each as long as it likes
        self._given_up = threading.Event()  # ends the wait of the threads that put
        self._own_waits: list[threading.Event] = []  # and of the tasks
        self._owning: WeakKeyDictionary[Any, asyncio.Lock] = WeakKeyDictionary()  # of each event loop: whose turn it is to wait
        self._lease_waits: list[threading.Event] = []  # what ends each wait that is under way
        self.thread = OwnThread(f"go_state journal {records.name}")  #: in which the async faces use the disk
        self._cursors: dict[str, int] = {}  # of named readers, as they are on disk
        self._left: dict[str, int] = {}  # of named readers that were closed before a flush
        self._under_way: dict[str, None] = {}  # the names of the commands of the run that writes it
        self._under_way_changed = False
        self._end_following: Callable[[], object] | None = None

    def _absorb(self) -> None:
        """Move the entries of the inbox into the tail. Lock held."""
        if self._cut:
            return  # as in every buffer: what is still there is about to be refused
        dated, entered, self._attention = not self._attention, self._entered, True
        count = len(self._entries)
        if count:
            self._note(entered if dated else self._clock())
            messages, encoded, times = zip(*self._entries[:count], strict=True)
            entries, tail, runs = self._entries, self._tail, merged(times)
            items, pending, all_runs = tail._items, tail.pending, tail.times
            # No call from here on: see Buffer._absorb.
            items += messages
            pending += encoded
            all_runs += runs
            tail.end += count
            del entries[:count]
        self._cut = self._closed

    def _check_open(self) -> None:
        if self._closed:
            raise Closed(_REFUSED)

    def look(self) -> None:
        """Read where the journal begins and ends, and how far its readers have come, unless that is known."""
        if not self._known:
            with self._flushing:
                self._look_at_disk()

    def acquire(self, if_held: IfHeld | None = None, *, given_up: threading.Event | None = None) -> None:
        """Take the lease, which the first write does otherwise; `LeaseHeld` when somebody else has it, or wait for it.

        While it is waited for nothing else of the journal waits. `Closed` when the journal is closed meanwhile, or `given_up` is set.
        """
        if self._has_lease:
            return
        try:
            if (if_held or self._if_held) == "wait":
                self._wait_for_lease(self._given_up if given_up is None else given_up)
            with self._flushing:
                self._acquire()
        except BaseException:  # nobody else would give back a lease that nobody is known to have
            with self._flushing:
                if not self._has_lease:
                    self._lease.release()
            raise

    def _wait_for_lease(self, given_up: threading.Event) -> None:
        turn = object()
        self._lease_waits.append(given_up)
        try:
            taken = wait_for_lock(lambda: self._takes_turn(turn), self.name, "wait", given_up)
            self.store.check_usable()
            if not (taken and self._lease.acquire("wait", given_up)):
                raise Closed(f"the lease of the journal {self.name!r} is not waited for any more")
        finally:
            if self._leasing is turn:
                self._leasing = None
            self._lease_waits.remove(given_up)

    def _takes_turn(self, turn: object) -> bool:
        """Tell whether it is this call's turn to wait for the lease: a lock would be one that nobody stops waiting for."""
        with self._lock:
            if self._leasing is None:
                self._leasing = turn
            return self._has_lease or self._leasing is turn

    async def acquire_async(self) -> None:
        """Take the lease as `own` does, in a thread: one of its own where it is waited for, and one however many tasks wait."""
        if self._has_lease:
            return
        if self._if_held != "wait":
            await self.thread.call(self.acquire)
            return
        async with self._turn_to_own():
            self._check_open()
            if not self._has_lease:
                await self._own_in_thread()

    def _turn_to_own(self) -> asyncio.Lock:
        import asyncio

        return self._owning.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    async def _own_in_thread(self) -> None:
        given_up = threading.Event()
        self._own_waits.append(given_up)
        if self._given_up.is_set():
            given_up.set()  # it was closed before it could know of this wait
        try:
            await call_once(partial(self.acquire, given_up=given_up), f"go_state lease {self.name}", given_up.set)
        finally:
            self._own_waits.remove(given_up)

    def _give_up(self) -> None:
        """End the waits for the lease of those who put."""
        self._given_up.set()
        for given_up in tuple(self._own_waits):
            given_up.set()

    def _acquire(self) -> None:
        """Take the lease, if it is not ours yet, and look what others have written before. Not while the lock is held."""
        if self._has_lease:
            return
        self.store.check_usable()
        self._lease.acquire("fail")
        self._records.take_over(self._lease.token)
        self._look_at_disk(owned=True)

    def _look_at_disk(self, *, owned: bool = False) -> None:
        before, self._before = self._before, None
        if before is not None:
            before()
        self._records.refresh()
        with self._lock:
            self._cursors = dict(self._records.reached)
            self._tail.catch_up()
            self._known = True
            if owned:
                self._is_let_go = False
                self._has_lease = True
                if not self._at_once:
                    self._enter_waiting()  # what was put before now, and before all that is put from now on
        if owned:
            at_exit.add(self)

    def date_by(self, time: Callable[[], float]) -> None:
        """Date what enters from now on by another clock than the system's, in seconds since 1970."""
        self._time_ns = lambda: round(time() * 1e9)

    def _now(self, number: int) -> list[Times]:
        """Return the times of so many messages that enter now."""
        return [Times(number, self._time_ns() // 1000)]

    def _enter_encoded(self, messages: Sequence[Msg], encoded: list[bytes], times: Sequence[Times]) -> None:
        self._note(self._clock())
        self._tail.enter(messages, encoded, times)
        self._wake_all(self._wakers)

    def flush(self) -> int:
        """Commit to disk all that was put and every cursor that has moved; return the position up to which all is durable."""
        if not (self._has_lease or self._closed) and self._has_news():
            self.acquire()
        with self._flushing:
            self._flush()
        return self._tail.durable

    def needs_flush(self, reader: JournalConsumer[Msg]) -> bool:
        """Tell whether the reader has come to the end of what is on disk, and there is something to write."""
        waiting = len(self._entries) + len(self._tail.pending)
        if self.has_staged or waiting >= GROUP or (waiting and reader.position >= self._tail.durable):
            return True
        if not (reader.has_moved() or self._aside or self._under_way_changed):
            return False
        many = reader.committed - self._cursors.get(reader.name, 0) >= GROUP
        return many or self._at_once or reader.position >= self._tail.end

    @property
    def is_full(self) -> bool:
        """Whether as many messages wait to be written as a crash may take."""
        return len(self._inbox) + len(self._tail.pending) >= GROUP

    @property
    def has_lease(self) -> bool:
        """Whether the lease is ours."""
        return self._has_lease

    @property
    def is_unused(self) -> bool:
        """Whether the lease is not ours, and no message waits for it to be."""
        return not (self._has_lease or self._stage.waiting)

    @property
    def has_staged(self) -> bool:
        """Whether messages wait to be written and are not counted among those that have entered."""
        return self._has_lease and self._stage.waiting

    def is_in_memory(self, position: int) -> bool:
        """Tell whether the message at the position can be read without the disk, or is not on it."""
        with self._lock:
            return self._tail.is_in_memory(position)

    def bring(self, position: int) -> None:
        """Read the message at the position from disk, if it is not in memory, together with its neighbours."""
        # Not while the lock is held: an event loop that wants it would wait for the disk.
        if not self.is_in_memory(position) and (found := self._tail.fetch(position)) is not None:
            with self._lock:
                self._tail.keep(found)

    def begin(self) -> None:
        """Give the journal its journal_id, which the first write does otherwise."""
        with self._flushing:
            self._acquire()
            self._records.write(Entry())

    def parts(self, key: str) -> Parts:
        """Return what a large snapshot is written into bit by bit, before `snapshot` makes it count."""
        return self._records.parts(key)

    def snapshot(self, snapshot: Snapshot, messages: Sequence[Msg] = ()) -> int:
        """Write a snapshot together with all that a flush writes, and return its version; the messages enter with it or not at all."""
        with self._flushing:
            return self._flush(snapshot, messages)

    def _flush(self, snapshot: Snapshot | None = None, messages: Sequence[Msg] = ()) -> int:
        if self._has_news() or snapshot is not None:
            if self._lost:
                raise LeaseHeld(self.name)
            self._acquire()
        if self._writing:
            self._catch_up_with_ourselves()
        own = [Pending(messages, self._encode(messages), self._now(len(messages)), with_snapshot=True)] if messages else []
        self._writing = bool(own)  # from here on: Ctrl-C must not leave them to a flush without the snapshot
        with self._lock:
            self._enter_waiting()
            for each in own:
                self._enter_staged(each)
            entry = self._entry(snapshot)
        if entry is None:
            return 0
        number = self._written_as(entry)
        with self._lock:
            self._written(entry)
        return number

    def _written_as(self, entry: Entry) -> int:
        """Write the entry, and return its number. Not while the lock is held: an event loop that wants it would wait for the disk.

        Ctrl-C, say, is for this thread alone: what it has interrupted is written, or found to be, by the next flush.
        """
        try:
            return self._write(entry)
        except Exception as error:
            self._failure = error
            if not self._is_written_all_the_same(entry, error):
                raise
            return 0

    def _is_written_all_the_same(self, entry: Entry, error: Exception) -> bool:
        """Tell whether the messages of a write that has failed are on disk, as where a connection is lost while it is committed.

        Where they are not they are taken out again. Where nobody knows yet they keep their place until the next flush finds out.
        """
        if isinstance(error, _NOT_WRITTEN):
            with self._lock:
                self._withdraw()
            return False
        try:
            self._catch_up_with_ourselves()
            self._records.check_ours()
        except Exception:  # the first error tells more
            with self._lock:
                self._tell_waiting(error)
            return False
        there = self._tail.durable >= entry.first + len(entry.messages)
        return there and bool(entry.messages) and entry.snapshot is None

    def _enter_waiting(self) -> None:
        """Give what is staged its place behind all that has entered; it is written, or taken out again. Lock held."""
        self._absorb()
        for each in self._stage.to_write():
            if each.first >= 0:
                continue  # it has its place, from a flush that was interrupted
            # What could not be written before the end is refused.
            each.finish(Closed(_REFUSED)) if self._finished else self._enter_staged(each)
        if not self._at_once:
            self._finish_entered(self._tail.end)  # in a group a message has entered before it is on disk

    def _enter_staged(self, staged: Pending[Msg]) -> None:
        self._note(self._clock())
        tail, in_hand, messages, number = self._tail, self._in_hand, list(staged.messages), len(staged.messages)
        # No call until all has moved, so that Ctrl-C finds it before or after the step: see Buffer._absorb.
        tail.pending += staged.encoded
        tail.times += staged.times
        tail._items += messages
        staged.first = tail.end
        tail.end += number
        in_hand += (staged,)

    def _finish_entered(self, end: int) -> None:
        """Tell the senders of what ends there or before that their messages are in the journal. Lock held."""
        while self._in_hand and self._in_hand[0].end <= end:
            staged = self._in_hand[0]
            if staged.know is not None:
                staged.know(staged.first)
            staged.finish(None)
            self._in_hand.pop(0)

    def _withdraw(self) -> None:
        """Take out what is not on disk after a failure, and what goes with a snapshot or not at all. Lock held.

        Its senders hear of the error; what nobody waits for stays staged.
        """
        in_hand, tail = self._in_hand, self._tail
        while in_hand and (self._failure is not None or in_hand[-1].with_snapshot):
            each = in_hand[-1]
            first, number = each.first, len(each.messages)
            if self._failure is not None and each.waits:
                each.finish(self._failure)
            for reader in self._readers:  # one that was opened at the end meanwhile
                reader.position = _without(reader.position, first, number)
                reader.committed = _without(reader.committed, first, number)
            times, place, item = tail.times_without(first, number), first - tail.durable, first - tail._base
            # No call until all has moved: see Buffer._absorb.
            tail.times = times
            del tail.pending[place : place + number]
            del tail._items[item : item + number]
            tail.end -= number
            each.first = -1
            del in_hand[-1]
        self._failure = None

    def _tell_waiting(self, error: Exception) -> None:
        """Tell the senders of what is in hand that nobody knows what has become of it. Lock held."""
        for each in self._in_hand:
            if each.waits:
                each.finish(error)

    def _write(self, entry: Entry) -> int:
        self._writing = True  # until it is known to be written, or not: Ctrl-C may come in between
        point = "flush" if entry.snapshot is None else "snapshot"
        reach(f"before-{point}")
        try:
            number = self._records.write(entry)
        except LeaseHeld:
            self._lost = True
            raise
        reach(f"after-{point}")
        return number

    def _catch_up_with_ourselves(self) -> None:
        """Count as written what an interrupted flush has written: the lease is ours, so nobody else has. Not while locked."""
        try:
            self._records.refresh()
        except Exception as error:
            self._failure = self._failure or error  # who leads now is told that it is not written: so it is not to be
            raise
        with self._lock:
            self._cursors = dict(self._records.reached)
            self._tail.written(min(self._records.end, self._tail.end))
            self._tail.catch_up()
            self._finish_entered(self._tail.durable)
            self._withdraw()
        self._writing = False

    def _moved(self) -> dict[str, int]:
        open_ones = {r.name: r.committed for r in self._readers if isinstance(r, JournalConsumer) and r.has_moved()}
        return self._left | open_ones

    def _remove(self, consumer: Consumer[Msg]) -> None:
        if isinstance(consumer, JournalConsumer) and consumer in self._readers and consumer.has_moved():
            self._left[consumer.name] = consumer.committed  # its own messages may be pending: the two are written together
        super()._remove(consumer)

    def _has_news(self) -> bool:
        """Tell whether there is something to write."""
        with self._lock:
            self._absorb()
            return bool(self._tail.pending or self._stage.waiting or self._aside or self._under_way_changed or self._moved())

    def _entry(self, snapshot: Snapshot | None) -> Entry | None:
        """Return what is to be written, None for nothing. Lock held."""
        tail = self._tail
        cursors = self._moved()
        if snapshot is not None:
            cursors[SNAPSHOT] = snapshot.position
        messages, times = list(tail.pending), list(tail.times)
        under_way = list(self._under_way) if self._under_way_changed else None
        if not (messages or cursors or self._aside or snapshot or under_way is not None):
            return None
        schema, types = (1, None) if self._codec is None else (self._codec.schema, self._codec.types)
        return Entry(tail.durable, schema, messages, times, cursors, dict(self._aside), snapshot, types, under_way)

    def _written(self, entry: Entry) -> None:
        """Called when the entry is on disk. Lock held."""
        self._finish_entered(entry.first + len(entry.messages))  # they know their position before a reader has them
        self._tail.written(entry.first + len(entry.messages), entry.times)
        self._wake_all(self._wakers)
        self._cursors.update(entry.cursors)
        self._left = {name: position for name, position in self._left.items() if self._cursors.get(name) != position}
        for position in entry.set_aside:
            self._aside.pop(position, None)
        if entry.under_way == list(self._under_way):
            self._under_way_changed = False
        self._writing, self._failure = False, None
        self._settled()
        self._tail.bound()
        self._let_go()

    def _follow(self) -> None:
        """Have readers woken, where the store can, by what another process writes."""
        if self._end_following is None:
            self._end_following = self.store.backend.follow(self.name, self.refresh)

    def refresh(self) -> None:
        """Look what another process has written since; while the lease is ours nobody else does."""
        if self._has_lease or self._ended:
            return
        self._records.refresh()
        with self._lock:
            if not self._has_lease:  # taken meanwhile, by which all of this is known, and more
                self._cursors = dict(self._records.reached)
                self._tail.catch_up()
                self._wake_all(self._wakers)

    def let_go(self) -> None:
        """Give the lease back if the journal is closed and nobody reads it, for a run that has taken it and come no further."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        """Give the lease back when nobody will write any more. Lock held."""
        if self._closed and not self._readers and not self._is_let_go:
            self._release()
            if self._finished and not self._lost:  # or its store sees to it that what is left is tried once more
                self.store.journals.let_go(self.name, self)
                self._is_let_go = True

    def _release(self) -> None:
        self._has_lease = False
        at_exit.discard(self)
        self._lease.release()
        following, self._end_following = self._end_following, None
        if following is not None:
            following()

    def after_fork_in_child(self) -> None:
        """Do nothing more: its store lets go of what is the parent's."""

    def leave_to_parent(self) -> None:
        """In a forked child: the lease, the file and what is not written yet are the parent's, and so are the locks."""
        self._locked_put = self._ended = self._in_parent = True
        self._end_following = None  # who listens is a thread of the parent's
        lock: Any = belongs_to_parent(f"the journal {self.name!r}", self.store.check_usable)
        self._lock = self._flushing = lock
        self._stage.inherit(lock)
        for reader in self._readers:
            if isinstance(reader, JournalConsumer):
                reader.after_fork_in_child(lock)
        self._release()

    def _note(self, when: float) -> None:
        """Note for the rate alone when messages enter: their ages are on disk. Lock held."""
        if not self._rates or when - self._rates[-1][1] >= 0.01:
            self._rates.append((self._tail.end, when))


def _without(position: int, first: int, number: int) -> int:
    """Return where a reader stands once so many messages from `first` on are taken out."""
    return max(position - number, min(position, first))
