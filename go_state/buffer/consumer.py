"""A consumer: one reader's position in a buffer, and its waits.

Reading moves `position`; `commit` moves `committed` up to it and `rollback` moves it back, so what was read and not committed is
given again. A wait that is cancelled or times out has moved nothing.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar

from go_state.buffer.locks import Lock
from go_state.buffer.retained import Retained
from go_state.core.errors import Closed, ConcurrentGet, Empty, Lagged, NothingPending, TimedOut, UsageError
from go_state.waking.deadlines import check_timeout, deadline
from go_state.waking.thread_waker import ThreadWaker
from go_state.waking.waker import Waker

if TYPE_CHECKING:
    from go_state.buffer.buffer import Buffer

Msg = TypeVar("Msg")

_TRIM_STEP = 64  # messages: a run that settles every turn leaves the trimming to whoever looks, or until so many have gathered
_CHECKPOINT_SECONDS = 0.002  # how long a task that gets message after message may keep the event loop from the others


class Consumer(Generic[Msg]):
    """One reader of a `Buffer`; made by `buffer.consumer()`, closed by `close` or at the end of its `with` block.

    It may be used from any thread or event loop, by one of them at a time. Iterating commits each message when the next is asked
    for and ends when the buffer is closed and drained.
    """

    def __init__(
        self, buffer: Buffer[Msg], retained: Retained[Msg], lock: Lock, start: Literal["oldest", "newest"] | int
    ) -> None:
        self._buffer = buffer
        self._retained = retained
        self._lock = lock  # the buffer's; guards all below
        self.committed = self._find(start)  #: the first position that is not committed
        self.position = self.committed  #: the position that is read next
        self._waker: Waker | None = None  # the one that this reader sleeps by
        self._closed = False
        self._in_parent = False  # whether this is what a forked child has of it
        self._woken = False
        self._checkpoint_at = 0.0  # when the event loop is to be given back

    # ------------------------------------------------------------------ reading

    def get_nowait(self) -> Msg:
        """Return the next message; `Empty` when there is none now, `Closed` when there will be none, `Lagged` when it is gone."""
        messages = self.take(1)
        if messages:
            return messages[0]
        with self._lock:
            self._look()
        raise Empty("there is no message to read right now")

    def get(self, timeout: float | None = None) -> Msg:
        """Return the next message, waiting up to `timeout` seconds for it (None: as long as it takes).

        Raises `TimedOut`, `Closed`, `Lagged`, or `ConcurrentGet` when another thread or task waits on this reader.
        """
        if timeout is not None:
            check_timeout(timeout)
        while not (messages := self.take(1)):
            self.wait(timeout)
        return messages[0]

    async def get_async(self, timeout: float | None = None) -> Msg:
        """Return the next message as `get` does, waiting on the event loop; a cancelled wait loses nothing.

        Whoever gets one after the other gives the event loop back every few milliseconds, however many there are.
        """
        if timeout is not None:
            check_timeout(timeout)
        await self._give_way()
        while not (messages := self.take(1)):
            await self.wait_async(timeout)
            self._has_given_way()
        return messages[0]

    async def _give_way(self) -> None:
        """Give the event loop back if it had no turn for a while."""
        if time.monotonic() >= self._checkpoint_at:
            await _breathe()
            self._has_given_way()

    def _has_given_way(self) -> None:
        self._checkpoint_at = time.monotonic() + _CHECKPOINT_SECONDS

    def take(self, limit: int) -> list[Msg]:
        """Read up to `limit` messages without waiting; an empty list when there is none. Raises `Lagged`."""
        if limit < 1:
            raise UsageError(f"take() reads at least one message, not {limit}")
        with self._lock:
            return self._take(limit)

    def _take(self, limit: int) -> list[Msg]:
        """Do so. Lock held."""
        if self._closed:
            raise Closed("this consumer is closed")
        self._buffer._absorb()
        retained, position = self._retained, self.position
        if position < retained.start:
            raise Lagged(retained.start - position, retained.start)
        messages = retained.read(position, limit)
        self.position = position + len(messages)
        return messages

    def wait(self, timeout: float | None = None) -> None:
        """Block until there is a message to read. Raises like `get`."""
        until = deadline(timeout)
        while True:
            waker = ThreadWaker()
            try:
                if self._lie_down(waker):
                    return
                rang = waker.sleep(until)
            finally:
                self._get_up(waker)
            if not rang:
                raise TimedOut(f"nothing came within {timeout} seconds; nothing was consumed")

    async def wait_async(self, timeout: float | None = None) -> None:
        """Wait on the event loop until there is a message to read. Raises like `get`."""
        from go_state.waking.loop_waker import LoopWaker

        until = deadline(timeout)
        while True:
            waker = LoopWaker()
            try:
                if self._lie_down(waker):
                    return
                rang = await waker.sleep(until)
            finally:
                self._get_up(waker)
            if not rang:
                raise TimedOut(f"nothing came within {timeout} seconds; nothing was consumed")

    def wake(self) -> None:
        """Have a wait that is under way, or else the next one, return at once though there may be nothing; from any thread."""
        with self._lock:
            self._woken = True
            if self._waker is not None:
                self._waker.wake()

    def _look(self) -> bool:
        """Tell whether a read would give or raise something; `Closed` when nothing will ever come. Lock held."""
        if self._closed:
            raise Closed("this consumer is closed")
        self._buffer._absorb()
        if self.position != self._retained.end:
            return True
        if self._buffer.closed:
            raise Closed("the buffer is closed and this reader has read all of it")
        return False

    def _lie_down(self, waker: Waker) -> bool:
        """Return True when there is something to read, else leave the waker with the buffer."""
        with self._lock:
            woken, self._woken = self._woken, False
            if self._look() or woken:
                return True
            self._check_alone()
            self._waker = waker
            buffer = self._buffer
            buffer._wakers.append(waker)
            # A put takes no lock. One that had appended before the look above may have dated and rung before the waker was there:
            # from here on it is seen in the inbox, or sees the flag and rings.
            buffer._attention = True
            return bool(buffer._inbox)

    def _check_alone(self) -> None:
        if self._waker is not None:
            raise ConcurrentGet("another thread or task already waits on this consumer: open one for each")

    def _get_up(self, waker: Waker) -> None:
        with self._lock:
            if self._waker is not waker:
                return  # it did not lie down, and another sleeps here
            self._waker = None
            with suppress(ValueError):  # whoever has rung it has taken it out
                self._buffer._wakers.remove(waker)

    # ------------------------------------------------------------------ moving

    def commit(self) -> int:
        """Take what was read for done and return how many messages that were; `NothingPending` when there are none."""
        return self._finish(commit=True)

    async def commit_async(self) -> int:
        """Commit as `commit` does, waiting on the event loop for what has to be written."""
        return self.commit()

    def rollback(self) -> int:
        """Go back to the first uncommitted message and return how many will be given again; `NothingPending` for none."""
        return self._finish(commit=False)

    def _finish(self, *, commit: bool) -> int:
        with self._lock:
            count = self.position - self.committed
            if not count:
                verb = "commit" if commit else "roll back"
                raise NothingPending(f"there is nothing to {verb}: nothing was read since the last commit or rollback")
            if commit:
                self.committed = self.position
                self._buffer._settled()
            else:
                self.position = self.committed
        if commit and self._buffer._asks_policy:
            self._buffer._apply_retention()
        return count

    def settle(self, count: int, messages: Sequence[Msg] = (), follow: bool = False, /) -> Sequence[Msg]:
        """Commit `count` more messages and append the reader's own ones, as one step; a run does this after each turn.

        The reader's own messages enter after all that is already there, also when the buffer is full, or closed. With `follow`,
        where they are next to be read, they count as read and are returned.
        """
        buffer, retained, number = self._buffer, self._retained, len(messages)
        following: Sequence[Msg] = ()
        with self._lock:
            if not number:
                self.committed += count
            else:
                if buffer._inbox:
                    buffer._absorb()
                buffer._note(buffer._clock())
                follows = follow and self.position == retained.end
                # No call until all has moved, so that Ctrl-C finds it before or after the step: see Buffer._absorb.
                retained._items += messages
                retained.end += number
                self.committed += count
                if follows:
                    self.position += number
                    following = messages
                if buffer._wakers:
                    buffer._wake_all(buffer._wakers)
            if self.committed - retained.start >= _TRIM_STEP or buffer._closers:
                buffer._settled()
        if buffer._asks_policy:
            buffer._apply_retention()
        return following

    def seek(self, where: Literal["oldest", "newest"] | int) -> None:
        """Go on reading elsewhere, with nothing pending: at the oldest or after the newest message, or at a position."""
        with self._lock:
            self._buffer._look()
            self.position = self.committed = self._find(where)
            self._buffer._settled()

    def _find(self, where: Literal["oldest", "newest"] | int) -> int:
        start, end = self._retained.start, self._retained.end
        if where == "oldest":
            return start
        if where == "newest":
            return end
        if not isinstance(where, int) or where < 0 or where > end:
            raise UsageError(f'a reader stands at "oldest", "newest" or a position from {start} to {end}, not at {where!r}')
        if where < start:
            raise Lagged(start - where, start)
        return where

    # ------------------------------------------------------------------ convenience

    def diff(self) -> int:
        """Return how many messages there are yet to read."""
        with self._lock:
            self._buffer._absorb()
            return self._retained.end - self.position

    def empty(self) -> bool:
        """Tell whether there is nothing to read right now."""
        return self.diff() <= 0

    def belongs_to(self, buffer: object, /) -> bool:
        """Tell whether this is an open reader of that buffer."""
        return buffer is self._buffer and not self._closed

    def range(self, fn: Callable[[int, Msg], object], *, wait: bool = True) -> None:
        """Call `fn(index, message)` for each message and commit it, until `fn` returns False or the buffer ends.

        Without `wait` it ends when there is nothing to read. An exception of `fn` rolls that message back and passes on.
        """
        if not callable(fn) or inspect.iscoroutinefunction(fn):  # also where there is no message to call it for
            found = "a coroutine function" if callable(fn) else "None" if fn is None else f"a {type(fn).__qualname__}"
            raise UsageError(f"range() takes a function of (index, message), not {found}")
        index = 0
        while True:
            try:
                message = self.get() if wait else self.get_nowait()
            except (Closed, Empty):
                return
            try:
                more = fn(index, message)
            except BaseException:
                self._rollback_pending()
                raise
            self._commit_pending()
            if more is False:
                return
            index += 1

    def transaction(self, timeout: float | None = None) -> Transaction[Msg]:
        """Return a block around one message: `with consumer.transaction() as message:`, or `async with`.

        The message is committed when the block ends, and rolled back when it ends by an exception.
        """
        return Transaction(self, timeout)

    def __iter__(self) -> Iterator[Msg]:
        try:
            while True:
                yield self.get()
                self._commit_pending()
        except Closed:
            return

    async def __aiter__(self) -> AsyncIterator[Msg]:
        try:
            while True:
                yield await self.get_async()
                await self._commit_pending_async()
        except Closed:
            return

    def _commit_pending(self) -> None:
        if self.position != self.committed:  # the loop's body may have committed or rolled back by itself
            self.commit()

    async def _commit_pending_async(self) -> None:
        if self.position != self.committed:
            await self.commit_async()

    def _rollback_pending(self) -> None:
        if self.position != self.committed:
            self.rollback()

    # ------------------------------------------------------------------ closing

    def close(self) -> None:
        """End the reader; what it did not commit is its loss alone. A waiting get is freed with `Closed`."""
        if self._in_parent:
            return
        with self._lock:  # done twice it is done once, so that what Ctrl-C has cut short is done again
            self._closed = True
            self._buffer._remove(self)
            if self._waker is not None:
                self._waker.wake()
        if self._buffer._asks_policy:
            self._buffer._apply_retention()

    def after_fork_in_child(self, lock: Any) -> None:
        """In a forked child: have every use raise, as the lock does; to close it is harmless."""
        self._lock = lock
        self._in_parent = True

    async def aclose(self) -> None:
        """Close on an event loop."""
        if self._in_parent:
            return
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def _breathe() -> None:
    """Give other tasks of the event loop their turn."""
    import asyncio

    await asyncio.sleep(0)


class Transaction(Generic[Msg]):
    """A block around one message; see `Consumer.transaction`."""

    def __init__(self, consumer: Consumer[Msg], timeout: float | None) -> None:
        self._consumer = consumer
        self._timeout = timeout

    def __enter__(self) -> Msg:
        return self._consumer.get(self._timeout)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self._consumer._commit_pending()
        else:
            self._consumer._rollback_pending()

    async def __aenter__(self) -> Msg:
        return await self._consumer.get_async(self._timeout)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._consumer._commit_pending_async()
        else:
            self._consumer._rollback_pending()
