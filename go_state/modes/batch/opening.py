"""Opening what a batch reads, whatever it is: the one place that knows every kind of source reader."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias, TypeVar, Union

from go_state.buffer.consumer import Consumer
from go_state.core.errors import UsageError
from go_state.core.ports import AsyncSource, Log, Position, Source
from go_state.modes.batch.limits import Limits
from go_state.modes.batch.prefetch import ReadAhead
from go_state.modes.batch.source_reader import (
    AsyncPositionedReader,
    AsyncReader,
    ConsumerReader,
    FetchReader,
    JournalReader,
    PositionedReader,
    SourceReader,
    are_messages,
)
from go_state.runtime.feeds.disk import DiskLog
from go_state.runtime.flow.driver import drive
from go_state.runtime.flow.waits import Flow

Msg = TypeVar("Msg")

_END: Final = object()

Fetch: TypeAlias = Callable[[], object]
"""Returns `(messages, more)`, or on an event loop an awaitable of it."""

Stream: TypeAlias = Union[Iterable[Msg], AsyncIterable[Msg], Source[Msg], AsyncSource[Msg], Log[Msg], Fetch]
"""What a batch reads; see `batch`."""


def open_reader(
    source: Stream[Msg], *, after: Position, prefetch: int, limit: float, limits: Limits, on_loop: bool
) -> SourceReader[Msg]:
    """Return a reader of the source, whatever it is; `UsageError` when it is nothing that can be read."""
    if not prefetch:
        return _reader_of(source, after, limits, on_loop=on_loop)
    if isinstance(source, (AsyncIterable, AsyncSource, Consumer, Log)):
        raise UsageError("prefetch= reads ahead in a thread, which an async source or a buffer has no need of: leave it out")
    return PrefetchReader(_reader_of(source, after, limits, on_loop=False), prefetch, limits, limit)


def _reader_of(source: Stream[Msg], after: Position, limits: Limits, *, on_loop: bool) -> SourceReader[Msg]:
    if isinstance(source, Source):
        return PositionedReader(source, after)
    if isinstance(source, AsyncSource):
        if not on_loop:
            raise UsageError(f"the source {source.name!r} needs an event loop: use batch_async or aggregate_async")
        return AsyncPositionedReader(source, after, limits)
    if on_loop and isinstance(source.buffer if isinstance(source, Consumer) else source, DiskLog):
        return JournalReader(source, after)
    if isinstance(source, Consumer):
        return ConsumerReader(source, own=False, after=after)
    if isinstance(source, Log):
        return ConsumerReader(source.consumer(), own=True, after=after)
    if isinstance(source, AsyncIterable):
        if not on_loop:
            raise UsageError("an async source needs an event loop: use batch_async or aggregate_async")
        return AsyncReader(source, limits)
    if isinstance(source, Iterable) and are_messages(source):
        return SourceReader(source)
    if callable(source):
        return FetchReader(source, limits, on_loop=on_loop)
    raise UsageError(
        f"a {type(source).__qualname__} is not a source: give an iterable of messages, an async iterable, a function that returns "
        f"(messages, more), a Source such as gs.sources.CSV, or a gs.Buffer"
    )


class PrefetchReader(SourceReader[Msg]):
    """The messages of another reader, read ahead in a thread."""

    def __init__(self, inner: SourceReader[Msg], count: int, limits: Limits, limit: float) -> None:
        self.whole = inner.whole
        self.has_records, self.has_positions = inner.has_records, inner.has_positions
        self.name = inner.name
        self._inner = inner
        self._position: Position = inner.position()
        self._items: deque[tuple[Any, Position]] = deque()  # a message, or what one fetch gave, and the position after it
        self._ahead: ReadAhead[tuple[Any, Position]] = ReadAhead(_with_positions(inner, limit), count, limits)

    def more(self) -> Flow[Iterator[Msg | None] | None]:
        if not self._items:
            items = self._ahead.take()
            if items is None:
                items = yield self._ahead
            if items is None:
                return iter(())
            if not items:
                return None
            self._items.extend(items)
        if self.whole:
            fetched: list[Msg | None] = self._items.popleft()[0]
            return iter(fetched)
        return self._one_by_one()

    def _one_by_one(self) -> Iterator[Msg | None]:
        while self._items:
            message, self._position = self._items.popleft()
            yield message

    def upcoming(self) -> Iterable[Msg | None]:
        return () if self.whole else (message for message, _ in self._items)

    def position(self) -> Position:
        return self._position

    def close(self) -> BaseException | None:
        error = self._ahead.close()
        self._inner.close()
        return error

    async def aclose(self) -> BaseException | None:
        error = await self._ahead.aclose()
        self._inner.close()
        return error


def _with_positions(inner: SourceReader[Msg], limit: float) -> Iterator[tuple[Any, Position]]:
    """Give what the reader gives, up to the limit: what was read beyond it would be lost."""
    taken = 0
    if isinstance(inner, FetchReader):
        while taken < limit and (fetched := drive(inner.more())) is not None:
            whole = list(fetched)
            taken += sum(message is not None for message in whole)
            yield whole, None
        return
    run = drive(inner.more())
    messages: Iterator[Msg | None] = iter(()) if run is None else run
    while taken < limit and (message := next(messages, _END)) is not _END:
        taken += message is not None
        yield message, inner.position()
