"""What a batch can read, made one shape: a source reader gives runs of messages until there are no more.

A source is an iterable, an async iterable, a function that fetches `(messages, more)`, a `Source` with positions, or a buffer.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from go_state.buffer.consumer import Consumer
from go_state.core.errors import Closed, NothingPending, UsageError
from go_state.core.ports import AsyncSource, Position, Reading, Source
from go_state.modes.batch.limits import Limits
from go_state.runtime.feeds.disk import DiskLog
from go_state.runtime.flow.awaitables import awaited, result_of
from go_state.runtime.flow.waits import Answer, Blocking, Flow
from go_state.system.own_thread import OwnThread
from go_state.waking.deadlines import deadline

if TYPE_CHECKING:
    import asyncio

Msg = TypeVar("Msg")

_END: Final = object()
_NOTHING_YET: Final = object()


class SourceReader(Generic[Msg]):
    """An iterable of messages, and the base of the others."""

    name = ""  # of a source that knows itself again
    has_records = True  # whether it may give an `Undecoded` in a message's place
    has_positions = False  # whether it can be read on from an earlier position
    whole = False  # whether a run of messages enters the queue as a whole, before anything that its first message sends

    def __init__(self, messages: Iterable[Msg | None]) -> None:
        self._messages: Iterator[Msg | None] | None = iter(messages)
        self.has_records = not isinstance(messages, (list, tuple, range))  # which a pass through a source is not

    def more(self) -> Flow[Iterator[Msg | None] | None]:
        """Return the next messages, or None at the end; an empty run when there was no time to wait for them."""
        messages, self._messages = self._messages, None
        return messages
        yield

    def left_in_run(self) -> int | None:
        """Return how many messages of the last run were not given yet, if `split` can end it; None if not."""
        return None

    def position_before(self) -> Position:
        """Return the position before the message of that run that was given last."""
        raise NotImplementedError

    def split(self) -> Iterator[Msg | None]:
        """End the last run before its next message, and return one of those that are left of it."""
        raise NotImplementedError

    def position(self) -> Position:
        """Return the position after the message last given; None if the source has no positions."""
        return None

    def where(self) -> Position:
        """Return the position of the message last given, for errors."""
        return self.position()

    def in_hand(self) -> bool:
        """Return whether a message was taken from the source and not given yet; then the batch must not end."""
        return False

    def upcoming(self) -> Iterable[Msg | None]:
        """Return the messages that were read and not given yet, without giving them."""
        return ()

    def saved(self, back_to: Position = None) -> Flow[None]:
        """Called when everything given so far is saved, or will not be; if there is a position to go `back_to`, only up to there."""
        return
        yield

    def close(self) -> BaseException | None:
        """Close the source and return an error that was not raised yet."""
        return None

    async def aclose(self) -> BaseException | None:
        """Close the source on an event loop."""
        return self.close()


class PositionedReader(SourceReader[Msg]):
    """A source with positions, read on from one."""

    has_positions = True

    def __init__(self, source: Source[Msg], after: Position) -> None:
        self.source = source
        self.name = source.name
        self._reading: Reading[Msg] = source.read(after)
        messages: Any = self._reading  # with records that are no messages among them, which the feed looks for
        super().__init__(messages)

    def position(self) -> Position:
        return self._reading.position

    def close(self) -> None:
        self._reading.close()


class FetchReader(SourceReader[Msg]):
    """A function that returns `(messages, more)`; the messages that come with `more=False` are the last."""

    whole = True

    def __init__(self, fetch: Callable[[], object], limits: Limits, *, on_loop: bool) -> None:
        self._fetch = fetch
        self._next = _Next(fetch, limits) if on_loop else None
        self._more = True

    def more(self) -> Flow[Iterator[Msg | None] | None]:
        if not self._more:
            return None
        answer = yield self._next or Answer(self._fetch(), "the source")
        if answer is _NOTHING_YET:
            return iter(())
        messages, self._more = _fetched(answer)
        return iter(messages)

    def in_hand(self) -> bool:
        return self._next is not None and self._next.in_hand()

    async def aclose(self) -> None:
        if self._next is not None:
            await self._next.cancel()


def _fetched(answer: object) -> tuple[list[Any], bool]:
    if isinstance(answer, tuple) and len(answer) == 2 and are_messages(answer[0]) and isinstance(answer[1], bool):
        return list(answer[0]), answer[1]
    kinds = ", ".join(type(each).__qualname__ for each in answer) if isinstance(answer, tuple) else ""
    found = f"({kinds})" if kinds else f"a {type(answer).__qualname__}"
    raise UsageError(f"a source that is a function returns (messages, more), such as a list and False at the end, not {found}")


def are_messages(found: object) -> bool:
    """Return whether it can be iterated, and is not a single message, such as a text or a dict."""
    return isinstance(found, Iterable) and not isinstance(found, (str, bytes, Mapping))


class AsyncReader(SourceReader[Msg]):
    """An async iterable, one message at a time."""

    def __init__(self, messages: AsyncIterable[Msg | None], limits: Limits) -> None:
        iterator = aiter(messages)
        self._next = _Next(lambda: anext(iterator), limits, ends=True)

    def more(self) -> Flow[Iterator[Msg | None] | None]:
        message = yield self._next
        if message is _END:
            return None
        return iter(() if message is _NOTHING_YET else (message,))

    def in_hand(self) -> bool:
        return self._next.in_hand()

    async def aclose(self) -> None:
        await self._next.cancel()


class AsyncPositionedReader(AsyncReader[Msg]):
    """An async source with positions, read on from one."""

    has_positions = True

    def __init__(self, source: AsyncSource[Msg], after: Position, limits: Limits) -> None:
        self.name = source.name
        self._reading = source.read_async(after)
        self._position = after
        super().__init__(self._reading, limits)  # with records that are no messages among them, as in `PositionedReader`

    def more(self) -> Flow[Iterator[Msg | None] | None]:
        run = yield from super().more()
        if run is None or not (found := list(run)):
            return run
        self._position = self._reading.position  # here: later it is that of a message which is on its way
        return iter(found)

    def position(self) -> Position:
        return self._position

    async def aclose(self) -> None:
        await super().aclose()
        await self._reading.close_async()


class _Next:
    """Wait for what an async source gives next, but not longer than the limits allow; a wait that is left goes on in the next one.

    `ask` is called for each; what it returns is awaited if it can be. Of one that `ends`, StopAsyncIteration is the end.
    """

    def __init__(self, ask: Callable[[], object], limits: Limits, *, ends: bool = False) -> None:
        self._ask = ask
        self._limits = limits
        self._ends = ends
        self._task: asyncio.Task[object] | None = None  # cancelling it would end an async generator: it is kept until the end

    def in_hand(self) -> bool:
        """Return whether a wait that was left has produced something."""
        return self._task is not None and self._task.done()

    def in_thread(self) -> object:
        raise UsageError("an async source needs an event loop: use batch_async or aggregate_async")

    async def on_loop(self) -> object:
        import asyncio

        try:
            if self._task is None:
                returned = Answer(self._ask(), "the source")
                if not returned.waits or not self._limits.limits_waits:
                    return await returned.on_loop()
                self._task = asyncio.ensure_future(awaited(returned.on_loop()))
            return await self._in_time()
        except StopAsyncIteration:
            if not self._ends:
                raise
            return _END

    async def _in_time(self) -> object:
        import asyncio

        from go_state.waking.loop_waker import LoopWaker

        assert self._task is not None  # or there is nothing to wait for
        waker = LoopWaker()

        def wake(_: object) -> None:
            waker.wake_in_loop()

        with self._limits.calling(waker.wake):
            if not self._task.done() and self._limits.must_end_now():
                return _NOTHING_YET
            until = deadline(self._limits.wait_seconds())
            self._task.add_done_callback(wake)
            try:
                await waker.sleep(until)
            finally:
                self._task.remove_done_callback(wake)  # or a task that is left for many waits keeps one of each
            await asyncio.sleep(0)  # a message that is almost produced is received before "nothing yet" is returned
        if not self._task.done():
            return _NOTHING_YET
        task, self._task = self._task, None
        return result_of(task.result())

    async def cancel(self) -> None:
        """End a wait that was left."""
        import asyncio

        task, self._task = self._task, None
        if task is not None:
            await asyncio.sleep(0)  # one that has not begun begins, or Python would warn of a coroutine that nobody has awaited
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # looked at, so that asyncio does not report it: the batch has ended


class ConsumerReader(SourceReader[Msg]):
    """What a buffer holds: the batch ends when it has read all of it, and commits what it has saved."""

    has_positions = True

    def __init__(self, consumer: Consumer[Msg], *, own: bool, after: Position = None) -> None:
        self._consumer = consumer
        self._own = own
        # A journal outlives the run: its turns have the same names in the next one.
        self.name = getattr(consumer.buffer, "name", "")
        if after is not None and consumer.position != after:  # also one that stands further on: nothing in between was counted
            consumer.seek(after)
        super().__init__(self._read())

    def _read(self) -> Iterator[Msg]:
        while messages := self._consumer.cursor.take(1):  # Closed, when somebody closes the reader under the batch, ends it
            yield messages[0]

    def position(self) -> Position:
        return self._consumer.position

    def where(self) -> Position:
        return self._consumer.position - 1

    def saved(self, back_to: Position = None) -> Flow[None]:
        if back_to is not None and back_to != self._consumer.position:
            self._consumer.seek(back_to)
        with suppress(NothingPending):
            self._consumer.commit()
        return
        yield

    def close(self) -> None:
        if self._own:
            self._consumer.close()
        else:
            with suppress(NothingPending, Closed):
                self._consumer.rollback()


class JournalReader(SourceReader[Msg]):
    """What a journal holds, read on an event loop: everything that the disk has to do with it is done in the journal's thread."""

    has_positions = True

    def __init__(self, log: Any, after: Position) -> None:
        self._log = log  # a DiskLog, of which a reader is opened, or a reader of one
        self._opens = isinstance(log, DiskLog)
        self._thread: OwnThread = log.thread if self._opens else log.cursor.thread
        self._reader: Any = None  # a Consumer whose cursor is on disk
        self._after = after
        self.name = (log if self._opens else log.buffer).name

    def more(self) -> Flow[Iterator[Msg | None] | None]:
        if self._reader is None:
            self._reader = yield Blocking(self._open, self._thread)
        if self._reader.cursor.needs_disk():
            yield Blocking(self._reader.cursor.prepare, self._thread)
        return self._read() if self._reader.diff() > 0 else None

    def _open(self) -> object:
        reader = self._log.consumer() if self._opens else self._log
        if self._after is not None and reader.position != self._after:  # see ConsumerReader
            reader.seek(self._after)
        return reader

    def _read(self) -> Iterator[Msg]:
        while not self._reader.cursor.needs_disk() and (messages := self._reader.cursor.take_written(1)):
            yield messages[0]

    def position(self) -> Position:
        return None if self._reader is None else self._reader.position

    def where(self) -> Position:
        return None if self._reader is None else self._reader.position - 1

    def saved(self, back_to: Position = None) -> Flow[None]:
        if self._reader is not None and back_to is not None and back_to != self._reader.position:
            yield Blocking(lambda: self._reader.seek(back_to), self._thread)
        if self._reader is not None and self._reader.position != self._reader.committed:
            yield Answer(self._reader.commit_async(), "the commit of a journal's reader")

    async def aclose(self) -> None:
        if self._reader is None:
            return
        if self._opens:
            await self._reader.close_async()
        else:
            with suppress(NothingPending, Closed):
                self._reader.rollback()
            await self._thread.aclose()  # the journal begins another when it needs one
