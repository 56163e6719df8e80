"""Batch: a run that ends with its source. It is `Loop.run` over a feed that asks the source whenever the queue is empty."""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeVar, Unpack

from go_state.core.errors import TimedOut, UsageError
from go_state.core.ports import Consumer, Position, Producer
from go_state.core.program import Program
from go_state.modes.batch.halting import Halting
from go_state.modes.batch.limits import Limits
from go_state.modes.batch.loaded_first import LoadedFirst, Loading
from go_state.modes.batch.opening import Stream, open_reader
from go_state.modes.batch.queued_feed import QueuedSourceFeed
from go_state.modes.batch.source_feed import Ended, SavePoint, SourceFeed
from go_state.modes.batch.source_reader import SourceReader
from go_state.modes.loops import Folding, JustStarted, filing_for, plain_loop
from go_state.modes.options import BatchOptions
from go_state.modes.settings import check_names, checked_function, checked_program, program_without_key, run_settings
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.feeds.port_feed import PortFeed
from go_state.runtime.flow.driver import drive, drive_async, refuse_running_loop
from go_state.runtime.flow.waits import Flow
from go_state.runtime.on_error import FailedMessage, Failures, Filing, Halt, OnError, may_halt
from go_state.runtime.turn import Loop

Model = TypeVar("Model")
Msg = TypeVar("Msg")
Held = TypeVar("Held")  # the model as a loop has it: the program's own, or what whoever keeps it makes of that


@dataclass(frozen=True, slots=True)
class Result(Generic[Model, Msg]):
    """How a batch ended.

    `processed` turns led to `model`. `position` is where the source stands (None if it has no positions). `ended` is
    "exhausted", "limit", "stopped" or "budget" when it was asked to end early, or "failed" when it has halted at a message, which is
    `failed` then, and before which the source stands. `set_aside` are the messages that were set aside, and `letters` is how many
    others are in `gs.DeadLetters`.
    """

    model: Model
    processed: int
    position: Position
    ended: Ended
    set_aside: tuple[FailedMessage[Msg], ...]
    letters: int = 0
    failed: FailedMessage[Msg] | None = None


def batch(program: Program[Model, Msg], source: Stream[Msg], **options: Unpack[BatchOptions[Msg]]) -> Result[Model, Msg]:
    """Run the program over a source, in the calling thread, until the source is exhausted and the queue empty.

    `source` is an iterable of messages, a function that returns `(messages, more)`, a `Source` with positions, or a buffer,
    which is read until it is empty. The next message is taken only when everything that the last one led to is processed; the
    messages of one fetch enter the queue together. The keyword arguments are those of `BatchOptions`.

    Raises what the source, the program or the queue raises; an `ExceptionGroup` when both the program and the source fail.
    """
    refuse_running_loop("batch")
    check_names("batch", options, BatchOptions)
    plan = Plan(program_without_key(program, "batch"), options, on_loop=False)
    with plan.batch(plan.reader(source), kept=JustStarted()) as running:
        drive(running.flow())
    return running.result()


async def batch_async(
    program: Program[Model, Msg], source: Stream[Msg], **options: Unpack[BatchOptions[Msg]]
) -> Result[Model, Msg]:
    """Run the program over a source on the running event loop, as `batch` does in a thread.

    The source may be an async iterable or a coroutine function that fetches as well. A plain iterable is read on the loop: give
    one that blocks a `prefetch`. A stop switch of `signals` and the budget also end a wait for an async source.
    """
    check_names("batch_async", options, BatchOptions)
    plan = Plan(program_without_key(program, "batch_async"), options, on_loop=True)
    async with plan.batch(plan.reader(source), kept=JustStarted()) as running:
        await plan.drive_in_time(running.flow())
    return running.result()


