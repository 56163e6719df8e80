"""Batch: a run that ends with its source. It is `Loop.run` over a feed that asks the source whenever the queue is empty."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Generic, Literal, TypeAlias, TypedDict, TypeVar, Union, Unpack

from go_state.core.errors import Closed, TimedOut, UsageError
from go_state.core.ports import Consumer, Log, Position, Producer, Source, Switch
from go_state.core.program import Program
from go_state.loop.driver import Breath, Flow, drive, drive_async, refuse_running_loop
from go_state.loop.feeds import PortFeed
from go_state.loop.policies import FailedMessage, OnError, Stop, check_on_error
from go_state.loop.silence import silenced
from go_state.loop.turn import Loop
from go_state.modes.intake import Intake, open_intake
from go_state.modes.pace import Pace
from go_state.modes.run import checked, without_key

Model = TypeVar("Model")
Msg = TypeVar("Msg")

Fetch: TypeAlias = Callable[[], Any]
"""Returns `(messages, more)`, or on an event loop an awaitable of it."""

Stream: TypeAlias = Union[Iterable[Msg], AsyncIterable[Msg], Source[Msg], Log[Msg], Fetch]
"""What a batch reads; see `batch`."""


class Options(TypedDict, Generic[Msg], total=False):
    """How a batch ends, reads ahead and fails: the keyword arguments that `batch`, `aggregate` and their twins share.

    `limit`: take no more once so many messages of the source were taken. `timeout` (seconds): raise `TimedOut`. `stop` (something
    with `is_set()`, see `signals`) and `budget` (seconds): end between two messages of the source, and say so in the result;
    messages that were fetched together are processed together. In a thread these three are looked at between messages: a source
    that blocks is left only when it returns, also with `prefetch`, which reads so many messages ahead in a thread. `replaying`:
    while it returns true, perform no command and show no view. `on_error`: what becomes of a message that the program fails on.
    `producer` and `consumer`: a queue of your own, whose consumer also has `empty()`.
    """

    limit: int | None
    timeout: float | None
    stop: Switch | None
    budget: float | None
    prefetch: int
    replaying: Callable[[], bool] | None
    on_error: OnError
    producer: Producer[Msg] | None
    consumer: Consumer[Msg] | None


Ended: TypeAlias = Literal["exhausted", "limit", "stopped", "budget"]
"""Why a batch has ended: its source did, or it was asked to end early."""


@dataclass(frozen=True, slots=True)
class Result(Generic[Model, Msg]):
    """How a batch ended.

    `processed` turns led to `model`. `position` is where the source stands (None where it does not count). `ended` is
    "exhausted", or "limit", "stopped" or "budget" when it was asked to end early. `set_aside` are the messages that failed.
    """

    model: Model
    processed: int
    position: Position
    ended: Ended
    set_aside: tuple[FailedMessage[Msg], ...]


def batch(program: Program[Model, Msg], source: Stream[Msg], **options: Unpack[Options[Msg]]) -> Result[Model, Msg]:
    """Run the program over a source, in the calling thread, until the source is exhausted and the queue empty.

    `source` is an iterable of messages, a function that returns `(messages, more)`, a `Source` with positions, or a buffer,
    which is read until it is empty. The next message is taken only when everything that the last one led to is processed; the
    messages of one fetch enter the queue together. The keyword arguments are those of `Options`.

    Raises what the source, the program or the queue raises; an `ExceptionGroup` when both the program and the source fail.
    """
    refuse_running_loop("batch")
    plan = Plan(without_key(program, "batch"), options, on_loop=False)
    with plan.batch(plan.intake(source)) as running:
        drive(running.flow())
    return running.result()


async def batch_async(program: Program[Model, Msg], source: Stream[Msg], **options: Unpack[Options[Msg]]) -> Result[Model, Msg]:
    """Run the program over a source on the running event loop, as `batch` does in a thread.

    The source may be an async iterable or a coroutine function that fetches as well. A plain iterable is read on the loop: give
    one that blocks a `prefetch`. A stop switch of `signals` and the budget also end a wait for an async source.
    """
    plan = Plan(without_key(program, "batch_async"), options, on_loop=True)
    async with plan.batch(plan.intake(source)) as running:
        await plan.drive_in_time(running.flow())
    return running.result()


class Plan(Generic[Model, Msg]):
    """The options of one batch, checked; they begin to count when it is made."""

    def __init__(self, program: Program[Model, Msg], options: Options[Msg], *, on_loop: bool) -> None:
        unknown = options.keys() - Options.__annotations__.keys()
        if unknown:
            known = ", ".join(sorted(Options.__annotations__))
            raise UsageError(f"there is no argument {', '.join(sorted(unknown))}: there are {known}")
        self.program = checked(program)
        self._replaying = options.get("replaying")
        self._options = options
        self._on_loop = on_loop
        self._timeout = options.get("timeout")
        self._limit = options.get("limit")
        if self._limit is not None and self._limit < 0:
            raise UsageError(f"limit is a number of messages, not {self._limit}")
        self._on_error = options.get("on_error", Stop())
        check_on_error(self._on_error)
        self._ports = _ports(options.get("producer"), options.get("consumer"))
        self._pace = Pace(stop=options.get("stop"), budget=options.get("budget"), timeout=self._timeout, on_loop=on_loop)

    def intake(self, source: Stream[Msg], *, after: Position = None) -> Intake[Msg]:
        """Open the source."""
        return open_intake(
            source, after=after, prefetch=self._options.get("prefetch", 0), pace=self._pace, on_loop=self._on_loop
        )

    def batch(
        self, intake: Intake[Msg], *, program: Program[Any, Msg] | None = None, checkpoint: Checkpoint | None = None
    ) -> Batch[Model, Msg]:
        """Return the batch, of another program than the plan's where one is given."""
        loop: Loop[Any, Msg] = Loop(silenced(program or self.program, self._replaying), on_error=self._on_error)
        if self._ports is None:
            return Batch(loop, intake, SourceFeed(loop, intake, self._pace, self._limit, checkpoint), checkpoint)
        queue = PortFeed(*self._ports, on_loop=self._on_loop, one_at_a_time=True)
        return Batch(loop, intake, QueuedSourceFeed(loop, intake, self._pace, self._limit, checkpoint, queue), checkpoint)

    async def drive_in_time(self, flow: Flow[None]) -> None:
        """Drive the flow on the event loop; `TimedOut` when the timeout is over, also in the middle of a wait."""
        import asyncio

        scope = asyncio.timeout(self._timeout)
        try:
            async with scope:
                await drive_async(flow)
        except TimeoutError as error:
            if not scope.expired():
                raise
            self._pace.check_deadline()
            raise TimedOut(str(error)) from error


