"""The buffer: a lossless ordered log in memory, put by anybody, read by many.

Messages enter by `put`, from any thread or task, in an order that all readers see alike; they leave through consumers, each with a
position of its own. Nothing is lost, nothing is given twice to one reader, and no wait outlives the buffer. Look next at
`consumer.py`.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Generic, Literal, TypeVar

from go_state.buffer.consumer import Consumer
from go_state.buffer.locks import Lock, is_held_here
from go_state.buffer.retained import Retained, take_out
from go_state.buffer.retention import Retention, drop_committed, keep_all
from go_state.buffer.statistics import Backlog, BufferStatistics, ReaderStatistics
from go_state.core.errors import Closed, Full, TimedOut, UsageError
from go_state.system.forks import at_fork, belongs_to_parent, reset_lock
from go_state.waking.deadlines import deadline
from go_state.waking.thread_waker import ThreadWaker
from go_state.waking.waker import Waker

Msg = TypeVar("Msg")

_AGE_STEP = 0.01  # seconds: what entered within so short a time shares one note of when, which bounds the notes by time
_RATE_NOTES = 128  # the rate is the mean over at most so many notes


class Buffer(Generic[Msg]):
    """An unbounded, thread-safe, one-to-many queue.

    `maxsize` makes `put` raise `Full` while that many messages are retained; a run's own messages always enter. `retention` says
    what may be forgotten (`drop_committed`, `fixed`, `keep_all`, or a function of yours). `clock` gives seconds, serves
    `statistics` only, and must not use the buffer. A finalizer (`__del__`, a `weakref` callback) or a signal handler may put, and do
    nothing else with it: it may interrupt a thread that holds the buffer's lock, for which `put` does not wait.

    >>> with Buffer() as buffer, buffer.consumer() as consumer:
    ...     buffer.put("a", "b")
    ...     consumer.get(), consumer.get(timeout=1), consumer.commit()
    ('a', 'b', 2)
    """

    def __init__(
        self,
        *,
        maxsize: int | None = None,
        retention: Retention = drop_committed,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if maxsize is not None and maxsize < 1:
            raise UsageError(f"maxsize is at least 1, or None for a buffer without a bound, not {maxsize}")
        self._maxsize = maxsize
        self._retention = retention
        self._clock = clock

        # The fast path of put takes no lock: it appends to the inbox and then looks at _attention. In a trial a lock in every
        # put cost 4.5-5.3 times the bare loop, this 1.6-1.8 times. Whoever is about to rely on having seen every message sets
        # _attention first and reads the inbox after, so that a put either is seen or sees the flag and comes to _attend.
        self._inbox: list[Msg] = []
        self._append = self._inbox.append
        self._extend = self._inbox.extend
        self._attention = True
        self._asks_policy = retention not in (drop_committed, keep_all)  # a policy of the user's, called outside the lock
        self._counts = maxsize is not None or self._asks_policy  # these must act at every put
        self._locked_put = self._counts

        # Guards everything below, and the removal of messages from the inbox. Only what counts has to know whose it is.
        self._lock: Lock = threading.RLock() if self._counts else threading.Lock()
        self._retained: Retained[Msg] = Retained()
        self._readers: list[Consumer[Msg]] = []
        self._wakers: list[Waker] = []  # of sleeping readers; whoever rings them takes them out, with the lock or without
        self._closed = False
        self._cut = False  # closed, and what is in the inbox came too late
        self._in_parent = False  # whether this is what a forked child has of it
        self._closers: list[Waker] = []  # of those who wait for the readers to finish
        self._entered = 0.0  # when the first message of the inbox entered
        self._notes: deque[tuple[int, float]] = deque()  # (position, when it entered), sparse: see _AGE_STEP
        self._later: list[
            tuple[int, float]
        ] = []  # the same, of messages that found others in the inbox; appended without the lock
        self._rates: deque[tuple[int, float]] = deque(maxlen=_RATE_NOTES)  # the same, kept although trimmed
        at_fork(self)

    # ------------------------------------------------------------------ putting

    def put(self, *messages: Msg) -> None:
        """Append the messages in order, together; from any thread, without waiting.

        Raises `Closed` after `close`, and `Full` when a `maxsize` was asked for and the messages do not fit; then none entered.
        """
        if self._locked_put or len(messages) != 1:
            self._put_together(messages)
            return
        self._append(messages[0])
        if self._attention:
            self._attend(messages)

    async def put_async(self, *messages: Msg) -> None:
        """Append the messages as `put` does, waiting on the event loop where they have to be written to disk."""
        self.put(*messages)

    def put_known(self, message: Msg, know: Callable[[int], object]) -> None:
        """Put one message, and call `know(position)` before any reader can have it. Raises as `put` does, and then has not called."""
        with self._lock:
            if self._closed:
                raise Closed(_REFUSED)
            retained = self._look()
            self._check_room(1)
            know(retained.end)
            self._enter((message,))
        if self._asks_policy:
            self._apply_retention()

    def enqueue(self, *messages: Msg, know: Callable[[int], object] | None = None) -> None:
        """Put messages without waiting for a disk, which no buffer in memory has: see `Journal.enqueue`."""
        if know is None:
            self.put(*messages)
        else:
            self.put_known(messages[0], know)

    def _attend(self, messages: Sequence[Msg]) -> None:
        """Do what the fast path has no time for: date the first message of the inbox, wake sleepers, notice a close.

        No lock is taken: this thread may hold it, further up, where a finalizer or a signal handler has interrupted it.
        """
        if self._closed:
            self._take_back(messages)
            return
        now = self._clock()
        try:
            if self._attention:
                self._entered = now
            self._attention = self._closed  # in one step: once it is closed this stays set, and every put comes here
            self._wake_all(self._wakers)
        except BaseException:  # Ctrl-C: the message may be there with nobody woken
            self._attention = True
            self._wake_all(self._wakers)
            raise
        if self._closed:
            self._take_back(messages)

    def _take_back(self, messages: Sequence[Msg]) -> None:
        """Raise `Closed` where the put has crossed with close() and came too late; what close() took in is accepted.

        Equal objects put by two threads may swap their answers: as many enter as are told so.
        """
        with self._lock:
            refused = take_out(messages, self._inbox)
        if refused:
            raise Closed(_REFUSED)

    def _put_together(self, messages: tuple[Msg, ...]) -> None:
        if self._closed:
            raise Closed(_REFUSED)
        if not messages:
            return
        if self._counts and not is_held_here(self._lock):
            self._put_counted(messages)
            return
        if self._maxsize is not None:
            self._check_room(len(messages) + len(self._inbox))
        if self._inbox:
            self._note_later()
        self._extend(messages)  # in one step
        if self._attention:
            self._attend(messages)

    def _note_later(self) -> None:
        """Note when messages enter that find others in the inbox: seldom, or putting would outrun a reader that takes in the notes."""
        later, now = self._later, self._clock()  # a reader may take the list away at any time; then a note is lost
        if not later or now - later[-1][1] >= _AGE_STEP:
            later.append((self._retained.end + len(self._inbox), now))

    def _put_counted(self, messages: tuple[Msg, ...]) -> None:
        with self._lock:
            if self._closed:
                raise Closed(_REFUSED)
            self._look()
            self._check_room(len(messages))
            self._enter(messages)
        if self._asks_policy:
            self._apply_retention()

    def _check_room(self, more: int) -> None:
        if self._maxsize is not None and self._retained.end - self._retained.start + more > self._maxsize:
            raise Full(self._maxsize)

    def _enter(self, messages: Sequence[Msg]) -> None:
        """Append to what is retained and wake the sleepers. Lock held, inbox absorbed."""
        self._note(self._clock())
        self._retained.extend(messages)
        if self._wakers:
            self._wake_all(self._wakers)

    @staticmethod
    def _wake_all(wakers: list[Waker]) -> None:
        """Ring each waker and take it out, in this order: Ctrl-C in between wakes one twice, and leaves none asleep.

        Others may ring at the same time, and be faster.
        """
        while wakers:
            try:
                waker = wakers[-1]
            except IndexError:
                return
            waker.wake()
            with suppress(ValueError):
                wakers.remove(waker)

    def _absorb(self) -> None:
        """Move the inbox into what is retained. Lock held."""
        if self._cut:
            return  # what is still in the inbox was put after the close and is about to be refused
        dated, entered, self._attention = not self._attention, self._entered, True  # before the inbox is read: see __init__
        count = len(self._inbox)
        if count:
            self._note(entered if dated else self._clock())  # not dated: its put is on its way there, so it is new
            # No call between the two: CPython delivers signals after calls, and Ctrl-C must not leave a message in both lists.
            inbox, retained, items = self._inbox, self._retained, self._retained._items
            items += inbox[:count]
            retained.end += count
            del inbox[:count]
        self._cut = self._closed

    def _note(self, when: float) -> None:
        """Note when the next message to be retained entered. Lock held."""
        notes, later = self._notes, self._later
        self._later = []
        for position, entered in [(self._retained.end, when), *later]:
            if not notes or entered - notes[-1][1] >= _AGE_STEP:
                while len(notes) > 1 and notes[1][0] <= self._retained.start:
                    notes.popleft()
                notes.append((position, entered))
                self._rates.append((position, entered))

    # ------------------------------------------------------------------ reading

    def consumer(self, start: Literal["oldest", "newest"] | int = "oldest") -> Consumer[Msg]:
        """Open a reader at the oldest retained message, after the newest, or at a position.

        Raises `Lagged` for a position that was trimmed away, `UsageError` for one that does not exist yet. A closed buffer gives
        readers too: they get what is retained, and then `Closed`.
        """
        with self._lock:
            retained = self._look()
            consumer = Consumer(self, retained, self._lock, start)
            self._readers.append(consumer)
            return consumer

    def slice(self) -> list[Msg]:
        """Return the retained messages, oldest first."""
        with self._lock:
            retained = self._look()
            return retained.read(retained.start, retained.end - retained.start)

    def size(self) -> int:
        """Return how many messages are retained."""
        with self._lock:
            retained = self._look()
            return retained.end - retained.start

    def diff(self, consumer: Consumer[Msg]) -> int:
        """Return how many messages the reader has yet to read; `UsageError` for another buffer's reader."""
        self._check_own("diff", consumer)
        return consumer.diff()

    def range(self, consumer: Consumer[Msg], fn: Callable[[int, Msg], object]) -> None:
        """Call `fn(index, message)` for what there is to read now, committing each, until `fn` returns False.

        An exception of `fn` rolls that message back. `consumer.range` waits for more instead of ending.
        """
        self._check_own("range", consumer)
        consumer.range(fn, wait=False)

    def _check_own(self, called: str, consumer: object) -> None:
        if not isinstance(consumer, Consumer) or not consumer.belongs_to(self):
            raise UsageError(f"{called}() takes an open consumer of this buffer, not {_what_else(consumer)}")

    def statistics(self) -> BufferStatistics:
        """Return what an operator wants to know; see `BufferStatistics`."""
        with self._lock:
            retained = self._look()
            now = self._clock()  # after the last message there is a note of: nothing is younger than now
            start, end = retained.start, retained.end
            readers = tuple(ReaderStatistics(r.position, r.committed, end - r.position) for r in self._readers)
            return BufferStatistics(
                size=end - start,
                start=start,
                end=end,
                oldest_age=None if start == end else self._oldest_age(now),
                rate=self._rate(now),
                closed=self._closed,
                readers=readers,
            )

    def _rate(self, now: float) -> float:
        """Return how many messages a second entered lately. Lock held, inbox absorbed."""
        end = self._retained.end
        first, since = self._rates[0] if self._rates else (end, now)
        return (end - first) / (now - since) if now > since else 0.0

    def backlog(self, position: int | None) -> Backlog:
        """Return what waits from the position on, which is that of a reader of yours, or else all of it."""
        found = self.statistics()
        size = max(found.end - (found.start if position is None else position), 0)
        return Backlog(size, found.oldest_age if size else None, found.rate)

    def _oldest_age(self, now: float) -> float:
        """Return how long ago the oldest message entered, of which there is one. Lock held."""
        return now - [when for position, when in self._notes if position <= self._retained.start][-1]

    # ------------------------------------------------------------------ what consumers call, lock held where it says so

    def _look(self) -> Retained[Msg]:
        """Return what is retained, brought up to date. Lock held."""
        self._absorb()
        self._settled()
        return self._retained

    def _settled(self) -> None:
        """Forget what may be forgotten after a commit. Lock held."""
        readers = self._readers
        if readers and self._retention is drop_committed:
            self._retained.trim(readers[0].committed if len(readers) == 1 else min([reader.committed for reader in readers]))
        if self._closers and self._is_drained():
            self._wake_all(self._closers)

    def _remove(self, consumer: Consumer[Msg]) -> None:
        """Strike the reader off. Lock held."""
        if consumer in self._readers:
            self._settled()  # while it still counts: what it settled is done
            self._readers.remove(consumer)
            self._settled()

    def _apply_retention(self) -> None:
        """Ask a policy that is not the default. Lock not held: the policy is the user's and may call the buffer."""
        with self._lock:
            start, end = self._retained.start, self._retained.end
            asked = {reader: reader.committed for reader in self._readers}
        drop = self._retention(end - start, [committed - start for committed in asked.values()])
        with self._lock:
            if any(reader.committed < asked.get(reader, math.inf) for reader in self._readers):
                return  # one was opened or went back meanwhile, of whom the policy knew nothing: the next put or commit asks
            self._retained.trim(start + max(0, min(drop, end - start)))

    # ------------------------------------------------------------------ closing

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self, *, timeout: float | None = None) -> None:
        """Refuse further puts and wake every waiter; readers drain what is retained and then get `Closed`.

        The messages of a run's own commands still enter; a reader that has got to the end before they do does not see them.
        With a `timeout` also wait so many seconds for every open reader to commit all, and raise `TimedOut` otherwise; the
        buffer is closed all the same. A second call is harmless.
        """
        if self._in_parent:
            return
        waker, until = ThreadWaker(), deadline(timeout)
        self._shut(waker if timeout is not None else None)
        if timeout is not None:
            try:
                rang = waker.sleep(until)
            finally:
                self._forget(waker)
            self._check_drained(rang, timeout)

    def refuse(self) -> None:
        """Refuse further puts, as `close` does, and do nothing more; a journal is then closed by its last reader's end."""
        if not self._in_parent:
            self._shut(None)

    async def close_async(self, *, timeout: float | None = None) -> None:
        """Close as `close` does, waiting on the event loop."""
        from go_state.waking.loop_waker import LoopWaker

        if self._in_parent:
            return
        waker, until = LoopWaker(), deadline(timeout)
        self._shut(waker if timeout is not None else None)
        try:
            rang = timeout is None or await waker.sleep(until)
        finally:
            self._forget(waker)
        self._check_drained(rang, timeout)

    def _shut(self, closer: Waker | None) -> None:
        with self._lock:
            self._locked_put = True
            self._closed = True
            self._absorb()  # the cut: what is in the inbox now is accepted, what comes later is refused
            self._wake_all(self._wakers)
            if closer is not None:
                self._closers.append(closer)
                if self._is_drained():
                    self._wake_all(self._closers)

    @staticmethod
    def _check_drained(drained: bool, timeout: float | None) -> None:
        if not drained:
            raise TimedOut(f"readers had not committed everything within {timeout} seconds; the buffer is closed all the same")

    def _is_drained(self) -> bool:
        return all(reader.committed >= self._retained.end for reader in self._readers)

    def after_fork_in_child(self) -> None:
        """In a forked child: have every use raise, for its readers are the parent's; to close it is harmless."""
        lock, stands = self._lock, belongs_to_parent("a buffer")
        self._lock = self._append = self._extend = stands  # a put takes no lock
        self._in_parent = self._locked_put = True
        for reader in self._readers:
            reader.after_fork_in_child(self._lock)
        reset_lock(lock)  # which readers that were closed know, too

    def _forget(self, closer: Waker) -> None:
        with self._lock:
            if closer in self._closers:
                self._closers.remove(closer)

    def __enter__(self) -> Buffer[Msg]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Buffer[Msg]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()  # as a journal, which has something to write, does not


_REFUSED = "the buffer is closed and takes no more messages: the message was not put"


def _what_else(consumer: object) -> str:
    if isinstance(consumer, Consumer):
        return "one that is closed, or another buffer's"
    return "None" if consumer is None else f"a {type(consumer).__qualname__}"