class Plan(Generic[Model, Msg]):
    """The options of one batch, checked; they begin to count when it is made."""

    def __init__(
        self, program: Program[Model, Msg], options: BatchOptions[Msg], *, on_loop: bool, key: str | None = None
    ) -> None:
        self.program = checked_program(program)
        self._replaying = checked_function(
            "replaying", options.get("replaying"), "nothing that returns whether this is a replay"
        )
        self._on_loop = on_loop
        self._timeout = options.get("timeout")
        self._limit = options.get("limit")
        self._prefetch = options.get("prefetch", 0)
        for word, count in (("limit", self._limit), ("prefetch", self._prefetch)):
            if count is not None and (not isinstance(count, int) or count < 0):
                raise UsageError(f"{word} is a whole number of messages, not {count!r}")
        self._settings = run_settings(options)
        self.observation = self._settings.observation(program, key)  #: what tells the observers of the batch
        self._ports = _ports(options.get("producer"), options.get("consumer"))
        if self._ports is not None and isinstance(self._settings.on_error, Halt):
            raise UsageError(
                "gs.Halt() ends before a message of the source, which a queue of your own would keep: use gs.Raise()"
            )
        self._limits = Limits(stop=options.get("stop"), budget=options.get("budget"), timeout=self._timeout, on_loop=on_loop)

    def part(self) -> Plan[Model, Msg]:
        """Return the plan of one of the batches that this one is made of: it has no end of its own, and observers of its own turns."""
        part = copy(self)
        part._limit, part._timeout = None, None
        part._limits = Limits(stop=None, budget=None, timeout=None, on_loop=False)
        part.observation = self._settings.observation(self.program)
        if part.observation is not None:
            part.observation.is_part = True
        return part

    @property
    def limits(self) -> Limits:
        """When it ends early."""
        return self._limits

    @property
    def limit(self) -> int | None:
        """How many messages of the source it takes at most."""
        return self._limit

    @property
    def on_error(self) -> OnError:
        """What becomes of messages that fail."""
        return self._settings.on_error

    def reader(self, source: Stream[Msg], *, after: Position = None) -> SourceReader[Msg]:
        """Open the source."""
        limit = math.inf if self._limit is None else self._limit
        return open_reader(
            source, after=after, prefetch=self._prefetch, limit=limit, limits=self._limits, on_loop=self._on_loop
        )

    def batch(
        self,
        reader: SourceReader[Msg],
        *,
        kept: Folding[Model, Msg, Held],
        checkpoint: SavePoint[Held] | None = None,
        loading: Loading[Msg] | None = None,
        filing: Filing | None = None,
    ) -> Batch[Held, Msg]:
        """Return the batch, from the models of `kept`; with `loading` models are loaded beforehand."""
        on_error = self._settings.on_error
        filing = filing or filing_for(self.program, on_error, reader.name)
        manager = EffectManager(self._settings.resources, on_loop=self._on_loop, observation=self.observation, is_alone=True)
        manager.names.name_run(reader.name)
        halts = self._ports is None and may_halt(on_error)
        loop = plain_loop(self.program, manager, Failures(on_error, halts=halts, filing=filing), self._replaying, kept)
        halting = Halting(loop, reader, None if checkpoint is None else checkpoint.rewind) if halts else None
        source = SourceFeed(loop, reader, self._limits, self._limit, checkpoint, halting)
        feed: SourceFeed[Held, Msg] | QueuedSourceFeed[Held, Msg] = source
        if self._ports is not None:
            queue = PortFeed(*self._ports, on_loop=self._on_loop, one_at_a_time=True)
            feed = QueuedSourceFeed(source, queue, self._limits, manager, whole=reader.whole)
        return Batch(loop, reader, feed if loading is None else LoadedFirst(feed, *loading), checkpoint)

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
            self._limits.check_deadline()
            raise TimedOut(str(error)) from error


def _ports(producer: object, consumer: object) -> tuple[Producer[Any], Consumer[Any]] | None:
    if producer is None and consumer is None:
        return None
    if not isinstance(producer, Producer) or not isinstance(consumer, Consumer):
        raise UsageError("give both a producer= with put and a consumer= with get, commit, rollback and empty, or neither")
    return producer, consumer


class Batch(Generic[Model, Msg]):
    """A running batch, which closes its source at the end of its `with` block."""

    def __init__(
        self,
        loop: Loop[Model, Msg],
        reader: SourceReader[Msg],
        feed: SourceFeed[Model, Msg] | QueuedSourceFeed[Model, Msg] | LoadedFirst[Model, Msg],
        checkpoint: SavePoint[Model] | None,
    ) -> None:
        self.loop = loop
        self.reader = reader
        self._feed = feed
        self._checkpoint = checkpoint

    def flow(self) -> Flow[None]:
        """Run to the end, and save what there is to save."""
        yield from self.loop.run(self._feed)
        if self._checkpoint is not None:
            yield from self._checkpoint.save(self.loop.model, self._feed.position())
        yield from self.reader.saved(self._feed.position() if self._feed.has_halted else None)

    def upcoming(self) -> Iterator[Msg | None]:
        """Give the messages that are in hand, without taking them."""
        return self._feed.upcoming()

    @property
    def has_halted(self) -> bool:
        """Whether it has halted at a message."""
        return self._feed.has_halted

    def result(self) -> Result[Model, Msg]:
        """Return how it ended."""
        loop, feed, failures = self.loop, self._feed, self.loop.failures
        processed, failed = feed.processed - loop.passed_over, None if failures.halted is None else failures.halted.failed
        set_aside = tuple(failures.set_aside)
        return Result(loop.model, processed, feed.position(), feed.ended, set_aside, failures.letters, failed)

    def __enter__(self) -> Batch[Model, Msg]:
        self.loop.manager.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.loop.manager.__exit__(kind, error, trace)
        _raise_both(error, self.reader.close())

    async def __aenter__(self) -> Batch[Model, Msg]:
        self.loop.manager.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.loop.manager.__aexit__(kind, error, trace)
        _raise_both(error, await self.reader.aclose())


def _raise_both(error: BaseException | None, other: BaseException | None) -> None:
    """Raise the source's error, which was not raised yet, together with the program's.

    Where the program has not failed the batch has ended before it came to the error, which is then as if never read.
    """
    if isinstance(error, Exception) and isinstance(other, Exception):
        raise ExceptionGroup("both the program and its source failed", [error, other]) from None
