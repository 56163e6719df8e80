"""The life of an effect: begun at its turn's commit, launched, delivered when it has arrived, and ended.

    held ──▶ begin: scheduler ──▶ launch: executor or timers ──▶ inbox ──▶ deliver: its messages ──▶ put ──▶ end

Most effects succeed and are a part of nothing: their messages enter the queue together, up to the next arrival that is more than that.
What has failed, and what others follow, is delivered by itself, as `Endings` says. An effect's message enters the queue before what
follows it begins, and a durable run removes its mark after that: so an effect whose mark is stored is begun again after a crash, and
none is lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from heapq import heappop
from typing import TYPE_CHECKING, Protocol, TypeAlias

from go_state.core.commands import After, Call, name_of
from go_state.core.errors import NotStorable, TimedOut
from go_state.runtime.context import current
from go_state.runtime.effects.endings import Delivery, Endings, Trouble
from go_state.runtime.effects.executor import Executor
from go_state.runtime.effects.held import Marks
from go_state.runtime.effects.inbox import Arrival, Done, Failed, Inbox, Input, Look, Parked
from go_state.runtime.effects.interpreter import Interpreter
from go_state.runtime.effects.place import Messages, Outcome, marks_of
from go_state.runtime.effects.scheduler import Cancelling, Effect, Later, Scheduler
from go_state.runtime.flow.awaitables import is_awaitable
from go_state.runtime.flow.waits import CHECKPOINT_SECONDS, Checkpoint, Flow
from go_state.system.crash_points import Watch
from go_state.system.timers import Shared, SystemClock, Timers

if TYPE_CHECKING:
    from go_state.runtime.observing.commands import ObservesEffects

# That enter the queue together: a fraction of a millisecond, and a number, so that a simulated clock repeats itself.
ARRIVALS = 64

_NO_POSITION = -1  # of what a subscription brings, which comes of no message


Put: TypeAlias = Callable[[Messages], Flow[None] | tuple[()]]
Decide: TypeAlias = Callable[[Trouble], Flow[None]]


class Inputs(Protocol):
    """The running subscriptions of a run."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def may_rest(self) -> bool:
        """Whether all of them are timers."""
        ...

    def deliver(self, arrival: Input, /) -> Delivery:
        """Return what an arrival of a subscription sends."""
        ...

    def rest(self) -> None:
        """Stop them: nothing more is sent, and what the clock brings from now on is for the next run."""
        ...

    def end(self) -> None:
        """End them all, for good."""
        ...


