"""The buffer: a lossless ordered log in memory, put by anybody, read by many.

Messages enter by `put`, from any thread or task, in an order that all readers see alike; they leave through consumers, each with a
position of its own. Nothing is lost, nothing is given twice to one reader, and no wait outlives the buffer. Look next at `log.py`,
the state that the buffer shares with its consumers.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

from go_state.buffer.consumer import Consumer
from go_state.buffer.cursor import Cursor, Start
from go_state.buffer.log import NO_MESSAGE, Log
from go_state.buffer.retained import Retained
from go_state.buffer.retention import Retention, drop_committed
from go_state.buffer.statistics import BufferStatistics
from go_state.core.errors import TimedOut, UsageError
from go_state.system.forks import at_fork
from go_state.waking.deadlines import deadline
from go_state.waking.waker import ThreadWaker

Msg = TypeVar("Msg")


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
        #: The way in for a run, which works on the log and a `Cursor` directly.
        self.log: Log[Msg] = Log(Retained(), maxsize=maxsize, retention=retention, clock=clock)
        at_fork(self.log)

    # ------------------------------------------------------------------ putting

    def put(self, message: Msg = NO_MESSAGE, /, *more: Msg) -> None:
        """Append the messages in order, together; from any thread, without waiting.

        Raises `Closed` after `close`, and `Full` if a `maxsize` was asked for and the messages do not fit; then none entered.
        """
        log = self.log
        if more or log.locked_put or message is NO_MESSAGE:
            log.put_together(() if message is NO_MESSAGE else (message, *more))
            return
        log.append(message)
        if log.attention:
            log.attend((message,))

    async def put_async(self, *messages: Msg) -> None:
        """Append the messages as `put` does; it never waits here, and does with a `Journal`."""
        self.put(*messages)

    # ------------------------------------------------------------------ reading

    def consumer(self, start: Start = "oldest") -> Consumer[Msg]:
        """Open a reader that begins at `start`: the "oldest" retained message, after the "newest", or a position.

        Raises `Lagged` for a position that was trimmed away, `UsageError` for one that does not exist yet. A closed buffer
        gives readers too: they get what is retained, and then `Closed`.
        """
        return Consumer(Cursor.open(self.log, start), self)

    def slice(self) -> list[Msg]:
        """Return the retained messages, oldest first."""
        return self.log.slice()

    def size(self) -> int:
        """Return how many messages are retained."""
        return self.log.size()

    def diff(self, consumer: Consumer[Msg]) -> int:
        """Return how many messages the reader has yet to read; `UsageError` for another buffer's reader."""
        return check_own(self.log, "diff", consumer).diff()

    def range(self, consumer: Consumer[Msg], fn: Callable[[int, Msg], object]) -> None:
        """Call `fn(index, message)` for what there is to read now, committing each, until `fn` returns False.

        An exception of `fn` rolls that message back. `consumer.range` waits for more instead of ending.
        """
        check_own(self.log, "range", consumer).range(fn, wait=False)

    def statistics(self) -> BufferStatistics:
        """Return what an operator wants to know; see `BufferStatistics`."""
        return self.log.statistics()

    # ------------------------------------------------------------------ closing

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self.log.closed

    def close(self, *, timeout: float | None = None) -> None:
        """Refuse further puts and wake every waiter; readers drain what is retained and then get `Closed`.

        The messages of a run's own commands still enter; a reader that has got to the end before they do does not see them.
        With a `timeout` also wait up to `timeout` seconds for every open reader to commit all, and raise `TimedOut` otherwise; the
        buffer is closed all the same. A second call is harmless.
        """
        close_log(self.log, timeout)

    async def close_async(self, *, timeout: float | None = None) -> None:
        """Close as `close` does, waiting on the event loop."""
        await close_log_async(self.log, timeout)

    def __enter__(self) -> Buffer[Msg]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Buffer[Msg]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()  # which waits for nothing


def check_own(log: Log[Msg], called: str, consumer: object) -> Consumer[Msg]:
    """Return the consumer; `UsageError` unless it is an open one of this log."""
    if isinstance(consumer, Consumer) and consumer.cursor.log is log and not consumer.cursor.closed:
        return consumer
    if isinstance(consumer, Consumer):
        found = "one that is closed, or another buffer's"
    else:
        found = "None" if consumer is None else f"a {type(consumer).__qualname__}"
    raise UsageError(f"{called}() takes an open consumer of this buffer, not {found}")


# What `help` and the reference show of `put`: (*messages). That its first message is apart saves the tuple of the rest.
vars(Buffer.put)["__signature__"] = inspect.signature(Buffer.put_async)


def close_log(log: Log[Msg], timeout: float | None) -> None:
    """Close the log and, with a timeout, wait for its readers; see `Buffer.close`."""
    if log.in_parent:
        return
    waker, until = ThreadWaker(), deadline(timeout)
    try:
        log.shut(waker if timeout is not None else None)
        drained = timeout is None or waker.sleep(until)
    finally:
        try:
            log.forget_closer(waker)
        except BaseException:  # Ctrl-C, at any point of it: done twice it is done once
            log.forget_closer(waker)
            raise
    _check_drained(drained, timeout)


async def close_log_async(log: Log[Msg], timeout: float | None) -> None:
    """Close the log as `close_log` does, waiting on the event loop."""
    from go_state.waking.loop_waker import LoopWaker

    if log.in_parent:
        return
    waker, until = LoopWaker(), deadline(timeout)
    try:
        log.shut(waker if timeout is not None else None)
        drained = timeout is None or await waker.sleep(until)
    finally:
        try:
            log.forget_closer(waker)
        except BaseException:  # Ctrl-C, at any point of it: done twice it is done once
            log.forget_closer(waker)
            raise
    _check_drained(drained, timeout)


def _check_drained(drained: bool, timeout: float | None) -> None:
    if not drained:
        raise TimedOut(f"readers had not committed everything within {timeout} seconds; the buffer is closed all the same")
