"""Where a run's messages come from and go to: a `Log`, many at a time, or anybody's producer and consumer, one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import suppress
from operator import length_hint
from types import CoroutineType
from typing import Any, Generic, TypeVar

from go_state.core.errors import Closed, NothingPending, TimedOut, UsageError
from go_state.core.ports import Consumer, DiskReader, Producer, Reader
from go_state.core.turn import Turn
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.feeds.getting import NOTHING_YET, Getting
from go_state.runtime.flow.driver import CHECKPOINT_SECONDS, Answer, Blocking, Checkpoint, Flow, Messages, is_awaitable
from go_state.runtime.turn import give_back

Msg = TypeVar("Msg")

CHUNK_SECONDS = 0.001  # a chunk may grow while it takes less: what a reader has taken shows as unread until it is settled
CHUNK_LIMIT = 1024  # messages; by then the cost of taking a chunk, about 2 us, is 2 ns a message


class LogFeed(Generic[Msg]):
    """Messages of a log, taken in chunks whose size adapts: from one on, doubled while a chunk is quickly done."""

    each = False

    def __init__(self, reader: Reader[Msg], *, on_loop: bool) -> None:
        self._reader = reader
        self._on_loop = on_loop
        self.through = 0
        self._chunk: list[Msg] = []
        self._rest: Iterator[Msg] = iter(self._chunk)  # a list's iterator sees what is appended until it has come to the end
        self._first = reader.committed  # the position of the chunk's first message
        self._size = 1
        self._ending = False
        self.idle_seconds: float | None = None
        self.idled: Callable[[], object] = _do_nothing  # called whenever nothing has come for so long
        self._manager: EffectManager | None = None
        self._time: Callable[[], float] = time.time
        self._most = CHUNK_LIMIT
        self._taken_at = self._checkpoint_at = time.monotonic()
        self._take = reader.take
        self._disk: DiskReader[Msg] | None = None  # the reader, where it needs the disk, for which an event loop does not wait
        if on_loop and isinstance(reader, DiskReader):
            self._disk, self._take, self.thread = reader, reader.take_written, reader.thread

    def listen_to(self, manager: EffectManager) -> None:
        """Have waits end when commands under way have brought something."""
        self._manager = manager
        manager.connect(
            where=self.where,
            wake=self._reader.wake,
            backlog=self._backlog,
            taken=lambda: self._first + self._given(),
            looks_up=True,
        )
        self._time = manager.timers.clock.time

    def take(self) -> Flow[Iterator[Msg] | None]:
        """Give what is left of the chunk, or the next one; None once the log is closed and drained and nothing is under way."""
        self._settle((), self._given())  # before any wait: what is cancelled in one has committed what it showed
        if self._on_loop and time.monotonic() >= self._checkpoint_at:
            yield Checkpoint()
            self._checkpoint_at = time.monotonic() + CHECKPOINT_SECONDS
        if self._ending:
            return None
        if not length_hint(self._rest):
            self._adapt()
            while True:
                if self._disk is not None and self._disk.needs_disk():
                    yield Blocking(self._disk.prepare, self.thread)
                    self._checkpoint_at = time.monotonic() + CHECKPOINT_SECONDS  # the loop has had its turn
                if chunk := self._take(self._size):
                    break
                if self._manager is not None and self._manager.has_arrivals:
                    return iter(())
                try:
                    yield from self._idle()
                except Closed:
                    if self._ending or self._manager is None or not (yield from self._manager.last_ones()):
                        return None
                    return iter(())
                self._taken_at = time.monotonic()
            self._chunk, self._rest, self._first = chunk, iter(chunk), self._reader.committed
        return self._until_breath(self._rest) if self._on_loop else self._rest

    def _idle(self) -> Flow[None]:
        """Wait for messages, or for something under way."""
        idle = self.idle_seconds
        left = None if self._manager is None else self._manager.left(self._rests)
        try:
            yield Messages(self._reader, idle if left is None or (idle is not None and idle < left) else left)
        except TimedOut:
            if self._manager is None or not self._manager.active:
                self.idled()
        finally:
            if self._manager is not None:
                self._manager.inbox.is_awaited = False

    def _rests(self) -> bool:
        """Tell, from any thread, whether every message is through."""
        return not self._backlog()

    def _backlog(self) -> int:
        return self._reader.diff() + length_hint(self._rest)

    @property
    def committed(self) -> int:
        """The position of the first message that is not known to be through."""
        position: int = self._reader.committed
        return position

    def end_at_next_turn(self) -> None:
        """Have `take` give no more, and wait for nothing."""
        self._ending = True
        if self._manager is not None:
            self._manager.inbox.wake()

    def _adapt(self) -> None:
        now = time.monotonic()
        if self._manager is not None:
            delivery, self._manager.delivery_seconds = self._manager.delivery_seconds, 0.0
            self._taken_at += delivery  # which is none of the chunk's
        if now - self._taken_at < CHUNK_SECONDS:
            self._size = min(self._size * 2, self._most)
        else:
            self._size = max(min(self._size // 2, self._most), 1)
        self._taken_at = now

    def _until_breath(self, messages: Iterator[Msg]) -> Iterator[Msg]:
        for message in messages:
            yield message
            if time.monotonic() >= self._checkpoint_at:
                return

    def settle(self, messages: Sequence[Msg], /) -> tuple[()]:
        """Move the cursor and append the messages, as one step; those that are next to be read lengthen the chunk."""
        self._settle(messages, self._given())
        return ()

    def put(self, messages: Sequence[Msg]) -> tuple[()]:
        """Append messages that no turn has sent. They do not lengthen the chunk, whose iterator may have ended for good."""
        self._settle((), self._given())
        self._reader.settle(0, messages)
        return ()

    def _settle(self, messages: Sequence[Msg], given: int) -> None:
        # What is settled is the reader's to say: an exception such as that of Ctrl-C may come between its step and the next line.
        count = given - (self._reader.committed - self._first)
        follow = len(self._chunk) + len(messages) <= self._most
        following = self._reader.settle(count, messages, follow)  # raises before anything has moved
        self.through += count
        self._chunk += following

    def _given(self) -> int:
        return len(self._chunk) - length_hint(self._rest)  # a list's iterator knows exactly how much it has left

    def rollback(self, *, through: bool) -> tuple[()]:
        """Settle what is through and put the cursor back to the first message that is not."""
        settled = self._reader.committed - self._first
        self._settle((), max(self._given() - (not through), settled))
        with suppress(NothingPending):
            self._reader.rollback()
        self._rest = iter(())
        return ()

    def where(self) -> int:
        """Return the message's position in the log."""
        return self._first + self._given() - 1

    def turn(self) -> Turn:
        """Return a turn that begins now."""
        return Turn(self._time(), self.where())


