"""The log: the state that a buffer and its readers share.

A put appends to `inbox` without a lock; whoever looks takes the lock and *absorbs* the inbox into `retained`, from which readers
take. How the two sides never miss each other:

- The inbox and the flag `attention` are a handshake. A put appends first and looks at the flag after; a look sets the flag first
  and reads the inbox after. So a put either was seen by the look, or it sees the flag and comes to `attend`.
- `attend` notes the time, clears the flag, so that the puts that follow cost nothing, and wakes the sleepers. It takes no lock: a
  finalizer or a signal handler may put while the thread beneath it holds the lock.
- A sleeper adds its waker under the lock, then sets the flag, then looks at the inbox once more (`Sleeper`). A put that had
  appended before its first look, but woken the sleepers before the waker was there, is found by the second look.
- `close` sets `closed`, under the lock, and absorbs a last time: that is the cut. What is in the inbox later came too late, and
  its put takes it back and raises.

A run's chain of messages to itself enters without a lock as well, while its reader is the only one: see `own_chunk.py`.

A first version whose idle readers were listed outside the lock lost wake-ups within seconds (`tests/buffer/test_stress.py`).
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from go_state.buffer.retained import Owner, Place, Retained, take_out
from go_state.buffer.retention import Retention, drop_committed, keep_all
from go_state.buffer.statistics import STEP, Backlog, BufferStatistics, EntryTimes, ReaderStatistics
from go_state.core.errors import Full, Lagged, UsageError, UsedAfterClose
from go_state.system.forks import belongs_to_parent
from go_state.system.locks import Lock, is_held_here
from go_state.waking.waker import Waker

Msg = TypeVar("Msg")

REFUSED = "the buffer is closed and takes no more messages: the message was not put"


class _NoMessage:
    def __repr__(self) -> str:
        return "NO_MESSAGE"


NO_MESSAGE: Any = _NoMessage()  # of any type, as it stands in the place of a message
"""The first message of a put of none.