def _ports(producer: object, consumer: object) -> tuple[Producer[Any], Consumer[Any]] | None:
    if producer is None and consumer is None:
        return None
    if not isinstance(producer, Producer) or not isinstance(consumer, Consumer):
        raise UsageError("give both a producer= with put and a consumer= with get, commit, rollback and empty, or neither")
    return producer, consumer


class Checkpoint:
    """When to save in mid-stream, and how. `save` is called where the queue is empty, with the model and the source's position."""

    def __init__(self, save: Callable[[Any, Position], Flow[None]], every: int | None, seconds: float | None) -> None:
        self.save = save
        self.every = every  # messages of the source
        self.seconds = seconds


class Batch(Generic[Model, Msg]):
    """A batch under way, which lets go of its source at the end of its `with` block."""

    def __init__(
        self, loop: Loop[Model, Msg], intake: Intake[Msg], feed: SourceFeed[Msg], checkpoint: Checkpoint | None
    ) -> None:
        self.loop = loop
        self.intake = intake
        self._feed = feed
        self._checkpoint = checkpoint

    def flow(self) -> Flow[None]:
        """Run to the end, and save what there is to save."""
        yield from self.loop.run(self._feed)
        if self._checkpoint is not None:
            yield from self._checkpoint.save(self.loop.model, self.intake.position())
        self.intake.saved()

    def result(self) -> Result[Model, Msg]:
        """Return how it ended."""
        processed = self._feed.through - self.loop.passed_over
        return Result(self.loop.model, processed, self.intake.position(), self._feed.ended, tuple(self.loop.set_aside))

    def __enter__(self) -> Batch[Model, Msg]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _raise_both(error, self.intake.close())

    async def __aenter__(self) -> Batch[Model, Msg]:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _raise_both(error, await self.intake.aclose())


def _raise_both(error: BaseException | None, other: BaseException | None) -> None:
    """Raise the source's error, which nobody has seen yet, together with the program's.

    Where the program has not failed the batch has ended before it came to the error, which is then as if never read.
    """
    if isinstance(error, Exception) and isinstance(other, Exception):
        raise ExceptionGroup("both the program and its source failed", [error, other]) from None


