"""Batch: a run that ends with its source. It is `Loop.run` over a feed that asks the source whenever the queue is empty."""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeAlias, TypedDict, TypeVar, Union, Unpack

from go_state.core.errors import TimedOut, UsageError
from go_state.core.ports import Consumer, Log, Position, Producer, Source, Switch
from go_state.core.program import Program
from go_state.modes.aggregate.loaded_first import LoadedFirst, Loading
from go_state.modes.batch.source_feed import Ended, QueuedSourceFeed, SavePoint, SourceFeed
from go_state.modes.batch.source_reader import Intake, open_intake
from go_state.modes.limits import Pace
from go_state.modes.run import Folding, checked, plain_loop, without_key
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.effects.timers import Clock
from go_state.runtime.feeds.port_feed import PortFeed
from go_state.runtime.flow.driver import drive, drive_async, refuse_running_loop
from go_state.runtime.flow.waits import Flow
from go_state.runtime.on_error import FailedMessage, Failures, OnError, Raise, check_on_error
from go_state.runtime.resources import Effects, resources_of
from go_state.runtime.turn import Loop

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
    `producer` and `consumer`: a queue of your own, whose consumer also has `empty()`. `env`, `effects` and `clock`: see `run`; a
    batch that is asked to end waits for the commands under way, and one that fails cancels them.
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
    env: object
    effects: Effects | None
    clock: Clock | None


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
    plan = Plan(without_key(program, "batch"), options, on_loop=False, called=batch)
    with plan.batch(plan.intake(source)) as running:
        drive(running.flow())
    return running.result()


async def batch_async(program: Program[Model, Msg], source: Stream[Msg], **options: Unpack[Options[Msg]]) -> Result[Model, Msg]:
    """Run the program over a source on the running event loop, as `batch` does in a thread.

    The source may be an async iterable or a coroutine function that fetches as well. A plain iterable is read on the loop: give
    one that blocks a `prefetch`. A stop switch of `signals` and the budget also end a wait for an async source.
    """
    plan = Plan(without_key(program, "batch_async"), options, on_loop=True, called=batch_async)
    async with plan.batch(plan.intake(source)) as running:
        await plan.drive_in_time(running.flow())
    return running.result()


class Plan(Generic[Model, Msg]):
    """The options of one batch, checked; they begin to count when it is made."""

    def __init__(
        self, program: Program[Model, Msg], options: Options[Msg], *, on_loop: bool, called: Callable[..., object]
    ) -> None:
        for word in options.keys() - Options.__annotations__.keys():
            raise _no_such_argument(word, called)
        self.program: Program[Model, Msg] = checked(program)
        self._replaying = options.get("replaying")
        self._on_loop = on_loop
        self._timeout = options.get("timeout")
        self._limit = options.get("limit")
        self._prefetch = options.get("prefetch", 0)
        for word, count in (("limit", self._limit), ("prefetch", self._prefetch)):
            if count is not None and (not isinstance(count, int) or count < 0):
                raise UsageError(f"{word} is a whole number of messages, not {count!r}")
        self._on_error = options.get("on_error", Raise())
        check_on_error(self._on_error)
        self._outside = resources_of(options.get("env"), options.get("effects"), options.get("clock"))
        self._ports = _ports(options.get("producer"), options.get("consumer"))
        self._pace = Pace(stop=options.get("stop"), budget=options.get("budget"), timeout=self._timeout, on_loop=on_loop)

    def intake(self, source: Stream[Msg], *, after: Position = None) -> Intake[Msg]:
        """Open the source."""
        limit = math.inf if self._limit is None else self._limit
        return open_intake(source, after=after, prefetch=self._prefetch, limit=limit, pace=self._pace, on_loop=self._on_loop)

    def batch(
        self,
        intake: Intake[Msg],
        *,
        kept: Folding[Model, Msg] | None = None,
        checkpoint: SavePoint | None = None,
        loading: Loading[Msg] | None = None,
    ) -> Batch[Model, Msg]:
        """Return the batch, from the models of `kept` if that is given; with `loading` models are loaded beforehand."""
        manager = EffectManager(self._outside, on_loop=self._on_loop)
        manager.names.name_run(intake.name)
        loop = plain_loop(self.program, manager, Failures(self._on_error), self._replaying, kept)
        feed = SourceFeed(loop, intake, self._pace, self._limit, checkpoint)
        if self._ports is not None:
            queue = PortFeed(*self._ports, on_loop=self._on_loop, one_at_a_time=True)
            feed = QueuedSourceFeed(loop, intake, self._pace, self._limit, checkpoint, queue)
        return Batch(loop, intake, feed if loading is None else LoadedFirst(feed, *loading), checkpoint)

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


def _no_such_argument(word: str, called: Callable[..., object]) -> UsageError:
    import difflib

    own = [p.name for p in inspect.signature(called).parameters.values() if p.kind is p.KEYWORD_ONLY]
    known = [*own, *Options.__annotations__]
    near = difflib.get_close_matches(word, known, 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return UsageError(f"{called.__name__} has no argument {word}{hint}: it has {', '.join(known)}")


def _ports(producer: object, consumer: object) -> tuple[Producer[Any], Consumer[Any]] | None:
    if producer is None and consumer is None:
        return None
    if not isinstance(producer, Producer) or not isinstance(consumer, Consumer):
        raise UsageError("give both a producer= with put and a consumer= with get, commit, rollback and empty, or neither")
    return producer, consumer


class Batch(Generic[Model, Msg]):
    """A batch under way, which lets go of its source at the end of its `with` block."""

    def __init__(
        self,
        loop: Loop[Model, Msg],
        intake: Intake[Msg],
        feed: SourceFeed[Msg] | LoadedFirst[Msg],
        checkpoint: SavePoint | None,
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
        yield from self.intake.saved()

    def result(self) -> Result[Model, Msg]:
        """Return how it ended."""
        processed = self._feed.processed - self.loop.passed_over
        return Result(self.loop.model, processed, self.intake.position(), self._feed.ended, tuple(self.loop.failures.set_aside))

    def __enter__(self) -> Batch[Model, Msg]:
        self.loop.manager.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.loop.manager.__exit__(kind, error, trace)
        _raise_both(error, self.intake.close())

    async def __aenter__(self) -> Batch[Model, Msg]:
        self.loop.manager.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.loop.manager.__aexit__(kind, error, trace)
        _raise_both(error, await self.intake.aclose())


def _raise_both(error: BaseException | None, other: BaseException | None) -> None:
    """Raise the source's error, which nobody has seen yet, together with the program's.

    Where the program has not failed the batch has ended before it came to the error, which is then as if never read.
    """
    if isinstance(error, Exception) and isinstance(other, Exception):
        raise ExceptionGroup("both the program and its source failed", [error, other]) from None
