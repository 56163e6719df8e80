"""The effect manager: the block of one run that connects what performs, schedules and executes its commands.

    turn ──▶ interpreter: inline calls now, the rest held ──▶ commit ──▶ begin: scheduler ──▶ executor or timers
                                                                                                    │
    queue ◀── deliver: the message, then what follows in a `seq` ◀── between two turns ◀── inbox ◀──┘

All of it happens in the run's own thread or task; only the executor posts from elsewhere. What was cancelled, replaced or has timed
out is over, and whatever it still brings is ignored.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Collection
from contextvars import Token
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from go_state.core.commands import Call, Cmd
from go_state.core.errors import LeftRunning, NotStorable
from go_state.runtime.effects.context import Named, current, environment
from go_state.runtime.effects.effect import Effect, Messages, Origin, TurnNames, marks_of
from go_state.runtime.effects.executor import Executor, Workers
from go_state.runtime.effects.inbox import Arrival, Done, Failed, Inbox, Input, Look, NextArrival, Parked
from go_state.runtime.effects.interpreter import Interpreter, Marks
from go_state.runtime.effects.lifecycle import Delivery, Lifecycle, Trouble
from go_state.runtime.effects.scheduler import Scheduler
from go_state.runtime.flow.waits import CHECKPOINT_SECONDS, Checkpoint, Flow
from go_state.runtime.resources import Resources
from go_state.system.timers import SystemClock, Timers

PREFETCH = 64  # messages in the queue beyond which streams wait
# That enter the queue together: a fraction of a millisecond, and a number, so that a simulated clock repeats itself.
ARRIVALS = 64


Put: TypeAlias = Callable[[Messages], Flow[None] | tuple[()]]
Decide: TypeAlias = Callable[[Trouble], Flow[None]]


class Inputs(Protocol):
    """The running subscriptions of a run."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    def deliver(self, arrival: Input, /) -> Delivery:
        """Return what an arrival of a subscription sends."""
        ...

    def end(self) -> None:
        """End them all, for good."""
        ...