class SourceFeed(Generic[Msg]):
    """Messages of a source, and before the next one is taken, everything that the last one led to."""

    each = False

    def __init__(
        self, loop: Loop[Any, Msg], intake: Intake[Msg], pace: Pace, limit: int | None, checkpoint: Checkpoint | None
    ) -> None:
        self._loop = loop
        self._intake = intake
        self._pace = pace
        self._limit = math.inf if limit is None else limit
        self._checkpoint = checkpoint
        self._run: Iterator[Msg | None] | None = None  # the source's messages that are being taken
        self._taken = 0  # how many of the source's messages were taken
        self._idle = 0  # how often it gave None instead
        self._save_at = math.inf  # at how many a checkpoint is due
        self._queue: deque[Msg] = deque()
        self._queued = 0  # how many messages have entered the queue
        self._unseen = 0  # how many messages of a fetch are still in it
        self.ended: Ended = "exhausted"
        self._schedule()

    @property
    def through(self) -> int:
        """How many messages were given; asked when all of them are through."""
        return self._queued if self._intake.whole else self._taken + self._idle + self._queued

    def take(self) -> Flow[Iterator[Msg | None] | None]:
        """Give what is queued, or else the source's next messages; None at the end."""
        while True:
            self._pace.check_deadline()
            if self._pace.breath_due():
                yield Breath()
            if self._queue:
                return self._until_due(self._drain()) if self._pace.watches else self._drain()
            if self._taken >= self._save_at or self._pace.save_due():
                yield from self._save()
            ended: Ended | None = self._pace.ended() or ("limit" if self._taken >= self._limit else None)
            if ended is not None and not self._intake.in_hand():
                self.ended = ended
                return None
            if self._run is not None:
                return self._take_from(self._run)
            self._run = yield from self._intake.more()
            if self._run is None:
                return None
            if self._intake.whole:
                self._admit(list(self._run))

    def _take_from(self, run: Iterator[Msg | None]) -> Iterator[Msg | None]:
        """Give messages of the source until there is something else to do; what follows a yield runs between two turns."""
        watches = self._pace.watches
        stop_at = min(self._limit, self._save_at)
        for message in run:
            if message is None:
                self._idle += 1
            else:
                self._taken += 1
            yield message
            if self._queue or self._taken >= stop_at or (watches and self._pace.due()):
                return
        self._run = None

    def _admit(self, messages: list[Msg | None]) -> None:
        self._run = None
        self._unseen = sum(message is not None for message in messages)
        self._taken += self._unseen
        self._enqueue(messages)

    def _enqueue(self, messages: Sequence[Any]) -> None:
        self._queue.extend(messages)
        self._queued += len(messages)

    def _drain(self) -> Iterator[Msg]:
        queue = self._queue
        while queue:
            message = queue.popleft()
            if self._unseen and message is not None:
                self._unseen -= 1
            yield message

    def _until_due(self, messages: Iterator[Msg]) -> Iterator[Msg]:
        for message in messages:
            yield message
            if self._pace.due():
                return

    def _save(self) -> Flow[None]:
        assert self._checkpoint is not None  # only a checkpoint schedules one
        yield from self._checkpoint.save(self._loop.model, self._intake.position())
        self._intake.saved()
        self._schedule()

    def _schedule(self) -> None:
        if self._checkpoint is not None and self._checkpoint.every is not None:
            self._save_at = self._taken + self._checkpoint.every
        if self._checkpoint is not None and self._checkpoint.seconds is not None:
            self._pace.save_in(self._checkpoint.seconds)

    def settle(self, messages: Sequence[Msg], /) -> Flow[None] | tuple[()]:
        """Queue what the turn has sent."""
        self._enqueue(messages)
        return ()

    def rollback(self, *, through: bool) -> Flow[None] | tuple[()]:
        """Do nothing: a batch that fails leaves no model, and its source is not told that anything was done."""
        return ()

    def where(self) -> Position:
        """Return the position of the source, or how many of its messages were taken before this one."""
        position = self._intake.where()
        return self._taken - 1 - self._unseen if position is None else position


class QueuedSourceFeed(SourceFeed[Msg]):
    """The same, with somebody's own queue between the source and the turns."""

    each = True

    def __init__(
        self,
        loop: Loop[Any, Msg],
        intake: Intake[Msg],
        pace: Pace,
        limit: int | None,
        checkpoint: Checkpoint | None,
        queue: PortFeed[Msg],
    ) -> None:
        super().__init__(loop, intake, pace, limit, checkpoint)
        self._port = queue

    @property
    def through(self) -> int:
        """How many messages were committed."""
        return self._port.through

    def take(self) -> Flow[Iterator[Msg | None] | None]:
        """Give the next message of the queue; when it is empty, put the source's next messages into it."""
        while True:
            self._pace.check_deadline()
            if not (yield from self._port.empty()):
                given = yield from self._port.take()
                if given is None:
                    raise Closed("the consumer was closed before the batch had processed what is in its queue")
                return given
            messages = yield from super().take()
            if messages is None:
                return None
            if not self._intake.whole:
                messages = islice(messages, 1)
            yield from self._port.put([message for message in messages if message is not None])

    def settle(self, messages: Sequence[Msg], /) -> Flow[None] | tuple[()]:
        """Put, then commit."""
        return self._port.settle(messages)

    def rollback(self, *, through: bool) -> Flow[None] | tuple[()]:
        """Ask the consumer to give its message again."""
        return self._port.rollback(through=through)