class PortFeed(Generic[Msg]):
    """One message at a time from a consumer; each turn puts its messages and then commits, so a message may come twice."""

    each = True

    def __init__(self, producer: Producer[Msg], consumer: Consumer[Msg], *, on_loop: bool, one_at_a_time: bool = False) -> None:
        self._on_loop = on_loop
        self._one_at_a_time = on_loop or one_at_a_time
        self._consumer = consumer
        self._put = _method(producer, "put", on_loop)
        self._get = _method(consumer, "get", on_loop)
        self._commit = _method(consumer, "commit", on_loop)
        self._rollback = _method(consumer, "rollback", on_loop)
        self.through = 0
        self._pending = False  # a message was got and is not committed
        self._ended = False
        self._manager: EffectManager | None = None
        self._time: Callable[[], float] = time.time
        self._getting: Getting | None = None

    def listen_to(self, manager: EffectManager) -> None:
        """Have waits end when commands under way have brought something."""
        self._manager, self._getting = manager, Getting(self._get, self._rollback, manager)
        self._time = manager.timers.clock.time

    def take(self) -> Flow[Iterator[Msg] | None]:
        """Give an iterator that gets message after message, or one at a time where more is to be done between them."""
        getting, manager = self._getting, self._manager
        beside = getting is not None and manager is not None and (manager.active or getting.under_way)
        if not (beside or self._one_at_a_time):
            return None if self._ended else self._pull()
        try:
            message = yield getting if beside and getting is not None else Answer(self._get(), "consumer.get")
        except Closed:
            if manager is None or not (yield from manager.last_ones()):
                return None
            return iter(())
        except GeneratorExit:
            raise
        except BaseException as error:
            yield from give_back(self, error, through=False)
            raise
        if message is NOTHING_YET:
            return iter(())
        self._pending = True
        return iter((message,))

    def close(self) -> None:
        """Give up a get that is under way in a thread; a message that it has brought, or brings later, is given again."""
        if self._getting is not None:
            self._getting.close()

    async def aclose(self) -> None:
        """Give up a get that is still waited for; a message that it has brought is given again."""
        if self._getting is not None and await self._getting.aclose():
            with suppress(NothingPending):
                returned = self._rollback()
                if is_awaitable(returned):
                    await returned

    def _pull(self) -> Iterator[Msg]:
        get = self._get
        news: Sized = () if self._manager is None else self._manager.inbox.arrivals  # not empty as soon as an effect was begun
        try:
            while not news:
                message = _used_as_is(get(), "consumer.get")
                self._pending = True
                yield message
        except Closed:
            self._ended = True

    def empty(self) -> Flow[bool]:
        """Ask the consumer whether there is nothing to get right now."""
        method = getattr(self._consumer, "empty", None)
        if method is None:
            raise UsageError("a batch has to know when its queue is drained: give the consumer a method empty()")
        return bool((yield Answer(method(), "consumer.empty")))

    def put(self, messages: Sequence[Msg]) -> Flow[None]:
        """Put messages that no turn has sent."""
        if messages:
            yield Answer(self._put(*messages), "producer.put")

    def settle(self, messages: Sequence[Msg], /) -> Flow[None] | tuple[()]:
        """Put, then commit."""
        if self._on_loop:
            return self._settle_on_loop(messages)
        if messages:
            _used_as_is(self._put(*messages), "producer.put")
        if self._pending:
            _used_as_is(self._commit(), "consumer.commit")
            self._pending = False
            self.through += 1
        return ()

    def _settle_on_loop(self, messages: Sequence[Msg]) -> Flow[None]:
        if messages:
            yield Answer(self._put(*messages), "producer.put")
        if self._pending:
            yield Answer(self._commit(), "consumer.commit")
            self._pending = False
            self.through += 1
        yield Checkpoint()

    def rollback(self, *, through: bool) -> Flow[None]:
        """Ask the consumer to give a message that is not committed again."""
        if not through:
            with suppress(NothingPending):
                yield Answer(self._rollback(), "consumer.rollback")

    def where(self) -> None:
        """Return None: a consumer of somebody's own does not say where it is."""
        return

    def turn(self) -> Turn:
        """Return a turn that begins now."""
        return Turn(self._time(), None)


def _do_nothing() -> None:
    """Take no notice."""


def _method(port: object, name: str, on_loop: bool) -> Any:
    """Return the method, on an event loop by preference its `_async` twin, which does not block."""
    return getattr(port, f"{name}_async", None) or getattr(port, name) if on_loop else getattr(port, name)


def _used_as_is(returned: Any, called: str) -> Any:
    return Answer(returned, called).in_thread() if type(returned) is CoroutineType else returned
