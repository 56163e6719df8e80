"""The queue of a run: a buffer, or somebody's own producer and consumer, opened as the feed that the loop reads."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Generic, TypeVar

from go_state.buffer.consumer import Consumer as LogConsumer
from go_state.core.errors import UsageError
from go_state.core.ports import Consumer, Log, Producer
from go_state.runtime.feeds.feed import Feed
from go_state.runtime.feeds.log_feed import log_feed
from go_state.runtime.feeds.port_feed import PortFeed

Msg = TypeVar("Msg")


class Queue(Generic[Msg]):
    """The feed of a buffer, or of a producer and a consumer, for the length of a `with` block."""

    def __init__(
        self, buffer: Log[Msg] | None, producer: Producer[Msg] | None, consumer: Consumer[Msg] | None, *, on_loop: bool
    ) -> None:
        self._opened: Any = None  # a Reader of our own, which is a context manager as well
        self.feed: Feed[Msg]
        if buffer is not None:
            if producer is not None or consumer is not None:
                raise UsageError("give a buffer, or a producer and a consumer, not both")
            self._opened = checked_buffer(buffer).consumer()
            self.feed = log_feed(self._opened.cursor, on_loop=on_loop)
        elif isinstance(producer, Producer) and isinstance(consumer, Consumer):
            self.feed = feed_of(producer, consumer, on_loop=on_loop)
        else:
            raise UsageError("the queue is a buffer, or a producer= with put and a consumer= with get, commit and rollback")

    def __enter__(self) -> Feed[Msg]:
        return self.feed

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(self.feed, PortFeed):
            self.feed.close()
        if self._opened is not None:
            self._opened.close()

    async def __aenter__(self) -> Feed[Msg]:
        return self.feed

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self.feed, PortFeed):
            await self.feed.close_async()
        if self._opened is not None:
            await self._opened.close_async()


def checked_buffer(buffer: Log[Msg]) -> Log[Msg]:
    """Return the buffer; `UsageError` if it is something else."""
    if not isinstance(buffer, Log):
        raise UsageError(f"a {type(buffer).__qualname__} is not a buffer: give a gs.Buffer, or producer= and consumer=")
    return buffer


def feed_of(producer: Producer[Msg], consumer: Consumer[Msg], *, on_loop: bool) -> Feed[Msg]:
    """Return the feed of a log if both belong to the same one, and that of two ports otherwise."""
    if isinstance(consumer, LogConsumer) and consumer.belongs_to(producer):
        return log_feed(consumer.cursor, on_loop=on_loop)
    return PortFeed(producer, consumer, on_loop=on_loop)