Puts have this default, and not `*messages` alone, because Python makes a tuple of these at each call: that is 110 ns, and this 82.
"""


class Log(Generic[Msg]):
    """A lossless ordered log in memory: an inbox, what is retained, and the cursors of its readers.

    The two faces over it are `Buffer` (or `Journal`) and `Consumer`; a run works on the log and a `Cursor` directly.
    """

    def __init__(
        self,
        retained: Retained[Msg],
        *,
        maxsize: int | None = None,
        retention: Retention = drop_committed,
        clock: Callable[[], float] = time.monotonic,
        in_memory: bool = True,
    ) -> None:
        if maxsize is not None and maxsize < 1:
            raise UsageError(f"maxsize is at least 1, or None for a buffer without a bound, not {maxsize}")
        self.maxsize = maxsize
        self.retention = retention
        self.clock = clock
        self.inbox: list[object] = []  #: what was put and not absorbed: of a buffer the messages, of a journal its entries
        self.append: Callable[[object], object] = self.inbox.append
        self.attention = True  #: whether the next put has to come to `attend`
        self.asks_policy = retention not in (drop_committed, keep_all)  #: a policy of the user's, called outside the lock
        self._counts = maxsize is not None or self.asks_policy  # these must act at every put
        self.locked_put = self._counts  #: whether a put has to take the lock

        # Guards everything below, and the removal of entries from the inbox. It knows whose it is: see `attend`.
        self.lock: Lock = threading.RLock()
        self.retained = retained
        self.times = EntryTimes()
        self.cursors: list[Place] = []  #: of the open readers
        self.sleepers: list[Waker] = []  #: of sleeping readers; whoever wakes them takes them out, with the lock or without
        self._in_memory = in_memory
        self.may_be_owned = in_memory and not self._counts  #: whether a run may have it alone
        self.owner: Owner[Msg] | None = None  #: of the run that has
        self.closers: list[Waker] = []  #: of those who wait for the readers to finish
        self.closed = False
        self.in_parent = False  #: whether this is a forked child's copy, which is of no use there
        self._cut = False  # closed, and what is in the inbox came too late
        self._entered = 0.0  # when the first message of the inbox entered

    # ------------------------------------------------------------------ putting

    def attend(self, entries: Sequence[object]) -> None:
        """Do what the fast path has no time for: date the first message of the inbox, wake sleepers, notice a close.

        No lock is taken: this thread may hold it, further up, where a finalizer or a signal handler has interrupted it.
        """
        if self.closed:
            self._take_back(entries)
            return
        now = self.clock()
        try:
            owner = self.owner
            if owner is not None:
                owner.own = None  # what its run sends from here on comes behind these
            if self.attention:
                self._entered = now
            self.attention = self.closed  # in one step: once it is closed this stays set, and every put comes here
            if self.sleepers:
                wake_each(self.sleepers)
        except BaseException:  # Ctrl-C: the message may be there with nobody woken
            self.attention = True
            self.wake_sleepers()
            raise
        if self.closed:
            self._take_back(entries)

    def _take_back(self, entries: Sequence[object]) -> None:
        """Raise `Closed` if the put has crossed with close() and came too late; what close() absorbed is accepted.

        Equal objects put by two threads may swap their answers: as many enter as are told so.
        """
        with self.lock:
            refused = take_out(entries, self.inbox)
        if refused:
            raise UsedAfterClose(REFUSED)

    def put_together(self, messages: tuple[Msg, ...]) -> None:
        """Append the messages as one step, under the lock if this log counts its messages. Raises `Closed` and `Full`."""
        if self.closed or self.in_parent:
            self.check_open()
        if not messages:
            return
        if self._counts and not is_held_here(self.lock):
            self._put_counted(messages)
            return
        if self.maxsize is not None:
            self._check_room(len(messages) + len(self.inbox))
        if self.inbox:
            self.times.note_late(self.retained.end + len(self.inbox), self.clock())
        self.inbox += messages  # in one step
        if self.attention:
            self.attend(messages)

    def check_open(self) -> None:
        """Raise `Closed` after `close`, and what the lock raises in a forked child."""
        if self.in_parent:
            with self.lock:
                return
        if self.closed:
            raise UsedAfterClose(REFUSED)

    def _put_counted(self, messages: tuple[Msg, ...]) -> None:
        with self.lock:
            self.check_open()
            self.look()
            self._check_room(len(messages))
            self.enter(messages)
        if self.asks_policy:
            self.apply_retention()

    def put_known(self, message: Msg, know: Callable[[int], object], *others: Msg) -> None:
        """Put one message, the others together with it, and call `know(position)` before any reader can have it.

        Raises as `put` does, and then has not called. Of a put that has interrupted this thread where it holds the lock, such as a
        signal handler's, the position cannot be known: then `know` is not called either.
        """
        if is_held_here(self.lock):
            self.put_together((message, *others))
            return
        with self.lock:
            self.check_open()
            self.share()
            retained = self.look()
            self._check_room(1 + len(others))
            know(retained.end)
            self.enter((message, *others))
        if self.asks_policy:
            self.apply_retention()

    def _check_room(self, more: int) -> None:
        if self.maxsize is not None and self.retained.end - self.retained.start + more > self.maxsize:
            raise Full(self.maxsize)

    def enter(self, messages: Sequence[Msg]) -> None:
        """Append to what is retained and wake the sleepers. Lock held, inbox absorbed."""
        self.note(self.clock())
        self.retained.extend(messages)
        self.wake_sleepers()

    def note(self, when: float) -> None:
        """Note when the next message to be retained entered. Lock held."""
        if self._in_memory:
            self.times.note(self.retained.end, when, self.retained.start)
        elif not (rates := self.times.rates) or when - rates[-1][1] >= STEP:
            rates.append((self.retained.end, when))

    # ------------------------------------------------------------------ waking

    def wake_sleepers(self) -> None:
        """Wake every sleeping reader; from any thread, with the lock or without."""
        wake_each(self.sleepers)

    # ------------------------------------------------------------------ looking, all with the lock held

    def absorb(self) -> None:
        """Move what the owner has appended, and then the inbox, into what is retained. Lock held."""
        owner = self.owner
        if owner is not None:
            owner.take_in()
        if self._cut:
            return  # what is still in the inbox was put after the close and is about to be refused
        dated, entered, self.attention = not self.attention, self._entered, True  # before the inbox is read: see above
        count = len(self.inbox)
        if count:
            if owner is not None:
                self.share()
            retained = self.retained
            self.note(entered if dated else self.clock())  # not dated: its put is on its way to `attend`, so it is new
            retained.take_in(self.inbox, count)
        self._cut = self.closed

    def share(self) -> None:
        """End the owner's time alone, and take in what it has appended until then. Lock held; a second call is harmless.

        `own` first, and then how much there is: what the owner appends in between finds that it has come too late.
        """
        owner = self.owner
        if owner is not None:
            owner.own = None
            owner.take_in()
            self.owner = None

    def lend(self, *, to_owner: bool) -> None:
        """Allow a run to have this log alone, as in the beginning, or not any more: then each message has its position at once."""
        with self.lock:
            self.may_be_owned = to_owner and self._in_memory and not self._counts
            self.share()

    def look(self) -> Retained[Msg]:
        """Return what is retained, brought up to date. Lock held."""
        self.absorb()
        self.on_commit()
        return self.retained

    def take(self, cursor: Place, limit: int) -> list[Msg]:
        """Read up to `limit` messages at the cursor, which moves behind them; see `Cursor.take`. Lock held."""
        if limit < 1:
            raise UsageError(f"take() reads at least one message, not {limit}")
        if cursor.closed:
            raise UsedAfterClose("this consumer is closed")
        self.absorb()
        retained, position = self.retained, cursor.position
        if position < retained.start:
            raise Lagged(retained.start - position, retained.start)
        messages = retained.read(position, limit)
        cursor.position = position + len(messages)
        return messages

    def on_commit(self) -> None:
        """Forget what every reader has committed, and wake who waits for all to be committed. Lock held."""
        cursors = self.cursors
        if cursors and self.retention is drop_committed:
            self.retained.trim(cursors[0].committed if len(cursors) == 1 else min([each.committed for each in cursors]))
        if self.closers and self.is_drained():
            wake_each(self.closers)

    def is_drained(self) -> bool:
        """Return whether every open reader has committed everything. Lock held."""
        for cursor in self.cursors:  # noqa: SIM110 - Ctrl-C is lost in a generator that `all` drops
            if cursor.committed < self.retained.end:
                return False
        return True

    # ------------------------------------------------------------------ readers

    def remove(self, cursor: Place) -> None:
        """Remove the cursor. Lock held."""
        if cursor in self.cursors:
            self.share()
            self.on_commit()  # while it still counts: what it committed is done
            self.cursors.remove(cursor)
            self.on_commit()

    def apply_retention(self) -> None:
        """Ask a policy that is not the default. Lock not held: the policy is the user's and may call the buffer."""
        with self.lock:
            start, end = self.retained.start, self.retained.end
            asked = {cursor: cursor.committed for cursor in self.cursors}
        drop = self.retention(end - start, [committed - start for committed in asked.values()])
        with self.lock:
            if any(cursor.committed < asked.get(cursor, math.inf) for cursor in self.cursors):
                return  # one was opened or went back meanwhile, of whom the policy knew nothing: the next put or commit asks
            self.retained.trim(start + max(0, min(drop, end - start)))

    # ------------------------------------------------------------------ what an operator wants to know

    def slice(self) -> list[Msg]:
        """Return the retained messages, oldest first."""
        with self.lock:
            retained = self.look()
            return retained.read(retained.start, retained.end - retained.start)

    def size(self) -> int:
        """Return how many messages are retained."""
        with self.lock:
            retained = self.look()
            return retained.end - retained.start

    def statistics(self, oldest_age: Callable[[float], float] | None = None) -> BufferStatistics:
        """Return `BufferStatistics`; `oldest_age(now)` says how old the oldest message is, if it is not noted here."""
        with self.lock:
            retained = self.look()
            now = self.clock()  # after the last message that was noted: nothing is younger than now
            start, end = retained.start, retained.end
            age = None
            if start != end:
                age = self.times.age(start, now) if oldest_age is None else oldest_age(now)
            readers = tuple(ReaderStatistics(each.position, each.committed, end - each.position) for each in self.cursors)
            return BufferStatistics(end - start, start, end, age, self.times.rate(end, now), self.closed, readers)

    def backlog(self, position: int | None) -> Backlog:
        """Return what waits from the position on, or all of it."""
        found = self.statistics()
        size = max(found.end - (found.start if position is None else position), 0)
        return Backlog(size, found.oldest_age if size else None, found.rate)

    # ------------------------------------------------------------------ closing

    def refuse(self) -> None:
        """Refuse further puts and wake every reader, as `close` does, and wait for nobody; harmless in a forked child."""
        if not self.in_parent:
            self.shut(None)

    def shut(self, closer: Waker | None) -> None:
        """Refuse further puts; `closer` is woken when every open reader has committed everything."""
        with self.lock:
            self.locked_put = True
            self.closed = True
            self.share()
            self.absorb()  # the cut: what is in the inbox now is accepted, what comes later is refused
            self.wake_sleepers()
            if closer is not None:
                self.closers.append(closer)
                if self.is_drained():
                    wake_each(self.closers)

    def forget_closer(self, closer: Waker) -> None:
        """Forget one who waits no longer."""
        with self.lock:
            if closer in self.closers:
                self.closers.remove(closer)

    def after_fork_in_child(self) -> None:
        """In a forked child: make every use raise, because those who put and read are in the parent. Closing stays harmless."""
        self.leave_to_parent(belongs_to_parent("a buffer"))

    def leave_to_parent(self, stand_in: Any) -> None:
        """Do so with this stand-in for the lock, which raises when it is taken."""
        self.lock = self.append = stand_in  # a put takes no lock
        self.in_parent = self.locked_put = True


def wake_each(wakers: list[Waker]) -> None:
    """Wake each and take it out, in this order: Ctrl-C in between wakes one twice, and leaves none asleep.

    Others may do so at the same time, and be faster.
    """
    while wakers:
        try:
            waker = wakers[-1]
        except IndexError:
            return
        waker.wake()
        with suppress(ValueError):
            wakers.remove(waker)
