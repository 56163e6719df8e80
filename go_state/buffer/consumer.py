"""A consumer: what users hold of one reader of a buffer or a journal.

It is a face over a `Cursor` (`consumer.cursor`), which has the position and the waits; here are the ways to get a message, commit it,
and to do both in a loop or a block.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from go_state.buffer.cursor import Cursor, Start
from go_state.core.errors import Closed, Empty, TimedOut, UsageError
from go_state.system.own_thread import OwnThread
from go_state.waking.deadlines import deadline

Msg = TypeVar("Msg")

_CHECKPOINT_SECONDS = 0.002  # how long a task that gets message after message may keep the event loop from the others


class OnDisk(Protocol[Msg]):
    """What a cursor has as well if its messages are on disk; the async methods then use the disk in a thread."""

    @property
    def thread(self) -> OwnThread:
        """The thread in which the disk is used on behalf of an event loop."""
        ...

    def needs_disk(self) -> bool:
        """Return whether the next message has to be written or read first."""
        ...

    def prepare(self) -> None:
        """Do what `needs_disk` asks for."""
        ...

    def take_written(self, limit: int) -> list[Msg]:
        """Read up to `limit` messages from memory alone."""
        ...

    async def commit_async(self) -> int:
        """Commit, with the disk's part in the thread."""
        ...

    async def close_async(self) -> None:
        """Close, with the disk's part in the thread."""
        ...


class Consumer(Generic[Msg]):
    """One reader of a `Buffer` or a `Journal`; made by their `consumer()`, closed by `close` or at the end of its `with` block.

    It may be used from any thread or event loop, by one of them at a time. Iterating commits each message when the next is asked
    for and ends when the buffer is closed and drained. With a `name`, which readers of a journal can have, its commits are durable.
    """

    def __init__(self, cursor: Cursor[Msg], buffer: object, *, on_disk: OnDisk[Msg] | None = None) -> None:
        self.cursor = cursor  #: the way in for a run, which takes many messages at a time
        self.buffer = buffer  #: the buffer or journal that it reads
        self._disk = on_disk  # the cursor, if its messages are on disk
        self._checkpoint_at = 0.0  # when the event loop is to be given back

    @property
    def name(self) -> str:
        """The name under which a journal keeps what it has committed; empty for all others."""
        return self.cursor.name

    @property
    def position(self) -> int:
        """The position that is read next."""
        return self.cursor.position

    @property
    def committed(self) -> int:
        """The first position that is not committed."""
        return self.cursor.committed

    # ------------------------------------------------------------------ reading

    def get_nowait(self) -> Msg:
        """Return the next message; `Empty` if there is none now, `Closed` if there will be none, `Lagged` if it is gone."""
        messages = self.cursor.take(1)
        if messages:
            return messages[0]
        with self.cursor.log.lock:
            self.cursor.has_more()
        raise Empty("there is no message to read right now")

    def get(self, timeout: float | None = None) -> Msg:
        """Return the next message, waiting up to `timeout` seconds for it (None: as long as it takes).

        Raises `TimedOut`, `Closed`, `Lagged`, or `ConcurrentGet` if another thread or task waits on this reader.
        """
        until = deadline(timeout)
        while not (messages := self.cursor.take(1)):
            if not self.cursor.sleeper.sleep(until):
                raise _took_too_long(timeout)
        return messages[0]

    async def get_async(self, timeout: float | None = None) -> Msg:
        """Return the next message as `get` does, waiting on the event loop; a cancelled wait loses nothing.

        A task that gets one message after the other gives the event loop back every few milliseconds, however many there are.
        """
        until = deadline(timeout)
        await self._give_way()
        if self._disk is not None:
            return await self._get_from_disk(self._disk, timeout, until)
        while not (messages := self.cursor.take(1)):
            await self._sleep_async(timeout, until)
        return messages[0]

    async def _sleep_async(self, timeout: float | None, until: float | None) -> None:
        if not await self.cursor.sleeper.sleep_async(until):
            raise _took_too_long(timeout)
        self._has_given_way()

    async def _get_from_disk(self, disk: OnDisk[Msg], timeout: float | None, until: float | None) -> Msg:
        while True:
            if disk.needs_disk():
                await disk.thread.call(disk.prepare)
                self._has_given_way()
            if messages := disk.take_written(1):
                return messages[0]
            await self._sleep_async(timeout, until)

    async def _give_way(self) -> None:
        """Give the event loop back if it had no turn for a while."""
        if time.monotonic() >= self._checkpoint_at:
            await _checkpoint()
            self._has_given_way()

    def _has_given_way(self) -> None:
        self._checkpoint_at = time.monotonic() + _CHECKPOINT_SECONDS

    # ------------------------------------------------------------------ moving

    def commit(self) -> int:
        """Commit what was read and return how many messages were committed; `NothingPending` if there are none.

        With a name it is durable at the next flush, and at once if the journal's durability is "put".
        """
        return self.cursor.commit()

    async def commit_async(self) -> int:
        """Commit as `commit` does, waiting on the event loop for what has to be written."""
        return self.cursor.commit() if self._disk is None else await self._disk.commit_async()

    def rollback(self) -> int:
        """Go back to the first uncommitted message and return how many will be given again; `NothingPending` for none."""
        return self.cursor.rollback()

    def seek(self, where: Start) -> None:
        """Go on reading at `where`, with nothing pending: the "oldest" message, after the "newest", or a position."""
        self.cursor.seek(where)

    # ------------------------------------------------------------------ convenience

    def diff(self) -> int:
        """Return how many messages there are yet to read."""
        return self.cursor.diff()

    def empty(self) -> bool:
        """Return whether there is nothing to read right now."""
        return self.cursor.diff() <= 0

    def belongs_to(self, buffer: object, /) -> bool:
        """Return whether this is an open reader of that buffer or journal."""
        return buffer is self.buffer and not self.cursor.closed

    def range(self, fn: Callable[[int, Msg], object], *, wait: bool = True) -> None:
        """Call `fn(index, message)` for each message and commit it, until `fn` returns False or the buffer ends.

        With `wait=False` it ends when there is nothing to read. An exception of `fn` rolls that message back and passes on. Raises
        `UsageError` if `fn` is no function.
        """
        if not callable(fn) or inspect.iscoroutinefunction(fn):  # even if there is no message to call it for
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

        The message is committed when the block ends, and rolled back when it ends by an exception. Entering raises as `get` does,
        `TimedOut` after `timeout` seconds.
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

    # The body of a loop or a block may have committed or rolled back by itself.

    def _commit_pending(self) -> None:
        if self.position != self.committed:
            self.commit()

    async def _commit_pending_async(self) -> None:
        if self.position != self.committed:
            await self.commit_async()

    def _rollback_pending(self) -> None:
        if self.position != self.committed:
            self.rollback()

    # ------------------------------------------------------------------ closing

    def close(self) -> None:
        """End the reader; what it did not commit is its loss alone. A waiting get is freed with `Closed`.

        The commits of a reader with a name are then on disk. In a forked child nothing is done.
        """
        self.cursor.close()

    async def close_async(self) -> None:
        """Close as `close` does, waiting on the event loop."""
        if self._disk is None:
            self.cursor.close()
        else:
            await self._disk.close_async()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close_async()


async def _checkpoint() -> None:
    """Give the other tasks of the event loop their turn."""
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


def _took_too_long(timeout: float | None) -> TimedOut:
    return TimedOut(f"nothing came within {timeout} seconds; nothing was consumed")