class Lifecycle:
    """Takes the effects of one run through their lives, in the run's own thread or task."""

    def __init__(
        self,
        interpreter: Interpreter,
        scheduler: Scheduler,
        executor: Executor,
        timers: Timers,
        inbox: Inbox,
        *,
        inline: bool,
    ) -> None:
        self.inputs: Inputs | None = None  #: the run's subscriptions
        self.resumed: Mapping[str, float] = {}  #: when the timers of an earlier run are over, since 1970, by their effect ids
        self.begins: Callable[[object], object] | None = None  #: told whose messages are put next, if anybody follows that
        self.seconds = 0.0  #: spent on arrivals since somebody has set it to zero
        self._interpreter = interpreter
        self._scheduler = scheduler
        self._executor = executor
        self._timers = timers
        self._inbox = inbox
        self._arrivals = inbox.arrivals
        self._inline = inline
        self._endings = Endings(interpreter, executor, timers, self._end, self._begin_held)
        clock = timers.clock
        self._now = time.monotonic if clock.__class__ is SystemClock else clock.monotonic  # without a step more for each effect
        self._observed: ObservesEffects | None = None
        self._launch: Callable[[Effect], object] = self.launch
        self._held, self._held_keys = interpreter.held, interpreter.holding.keys
        self._marks: Marks | None = None
        self._later = Shared(self._arrivals.append)

    def note_in(self, marks: Marks) -> None:
        """Note in `marks` which effects are running."""
        self._marks = self._interpreter.holding.marks = self._endings.marks = marks
        self._interpreter.brief = False  # a mark has the name of an effect

    def observe(self, observed: ObservesEffects | None) -> None:
        """Tell of each effect from its launch to its end; None ends that, and is said in the run's own thread, between two steps."""
        self._observed = self._endings.observed = observed
        self._launch = self.launch if observed is None else partial(observed.launch, self.launch)

    @property
    def observed(self) -> ObservesEffects | None:
        """Who is told of effects."""
        return self._observed

    # ------------------------------------------------------------------ at the commit

    def begin(self) -> None:
        """Begin what the committed turn has held, in order."""
        if not self._inbox.looks_up:
            self._inbox.look()
        if self._observed is not None:
            self._observed.held(self._held)
        self._begin_held()
        if self._endings.ended:
            self._endings.remove_marks()

    def _begin_held(self) -> None:
        now = None
        for step in self._held:  # held until all are begun: an interrupt in between ends the run, and no mark is removed
            if isinstance(step, Later):
                if now is None:
                    now = self._now()  # of all: a turn's timers count from its commit
                self._scheduler.laters += 1
                self._timers.add_shared(now + step.command.seconds, self._later, step)
                continue
            if type(step) is Effect and step.key is None:  # as most do, it only may have to wait for room
                if self._scheduler.admit(step):
                    self._launch(step)
                else:
                    step.since = self._now()
                continue
            if isinstance(step, Effect):
                step.since = self._now()  # of one that waits for its key; a launch sets it anew
            if type(step) is Cancelling and not step.scope and step.key is None:
                self.adopt_timers()
            stop, launch = self._scheduler.begin(step)
            for effect in stop:
                self._stop(effect)
            for effect in launch:
                if not effect.over:
                    self._launch(effect)
        if self._held_keys:
            self._held_keys.clear()
        self._held.clear()

    def adopt_timers(self) -> None:
        """Make effects of the timers that are none yet, which then can be asked for and cancelled as any other."""
        arrivals = self._arrivals
        for place in range(len(arrivals)):  # to which other threads may append meanwhile
            if type(timer := arrivals[place]) is Later:
                arrivals[place] = self._scheduler.adopt(timer)
        self._timers.replace_shared(self._scheduler.adopt)

    def drop(self) -> None:
        """Forget what a turn that is rolled back has held: if the turn is taken again, it asks for it again."""
        dropped = self._interpreter.drop()
        if self._marks is not None:
            for effect in dropped:
                self._marks.ended([effect.name, *marks_of(effect.group)])

    def _stop(self, effect: Effect) -> None:
        """Stop an effect that the scheduler has cancelled; its `seq` or `all` has failed."""
        if self._marks is not None:
            self._endings.ended.append(effect.name)
        if type(effect.command) is Call:
            effect.cancel_timeout()
            effect.close_coroutine()
            self._executor.stop(effect)
        else:
            self._timers.cancel(effect)
        if self._observed is not None:
            self._observed.cancelled(effect)
        self._endings.go_up(effect.group, Outcome.FAILED, [])

    # ------------------------------------------------------------------ launching

    def launch(self, effect: Effect) -> None:
        """Set the timer of an effect, or begin its call."""
        effect.since = now = self._now()
        command = effect.command
        if isinstance(command, After):
            seconds = self._seconds_left(effect, command.seconds) if self.resumed else command.seconds
            self._timers.add(now + seconds, self._arrivals.append, effect)
            return
        if effect.coroutine is None and command.how.timeout is not None:  # one that was called in its turn has no timeout
            effect.timer = self._timers.set(command.how.timeout, self._time_out, effect)
        if Watch.reached is not None:
            Watch.reached("command-begins")
        if effect.coroutine is not None or command.how.goes_on or not self._inline or not self._call_inline(effect):
            self._executor.start(effect)

    def _seconds_left(self, effect: Effect, seconds: float) -> float:
        """Return in how many seconds a timer is over that an earlier run may have set."""
        at = self.resumed.get(effect.name)
        return seconds if at is None else min(max(at - self._timers.clock.time(), 0.0), seconds)

    def _call_inline(self, effect: Effect) -> bool:
        """Call a function that has waited for its key, here in the run's thread; return whether it was a plain one."""
        token = current.set(effect)
        try:
            result = effect.call.fn(*effect.call.args)
        except BaseException as error:
            self._inbox.add(Failed(effect, error))
            return True
        finally:
            current.reset(token)
        if is_awaitable(result):
            effect.coroutine = result
            return False
        self._inbox.add(Done(effect, result))
        return True

    def _time_out(self, effect: Effect) -> None:
        if not effect.over:
            error = TimedOut(f"{name_of(effect.call.fn)} took longer than {effect.call.how.timeout:g} seconds")
            self._inbox.add(Failed(effect, error))

    # ------------------------------------------------------------------ delivering

    def deliver(self, put: Put, decide: Decide) -> Flow[None]:
        """Put into the queue what effects and subscriptions have produced so far, in order, up to `ARRIVALS`; the rest comes when some
        messages have had their turns, however fast more arrives. `decide` raises a failure, or sets it aside.
        """
        begun = checkpoint = time.monotonic()
        arrivals, together = self._arrivals, list[tuple[Effect, Messages]]()
        if self._timers.heap:
            self._timers.fire(ARRIVALS)
        for number in range(min(len(arrivals), ARRIVALS)):
            if number and time.monotonic() - checkpoint >= CHECKPOINT_SECONDS:
                yield from self._enter_together(together, put, decide)
                yield Checkpoint()
                checkpoint = time.monotonic()
            arrival = arrivals.popleft()
            if type(arrival) is Effect:  # a timer
                effect, result = arrival, None
            elif type(arrival) is Later:
                effect, result = self._scheduler.adopt(arrival), None
            elif type(arrival) is Done:
                effect, result = arrival
            else:
                if type(arrival) is not Look:
                    yield from self._enter_together(together, put, decide)
                    yield from self._deliver_one(arrival, put, decide)
                continue
            if effect.group is None and self.begins is None:
                if effect.over:
                    continue
                if Watch.reached is not None:
                    Watch.reached("command-delivered")
                try:
                    together.append((effect, effect.messages_of(result)))
                except BaseException as error:
                    yield from self._enter_together(together, put, decide)
                    yield from self._decide(self._endings.trouble(effect, error), decide)
            else:
                yield from self._enter_together(together, put, decide)
                yield from self._deliver_one(Done(effect, result), put, decide)
        if together:
            yield from self._enter_together(together, put, decide)
        self.seconds += time.monotonic() - begun

    def timer_messages(self, left_until: Callable[[float], float | None]) -> Iterator[Messages]:
        """Give the messages of timers that have just one, timer after timer, each when it is due, up to where something else is to be done.

        `left_until(due)` returns 0 if the timer is due, or if time has jumped to it. This is the way of a simulated day, in which each
        timer has its turn at a time of its own: through `deliver` and the queue it takes three times as long.
        """
        heap, arrivals, inbox, scheduler = self._timers.heap, self._arrivals, self._inbox, self._scheduler
        while heap and not arrivals:
            due, _, _, timer = heap[0]
            if type(timer) is not Later or Watch.reached is not None:
                return
            messages = timer.command.messages
            if len(messages) != 1:
                return
            is_due = left_until(due) == 0
            inbox.is_awaited = False
            if not is_due or arrivals:
                return
            heappop(heap)
            if heap and heap[0][0] <= due:  # the messages of those that are due at one time enter the queue together
                arrivals.append(timer)
                return
            scheduler.laters -= 1
            yield messages

    def _enter_together(self, together: list[tuple[Effect, Messages]], put: Put, decide: Decide) -> Flow[None]:
        """Put the messages of these, and end them."""
        if not together:
            return
        arrived = together.copy()
        together.clear()
        if (observed := self._observed) is not None:
            for effect, messages in arrived:
                observed.sent(effect, messages)
        try:
            yield from put(arrived[0][1] if len(arrived) == 1 else [each for _, messages in arrived for each in messages])
        except NotStorable:  # nothing has moved: find out which it is
            for effect, messages in arrived:
                self._endings.deliver_as(effect)
                yield from self._enter(Delivery(messages), Done(effect, None), put, decide)
            return
        for effect, _ in arrived:
            self._end(effect)
        if self._endings.ended:
            self._endings.remove_marks()

    def _end(self, effect: Effect) -> None:
        """Take out an effect that has ended, and launch what has waited for it."""
        if self._marks is not None:
            self._endings.ended.append(effect.name)
        if effect.timer is not None or effect.try_timer is not None:
            effect.cancel_timeout()
        if self._observed is not None:
            self._observed.ended(effect)
        for each in self._scheduler.end(effect):
            self._launch(each)

    # ------------------------------------------------------------------ delivering one by itself

    def _deliver_one(self, arrival: Arrival, put: Put, decide: Decide) -> Flow[None]:
        if self.begins is not None:
            self.begins(arrival.origin.position if isinstance(arrival, (Done, Failed, Parked)) else _NO_POSITION)
        if isinstance(arrival, (Done, Failed, Parked)):
            yield from self._enter(self._endings.deliver(arrival), arrival, put, decide)
        elif self.inputs is not None and not isinstance(arrival, Look):
            yield from self._enter(self.inputs.deliver(arrival), arrival, put, decide)

    def _enter(self, delivery: Delivery, arrival: Arrival, put: Put, decide: Decide) -> Flow[None]:
        """Put the messages of a delivery, and when they are in the queue, what follows them."""
        trouble = yield from self._put(delivery, arrival, put)
        if trouble is None:
            trouble = yield from self._put(self._endings.entered(), arrival, put)
        if trouble is not None:
            yield from self._decide(trouble, decide)
        self._endings.remove_marks()

    def _put(self, delivery: Delivery, arrival: Arrival, put: Put) -> Flow[Trouble | None]:
        """Put the messages of a delivery; return its trouble, or that with a message that cannot be stored."""
        if delivery.messages:
            try:
                yield from put(delivery.messages)
            except NotStorable as error:
                return self._endings.refuse(arrival, error)
        return delivery.trouble

    def _decide(self, trouble: Trouble, decide: Decide) -> Flow[None]:
        yield from decide(trouble)
        self.give_up()

    def give_up(self) -> None:
        """Called when the last failure was set aside: its effect is over, and what follows it is left out."""
        self._endings.give_up()
        self._endings.remove_marks()