class EffectManager:
    """The effects of one run: a block, outside of which none of them is running."""

    def __init__(
        self,
        resources: Resources,
        *,
        on_loop: bool,
        executor: Callable[[Inbox], Executor] | None = None,
        inline: bool = True,
        handles_signals: bool = True,
    ) -> None:
        effects = resources.effects
        self.inbox = Inbox()
        self.timers = Timers(resources.clock)
        self.names = TurnNames()
        self.executor: Executor = (
            Workers(self.inbox, on_loop=on_loop, at_once=effects.at_once) if executor is None else executor(self.inbox)
        )
        self.handles_signals = handles_signals  # whether Sub.signal takes the place of the process's handler
        self.cancelled: list[Cmd[object]] = []  # the commands that the end of the run has cancelled
        self.credits: list[Callable[[], object]] = []  # what lets streams give more, when the queue is short again
        self.delivery_seconds = 0.0  # spent on arrivals since the feed last asked
        self._env = resources.env
        self._grace = effects.grace
        self._wake = self.inbox.wake  # one object: by it a clock knows the run
        self._scheduler = Scheduler(effects.at_once)
        self._interpreter = Interpreter(self._scheduler, self.names, inline=inline)
        self.lifecycle = Lifecycle(self._interpreter, self._scheduler, self.executor, self.timers, self.inbox, inline=inline)
        # What a loop calls in every turn, and not methods around it: a chain spends a third of its time on commands.
        self.perform = self._interpreter.perform
        self.held = self._interpreter.held
        self.begin = self.lifecycle.begin
        self.drop = self.lifecycle.drop
        self._inputs: Inputs | None = None
        self._backlog: Callable[[], int] = int
        self._taken: Callable[[], float] = _unknown
        self._drained: Callable[[], object] | None = None
        self._tokens: tuple[Token[Named | None], Token[object]] | None = None

    # ------------------------------------------------------------------ connecting, before the run begins

    def connect(
        self,
        *,
        where: Callable[[], object],
        wake: Callable[[], object] | None = None,
        backlog: Callable[[], int] = int,
        taken: Callable[[], float] | None = None,
        looks_up: bool = False,
    ) -> None:
        """Connect the run's feed: `where` returns the position of the message in its turn, `wake` ends a wait for messages, from any
        thread, `backlog` returns how many messages are in the queue, and `taken` how many were ever taken from it, if that is known.
        A feed that `looks_up` asks after each chunk of messages whether something has arrived; another one is told when that may be.
        """
        self.names.connect(where)
        self.inbox.connect(wake, looks_up=looks_up)
        self._backlog, self._taken = backlog, taken or _unknown

    def connect_inputs(self, inputs: Inputs) -> None:
        """Connect the run's subscriptions."""
        self._inputs = inputs

    def connect_replies(self, replies: list[object], drained: Callable[[], object]) -> None:
        """Put what turns answer into the list, and call `drained` when nothing but running effects is waited for any more."""
        self._interpreter.replies, self._drained = replies, drained

    def note_in(self, marks: Marks) -> None:
        """Note in `marks` which effects are running."""
        self.lifecycle.note_in(marks)

    @property
    def inputs(self) -> Inputs | None:
        """The run's subscriptions."""
        return self._inputs

    def backlog(self) -> int:
        """Return how many messages are in the queue."""
        return self._backlog()

    def taken(self) -> float:
        """Return how many messages were ever taken from the queue; infinity if that is not known."""
        return self._taken()

    # ------------------------------------------------------------------ what a loop calls

    def resume(self, commands: object, origin: Origin, names: Collection[str]) -> None:
        """Hold, of the commands of a turn before a crash, those that were running, by their names."""
        self._interpreter.resume(commands, origin, names)

    def held_names(self) -> set[str]:
        """Return the names under which what is held is noted, and the marks of what it is a part of."""
        held = [each for each in self.held if isinstance(each, Effect)]
        return {effect.name for effect in held}.union(*(marks_of(effect.group) for effect in held))

    # ------------------------------------------------------------------ delivering

    @property
    def has_arrivals(self) -> bool:
        """Whether there is something to deliver."""
        return bool(self.inbox.arrivals) or self.timers.is_due()

    def deliver(self, put: Put, decide: Decide) -> Flow[None]:
        """Put into the queue what effects and subscriptions have brought so far, in order, up to `ARRIVALS`; the rest comes when some
        messages have had their turns, however fast more arrives. `decide` raises a failure, or sets it aside.

        The messages of effects that are a part of nothing enter together, up to the next arrival that is more than that.
        """
        begun = checkpoint = time.monotonic()
        together: list[tuple[Done, Messages]] = []
        arrivals = self.inbox.arrivals
        if not self.timers.is_empty:
            self.timers.fire(ARRIVALS)
        for _ in range(min(len(arrivals), ARRIVALS)):
            arrival = arrivals.popleft()
            if type(arrival) is Done and arrival.effect.group is None:
                if not arrival.effect.over:
                    try:
                        together.append((arrival, self.lifecycle.messages_of(arrival)))
                    except BaseException as error:
                        yield from self._enter_together(together, put, decide)
                        yield from self._decide(self.lifecycle.trouble(arrival.effect, error), decide)
            elif type(arrival) is not Look:
                yield from self._enter_together(together, put, decide)
                yield from self._deliver_one(arrival, put, decide)
            if time.monotonic() - checkpoint >= CHECKPOINT_SECONDS:
                yield from self._enter_together(together, put, decide)
                yield Checkpoint()
                checkpoint = time.monotonic()
        if together:
            yield from self._enter_together(together, put, decide)
        self.delivery_seconds += time.monotonic() - begun

    def _enter_together(self, together: list[tuple[Done, Messages]], put: Put, decide: Decide) -> Flow[None]:
        if not together:
            return
        arrived = together.copy()
        together.clear()
        try:
            yield from put([each for _, messages in arrived for each in messages])
        except NotStorable:  # nothing has moved: find out which it is
            for done, messages in arrived:
                self.lifecycle.deliver_as(done)
                yield from self._enter(Delivery(messages), done, put, decide)
            return
        for done, _ in arrived:
            self.lifecycle.end(done.effect)
        self.lifecycle.delivered()

    def _deliver_one(self, arrival: Arrival, put: Put, decide: Decide) -> Flow[None]:
        if isinstance(arrival, (Done, Failed, Parked)):
            yield from self._enter(self.lifecycle.deliver(arrival), arrival, put, decide)
        elif self._inputs is not None and not isinstance(arrival, Look):
            yield from self._enter(self._inputs.deliver(arrival), arrival, put, decide)

    def _enter(self, delivery: Delivery, arrival: Arrival, put: Put, decide: Decide) -> Flow[None]:
        """Put the messages of a delivery, and when they are in the queue, what follows them."""
        trouble = yield from self._put(delivery, arrival, put)
        if trouble is None:
            trouble = yield from self._put(self.lifecycle.entered(), arrival, put)
        if trouble is not None:
            yield from self._decide(trouble, decide)
        self.lifecycle.delivered()

    def _put(self, delivery: Delivery, arrival: Arrival, put: Put) -> Flow[Trouble | None]:
        """Put the messages of a delivery; return its trouble, or that with a message that cannot be stored."""
        if delivery.messages:
            try:
                yield from put(delivery.messages)
            except NotStorable as error:
                return self.lifecycle.refuse(arrival, error)
        return delivery.trouble

    def _decide(self, trouble: Trouble, decide: Decide) -> Flow[None]:
        yield from decide(trouble)
        self.give_up()

    def give_up(self) -> None:
        """Called when the last failure was set aside: its effect is over, and what follows it is left out."""
        self.lifecycle.give_up()
        self.lifecycle.delivered()

    # ------------------------------------------------------------------ waiting

    @property
    def active(self) -> bool:
        """Whether something may arrive."""
        return bool(self._scheduler.count or self.inbox.arrivals or (self._inputs is not None and self._inputs.count))

    @property
    def count(self) -> int:
        """How many effects run or wait to; the end of a run waits for them."""
        return self._scheduler.count

    @property
    def is_full(self) -> bool:
        """Whether calls wait for others to end."""
        return self._scheduler.is_full

    def waiting(self) -> list[Effect]:
        """Return the calls that wait for others to end, in order."""
        return self._scheduler.waiting()

    def begun(self) -> list[Effect]:
        """Return the effects that were launched, in the order of their beginning."""
        return self._scheduler.begun()

    def left(self, resting: Callable[[], bool]) -> float | None:
        """Return for how long the run may wait, in seconds, which is about to; None for any time. `resting` returns, from any thread,
        whether it has nothing else to do.

        The run says that it waits before it looks for arrivals once more, and `Inbox.post` looks at that after it has added one. So an
        arrival that comes now is seen here, or wakes the run.
        """
        inbox, clock = self.inbox, self.timers.clock
        inbox.is_awaited = True
        if self.credits:
            self.grant()
        if inbox.arrivals:
            return 0.0
        if clock.__class__ is SystemClock and self.timers.is_empty:
            return None

        def has_rest() -> bool:
            return inbox.is_awaited and not inbox.arrivals and not self._scheduler.is_busy() and resting()

        return clock.left(self.timers.next_wait(), has_rest, self._wake)

    def grant(self) -> None:
        """Grant streams more items, unless the queue is long: more would only use memory."""
        if self._backlog() < PREFETCH:
            granted, self.credits = self.credits, []
            for give_more in granted:
                self.executor.call(give_more)

    def last_ones(self, seconds: float | None = None) -> Flow[bool]:
        """Wait for the next arrival, up to `seconds`, when no other message will come; return False if no effect is left.

        Subscriptions end here: they are input from outside, and no end waits for them.
        """
        self.end_inputs()
        if not self._scheduler.count and not self.inbox.arrivals:
            return False
        if self._drained is not None:
            self._drained()
        if not self.has_arrivals and self.left(_resting) != 0:  # a clock that jumps is there at once: then there is no wait
            yield self.next_arrival(seconds)
        self.inbox.is_awaited = False
        return True

    def next_arrival(self, seconds: float | None = None) -> NextArrival:
        """Return the wait for the next arrival, up to `seconds`."""
        return NextArrival(self, seconds)

    def end_inputs(self) -> None:
        """End the subscriptions, for good."""
        if self._inputs is not None:
            self._inputs.end()

    # ------------------------------------------------------------------ the block

    def announce(self) -> None:
        """Tell the clock of the run, which may not have begun yet."""
        self.timers.clock.enter(self._wake)

    def withdraw(self) -> None:
        """Tell the clock that the run has ended."""
        self.timers.clock.leave(self._wake)

    def open(self) -> None:
        """Begin, in the thread or task of the run."""
        self.announce()
        self._tokens = current.set(self._interpreter), environment.set(self._env)

    def _stop_all(self) -> None:
        try:
            self._interpreter.drop()  # what is held keeps its marks: this run has not begun it, and the next one does
            self.end_inputs()
            effects = self._scheduler.end_everything()
            self.cancelled += [effect.command for effect in effects]
            for effect in reversed(effects):
                effect.close_coroutine()
                if type(effect.command) is Call:
                    self.executor.stop(effect)
        finally:
            if self._tokens is not None:
                current.reset(self._tokens[0])
                environment.reset(self._tokens[1])

    def _warn_of_what_is_left(self) -> None:
        self.withdraw()
        for name in self.executor.left():
            warnings.warn(
                f"{name} has not ended within {self._grace:g} seconds of being cancelled, and goes on: give it a timeout of "
                f"its own, or raise the grace of gs.Effects",
                LeftRunning,
                stacklevel=3,
            )

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._stop_all()
        finally:  # also if Ctrl-C comes meanwhile
            try:
                self.executor.close(self._grace)
            finally:
                self._warn_of_what_is_left()

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is GeneratorExit:  # its event loop is closed, and what ran in it is over: nothing can be awaited any more
            self.drop()
            self.withdraw()
            return
        try:
            self._stop_all()
        finally:
            try:
                await self.executor.close_async(self._grace)
            finally:
                self._warn_of_what_is_left()


def _resting() -> bool:
    return True


def _unknown() -> float:
    return math.inf
