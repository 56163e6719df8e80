"""The life of an effect: begun at its turn's commit, launched, delivered when it arrives, ended, and what follows it begun.

    held ──▶ begin: scheduler ──▶ launch: executor or timers ──▶ inbox ──▶ deliver: its message ──▶ entered: ended, what follows it begun

An effect's message enters the queue before what follows it begins, and a durable run removes its mark after that: so an effect whose
mark is stored is begun again after a crash, and none is lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from go_state.core.commands import After, Call, name_of
from go_state.core.errors import ProgramError, TimedOut
from go_state.runtime.effects.context import current
from go_state.runtime.effects.effect import Effect, Group, Marks, Messages, Origin, Outcome, marks_of, wrapped
from go_state.runtime.effects.executor import Executor
from go_state.runtime.effects.inbox import Arrival, Done, Failed, Inbox, Parked, done
from go_state.runtime.effects.interpreter import Interpreter
from go_state.runtime.effects.scheduler import Scheduler
from go_state.runtime.flow.awaitables import is_awaitable
from go_state.runtime.raised import as_failure
from go_state.system.crash_points import Watch
from go_state.system.timers import SystemClock, Timers

if TYPE_CHECKING:
    from go_state.runtime.observing.commands import ObservesEffects


class Trouble(NamedTuple):
    """A failure that `on_error` has to decide on."""

    error: BaseException
    origin: Origin


class Delivery(NamedTuple):
    """What an arrival, or what follows it, sends: messages for the queue, and its failure, if it has failed."""

    messages: Messages = ()
    trouble: Trouble | None = None


NOTHING = Delivery()


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
        self._interpreter = interpreter
        self._scheduler = scheduler
        self._executor = executor
        self._timers = timers
        self._inbox = inbox
        self._inline = inline
        clock = timers.clock
        self._now = time.monotonic if clock.__class__ is SystemClock else clock.monotonic  # without a step more for each effect
        self._observed: ObservesEffects | None = None
        self._launch: Callable[[Effect], object] = self.launch
        self.messages_of: Callable[[Done], Messages] = self._messages_of  #: the messages of what has returned, or is due
        self._held = interpreter.held
        self._marks: Marks | None = None
        self.resumed: Mapping[str, float] = {}  # when the timers of an earlier run are over, since 1970, by their effect ids
        self.ended: list[str] = []  # marks to be removed once the messages of the arrival are in the queue
        self._delivered: Effect | None = None  # the effect whose message is on its way into the queue
        self._failed: Effect | None = None  # the effect whose failure on_error has to decide on

    def note_in(self, marks: Marks) -> None:
        """Note in `marks` which effects are running."""
        self._marks = self._interpreter.holding.marks = marks

    def observe(self, observed: ObservesEffects | None) -> None:
        """Tell of each effect from its launch to its end; None ends that, and is said in the run's own thread, between two steps."""
        self._observed = observed
        self._launch = self.launch if observed is None else partial(observed.launch, self.launch)
        self.messages_of = self._messages_of if observed is None else partial(self._told_messages_of, observed)

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
        if self.ended:
            self.delivered()

    def _begin_held(self) -> None:
        for step in self._held:  # held until all are begun: an interrupt in between ends the run, and no mark is removed
            if step.key is None and type(step) is Effect:  # as most do, it only may have to wait for room
                if self._scheduler.admit(step):
                    self._launch(step)
                else:
                    step.since = self._now()
                continue
            if isinstance(step, Effect):
                step.since = self._now()  # of one that waits for its key; a launch sets it anew
            stop, launch = self._scheduler.begin(step)
            for effect in stop:
                self._stop(effect)
            for effect in launch:
                if not effect.over:
                    self._launch(effect)
        self._interpreter.holding.clear()

    def drop(self) -> None:
        """Forget what a turn that is rolled back has held: if the turn is taken again, it asks for it again."""
        dropped = self._interpreter.drop()
        if self._marks is not None:
            for effect in dropped:
                self._marks.ended([effect.name, *marks_of(effect.group)])

    # ------------------------------------------------------------------ launching and ending

    def _stop(self, effect: Effect) -> None:
        """Stop an effect that the scheduler has cancelled; its `seq` or `all` has failed."""
        if self._marks is not None:
            self.ended.append(effect.name)
        effect.cancel_timers()
        effect.close_coroutine()
        if type(effect.command) is Call:
            self._executor.stop(effect)
        if self._observed is not None:
            self._observed.cancelled(effect)
        self._go_up(effect.group, Outcome.FAILED, [])

    def launch(self, effect: Effect) -> None:
        """Set the timer of an effect, or begin its call."""
        effect.since = self._now()
        if effect.coroutine is not None:  # it was called in its turn, and so has no timeout
            if Watch.reached is not None:
                Watch.reached("command-begins")
            self._executor.start(effect)
            return
        command = effect.command
        if isinstance(command, After):
            seconds = self._seconds_left(effect, command.seconds) if self.resumed else command.seconds
            effect.timer = self._timers.set(seconds, self._is_due, effect)
            return
        if command.how.timeout is not None:
            effect.timer = self._timers.set(command.how.timeout, self._time_out, effect)
        if Watch.reached is not None:
            Watch.reached("command-begins")
        if command.how.goes_on or not self._inline or not self._call_inline(effect):
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

    def _is_due(self, effect: Effect) -> None:
        effect.timer = None
        self._inbox.arrivals.append(done((effect, None)))

    def _time_out(self, effect: Effect) -> None:
        if not effect.over:
            error = TimedOut(f"{name_of(effect.call.fn)} took longer than {effect.call.how.timeout:g} seconds")
            self._inbox.add(Failed(effect, error))

    def end(self, effect: Effect) -> None:
        """Take out an effect that has ended, and launch what has waited for it."""
        if self._marks is not None:
            self.ended.append(effect.name)
        if effect.timer is not None or effect.try_timer is not None:
            effect.cancel_timers()
        if self._observed is not None:
            self._observed.ended(effect)
        for each in self._scheduler.end(effect):
            self._launch(each)

    def _end(self, effect: Effect, outcome: Outcome, sent: list[object]) -> None:
        """End an effect, and go on with what it is a part of."""
        self.end(effect)
        if effect.group is not None:
            self._go_up(effect.group, outcome, sent)

    def _go_up(self, group: Group | None, outcome: Outcome, sent: list[object]) -> None:
        """Go on with the `seq` or `all` of which a part has ended, and if that ends it, with what it is a part of itself."""
        while group is not None and outcome is not Outcome.RUNNING:
            outcome = self._interpreter.part_ended(group, outcome, sent)
            if self._marks is not None and not group.in_order and group.failed and group.is_over:
                self.ended.append(group.mark)
            group = group.parent

    # ------------------------------------------------------------------ delivering

    def deliver(self, arrival: Arrival) -> Delivery:
        """Return what the arrival of an effect sends."""
        if isinstance(arrival, Done):
            return self._deliver_result(arrival)
        if isinstance(arrival, Failed):
            return self._deliver_failure(arrival.effect, arrival.error)
        if isinstance(arrival, Parked):
            self._park(arrival)
        return NOTHING

    def entered(self) -> Delivery:
        """Called when the messages of the arrival are in the queue: end its effect, begin what follows, and return what that sends."""
        effect, self._delivered = self._delivered, None
        if effect is None or effect.over:
            return NOTHING
        return self._ended_by(effect, Outcome.DONE)

    def refuse(self, arrival: Arrival, error: Exception) -> Trouble:
        """Called when the messages of the arrival cannot enter the queue."""
        self._failed, self._delivered = self._delivered, None
        if self._observed is not None and self._failed is not None:
            self._observed.failed(self._failed, error)
        return Trouble(error, arrival.origin)

    def give_up(self) -> None:
        """Called when the last failure was set aside: its effect is over, and what follows it is left out."""
        effect, self._failed = self._failed, None
        if effect is not None:
            self._end(effect, Outcome.FAILED, [])

    def delivered(self) -> None:
        """Called when all that an arrival has sent is in the queue."""
        if self.ended:
            ended, self.ended = self.ended, []
            if self._marks is not None:
                self._marks.ended(ended)

    def _told_messages_of(self, observed: ObservesEffects, arrival: Done) -> Messages:
        observed.sent(arrival.effect, messages := self._messages_of(arrival))
        return messages

    def _messages_of(self, arrival: Done) -> Messages:
        """Return the messages of what has returned, or is due; raises what its `ok=` raises."""
        effect, result = arrival
        if Watch.reached is not None:
            Watch.reached("command-delivered")
        command, scope = effect.command, effect.scope
        if isinstance(command, Call):
            message = result if command.ok is None else command.ok(result)
            if message is None:
                return ()
            return (wrapped(message, scope) if scope else message,)
        messages = command.messages
        if not scope and len(messages) == 1 and messages[0] is not None:
            return messages
        return [wrapped(each, scope) for each in messages if each is not None]

    def _deliver_result(self, arrival: Done) -> Delivery:
        effect = arrival.effect
        if effect.over:
            return NOTHING
        self._interpreter.arrived(effect.origin)
        try:
            messages = self.messages_of(arrival)
        except BaseException as error:
            return Delivery((), self.trouble(effect, error))
        self._delivered = effect
        return Delivery(messages)

    def _deliver_failure(self, effect: Effect, error: BaseException) -> Delivery:
        error = as_failure(error, name_of(effect.call.fn))
        if effect.over and isinstance(error, Exception):
            return NOTHING
        self._interpreter.arrived(effect.origin)
        if isinstance(error, TimedOut):
            effect.over = True  # before its thread is woken from a wait for its next try
            self._executor.stop(effect)
        if self._observed is not None:
            self._observed.failed(effect, error)
        err = effect.call.err
        if err is not None and isinstance(error, Exception) and not isinstance(error, ProgramError):
            try:
                message = self._interpreter.message_of_failure(err, error, effect.scope)
            except BaseException as second:
                error = as_failure(second, "err= of a command")
            else:
                if self._observed is not None and message is not None:
                    self._observed.sent(effect, (message,))
                sent = self._ended_by(effect, Outcome.FAILED)
                return sent if message is None else Delivery((message, *sent.messages), sent.trouble)
        return Delivery((), self.trouble(effect, error))

    def trouble(self, effect: Effect, error: BaseException) -> Trouble:
        """Return the trouble with an effect's result or failure."""
        self._failed = effect
        if self._observed is not None:
            self._observed.failed(effect, error)
        return Trouble(error, effect.origin)

    def deliver_as(self, arrival: Done) -> None:
        """Called before messages of a result are put once more, by themselves."""
        self._delivered = arrival.effect

    def _ended_by(self, effect: Effect, outcome: Outcome) -> Delivery:
        """End an effect, and return what follows it sends; of an exception in that, what was sent before it is sent."""
        sent: list[object] = []
        trouble = None
        try:
            self._end(effect, outcome, sent)
        except BaseException as error:
            trouble = self.trouble(effect, error)
        self._begin_held()
        return Delivery(sent, trouble)

    def _park(self, parked: Parked) -> None:
        """Start the wait of a call for its next try."""
        effect, seconds, go_on = parked
        if effect.over:
            go_on()  # it finds out itself
            return

        effect.parked = True
        effect.tries += 1
        if self._observed is not None:
            self._observed.retried(effect, seconds)
        effect.try_timer = self._timers.set(seconds, _try_again, parked)


def _try_again(parked: Parked) -> None:
    """Called when a call has waited for its next try."""
    parked.effect.parked = False
    parked.go_on()
