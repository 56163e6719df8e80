"""The effect manager: the block of one run that connects what performs, schedules and executes its commands.

    turn ──▶ interpreter: inline calls now, the rest held ──▶ commit ──▶ begin: scheduler ──▶ executor or timers
                                                                                                    │
    queue ◀── deliver: the message, then what follows in a `seq` ◀── between two turns ◀── inbox ◀──┘

All of it happens in the run's own thread or task; only the executor posts from elsewhere. What was cancelled, replaced or has timed
out is over, and whatever it still brings is ignored.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, MutableSequence
from contextvars import Token
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from go_state.core.commands import After, Call, Cmd
from go_state.core.errors import LeftRunning
from go_state.core.program import Commands
from go_state.core.subscriptions import Scope
from go_state.runtime.context import Named, current, environment
from go_state.runtime.effects.executor import Executor, Workers
from go_state.runtime.effects.held import Marks
from go_state.runtime.effects.inbox import Inbox, NextArrival, Rest
from go_state.runtime.effects.interpreter import Interpreter
from go_state.runtime.effects.lifecycle import Inputs, Lifecycle
from go_state.runtime.effects.place import Origin, TurnNames, marks_of
from go_state.runtime.effects.scheduler import Effect, Scheduler
from go_state.runtime.flow.waits import Flow
from go_state.runtime.resources import Resources
from go_state.system.timers import Timers

if TYPE_CHECKING:
    from go_state.runtime.observing.observation import Observation
    from go_state.runtime.observing.running import RunningEffect

PREFETCH = 64  # messages in the queue beyond which streams wait


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
        observation: Observation | None = None,
        is_alone: bool = False,
    ) -> None:
        effects = resources.effects
        self.observation = observation  #: what tells the observers of the run, if it has any
        self.inbox = Inbox()
        self.timers = Timers(resources.clock)
        self.names = TurnNames()
        self.executor: Executor = (executor or partial(Workers, on_loop=on_loop, at_once=effects.at_once))(self.inbox)
        self.handles_signals = handles_signals  # whether Sub.signal takes the place of the process's handler
        self.cancelled: list[Cmd[object]] = []  # the commands that the end of the run has cancelled
        self.credits: list[Callable[[], object]] = []  # what lets streams give more; always the same list
        self._env, self._grace = resources.env, effects.grace
        self._wake = self.inbox.wake  # one object: by it a clock knows the run
        self._scheduler = Scheduler(effects.at_once)
        self._interpreter = Interpreter(self._scheduler, self.names, inline=inline, brief=is_alone and observation is None)
        self.lifecycle = Lifecycle(self._interpreter, self._scheduler, self.executor, self.timers, self.inbox, inline=inline)
        if observation is not None:
            self.lifecycle.observe(observation.commands)
        # What a loop calls in every turn, and not methods around it: a chain spends a third of its time on commands.
        self.perform, self.held = self._interpreter.perform, self._interpreter.held
        self.begin, self.drop = self.lifecycle.begin, self.lifecycle.drop
        self.deliver, self.give_up = self.lifecycle.deliver, self.lifecycle.give_up
        rest = Rest(self.inbox, self.timers, self._scheduler, self.credits, self.grant, self._wake)
        self.left = rest.left
        self.timer_messages = partial(self.lifecycle.timer_messages, rest.left_until)
        self.keeps_timers = False  # whether timers outlast the run, because its store knows them and somebody wakes the program
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
        self.lifecycle.inputs = inputs

    def connect_replies(self, replies: MutableSequence[object], drained: Callable[[], object]) -> None:
        """Put what turns answer into the sequence, and call `drained` when nothing but running effects is waited for any more."""
        self._interpreter.replies, self._drained = replies, drained

    def scope_by(self, scope_of: Callable[..., Scope] | None) -> None:
        """Ask the function, with the turn's message, for the scope of what goes on after its turn and has none."""
        self._interpreter.scope_of = scope_of

    def note_in(self, marks: Marks) -> None:
        """Note in `marks` which effects are running."""
        self.lifecycle.note_in(marks)

    @property
    def inputs(self) -> Inputs | None:
        """The run's subscriptions."""
        return self.lifecycle.inputs

    def backlog(self) -> int:
        """Return how many messages are in the queue."""
        return self._backlog()

    def taken(self) -> float:
        """Return how many messages were ever taken from the queue; infinity if that is not known."""
        return self._taken()

    # ------------------------------------------------------------------ what a loop calls

    def resume(self, commands: Commands[object], origin: Origin, names: Collection[str]) -> None:
        """Hold, of the commands of a turn before a crash, those that were running, by their names."""
        self._interpreter.resume(commands, origin, names)

    def held_names(self) -> set[str]:
        """Return the names under which what is held is noted, and the marks of what it is a part of."""
        held = [each for each in self.held if isinstance(each, Effect)]
        return {effect.name for effect in held}.union(*(marks_of(effect.group) for effect in held))

    # ------------------------------------------------------------------ waiting

    @property
    def has_arrivals(self) -> bool:
        """Whether there is something to deliver."""
        return bool(self.inbox.arrivals) or (bool(self.timers.heap) and self.timers.is_due())

    @property
    def active(self) -> bool:
        """Whether something may arrive."""
        inputs = self.inputs
        return bool(self._scheduler.count or self.inbox.arrivals or (inputs is not None and inputs.count))

    @property
    def may_rest(self) -> bool:
        """Whether the run may end when no message comes: nothing may arrive, or nothing but what outlasts it."""
        if not self.keeps_timers:
            return not self.active
        return self.is_through and (self.inputs is None or self.inputs.may_rest)

    @property
    def is_through(self) -> bool:
        """Whether no call runs or waits to, and nothing has arrived; timers may be set."""
        return not self.inbox.arrivals and self._scheduler.count == len(self.pending_timers())

    def pending_timers(self) -> list[Effect]:
        """Return the timers of commands that are set."""
        return [effect for effect in self._scheduler.begun() if type(effect.command) is After] if self._scheduler.count else []

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

    def effects(self) -> list[RunningEffect]:
        """Return, also to other threads, what runs or waits to, in the order of its beginning."""
        from go_state.runtime.observing.running import running_effects

        scheduler = self._scheduler
        return running_effects(scheduler.everything(), scheduler.is_launched, self.timers.clock)

    def calls(self) -> set[object]:
        """Return the positions of the messages whose calls run, wait or have arrived; None stands for a call of no message."""
        return {each.origin.position for each in self._scheduler.everything() if type(each.command) is not After}

    def follow_deliveries(self, begins: Callable[[object], object] | None) -> None:
        """Call the function before the messages of an arrival are put, with the position of the message whose call it is; None ends it."""
        self.lifecycle.begins = begins

    def begun(self) -> list[Effect]:
        """Return the effects that were launched, in the order of their beginning."""
        return self._scheduler.begun()

    def grant(self) -> None:
        """Grant streams more items, unless the queue is long: more would only use memory."""
        if self._backlog() < PREFETCH:
            granted = self.credits.copy()
            self.credits.clear()
            for give_more in granted:
                self.executor.call(give_more)

    def last_ones(self, seconds: float | None = None) -> Flow[bool]:
        """Wait for the next arrival, up to `seconds`, when no other message will come; return False if no effect is left.

        Subscriptions end here: they are input from outside, and no end waits for them. Nor does it for timers that outlast the run.
        """
        if (inputs := self.lifecycle.inputs) is not None:
            inputs.rest() if self.keeps_timers else inputs.end()
        lasting = len(self.pending_timers()) if self.keeps_timers else 0
        if self._scheduler.count == lasting and not self.inbox.arrivals:
            return False
        if self._drained is not None:
            self._drained()
        if self.left() != 0:  # a clock that jumps is there at once: then there is no wait
            yield self.next_arrival(seconds)
        self.inbox.is_awaited = False
        return True

    def next_arrival(self, seconds: float | None = None) -> NextArrival:
        """Return the wait for the next arrival, up to `seconds`."""
        return NextArrival(self, seconds)

    def end_inputs(self) -> None:
        """End the subscriptions, for good."""
        if self.lifecycle.inputs is not None:
            self.lifecycle.inputs.end()

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
        if self.observation is not None:
            self.observation.started()

    def _stop_all(self) -> None:
        try:
            self._interpreter.drop()  # what is held keeps its marks: this run has not begun it, and the next one does
            self.end_inputs()
            self.lifecycle.adopt_timers()
            effects = self._scheduler.end_everything()
            self.cancelled += [effect.command for effect in effects]
            for effect in reversed(effects):
                effect.close_coroutine()
                if type(effect.command) is Call:
                    self.executor.stop(effect)
                if self.observation is not None:
                    self.observation.commands.cancelled(effect)
        finally:
            if self._tokens is not None:
                current.reset(self._tokens[0])
                environment.reset(self._tokens[1])

    def _warn_of_what_is_left(self, error: BaseException | None) -> None:
        self.withdraw()
        if self.observation is not None:
            self.observation.ended(error)
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
                self._warn_of_what_is_left(error)

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
                self._warn_of_what_is_left(error)


def _unknown() -> float:
    return math.inf
