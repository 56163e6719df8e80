"""Endings: what becomes of an effect that has failed, that has to wait for its next try, or that is a part of a `seq` or `all`.

    arrival ──▶ deliver: its message, or a trouble for on_error ──▶ entered: its end, what follows it begins, and what that sends

Most effects succeed and are a part of nothing: `Lifecycle` delivers and ends those by itself, many at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from go_state.core.commands import name_of
from go_state.core.errors import MissingExtra, ProgramError, TimedOut
from go_state.runtime.effects.executor import Executor
from go_state.runtime.effects.held import Marks
from go_state.runtime.effects.inbox import Arrival, Done, Failed, Parked
from go_state.runtime.effects.interpreter import Interpreter
from go_state.runtime.effects.place import Group, Messages, Origin, Outcome
from go_state.runtime.effects.scheduler import Effect
from go_state.runtime.raised import as_failure
from go_state.system.crash_points import Watch
from go_state.system.timers import Timers

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


class Endings:
    """How the effects of one run end. `end(effect)` takes one out of the schedule, `begin()` begins what is held."""

    def __init__(
        self,
        interpreter: Interpreter,
        executor: Executor,
        timers: Timers,
        end: Callable[[Effect], object],
        begin: Callable[[], object],
    ) -> None:
        self.marks: Marks | None = None
        self.observed: ObservesEffects | None = None
        self.ended: list[str] = []  #: marks to be removed once the messages of the arrival are in the queue
        self._interpreter = interpreter
        self._executor = executor
        self._timers = timers
        self._end_alone = end
        self._begin = begin
        self._delivered: Effect | None = None  # the effect whose message is on its way into the queue
        self._failed: Effect | None = None  # the effect whose failure on_error has to decide on

    # ------------------------------------------------------------------ an arrival

    def deliver(self, arrival: Arrival) -> Delivery:
        """Return what the arrival of an effect sends."""
        if isinstance(arrival, Done):
            return self._deliver_result(arrival)
        if isinstance(arrival, Failed):
            return self._deliver_failure(arrival.effect, arrival.error)
        if isinstance(arrival, Parked):
            self._park(arrival)
        return NOTHING

    def deliver_as(self, effect: Effect) -> None:
        """Called before the messages of an effect are put by themselves."""
        self._delivered = effect

    def entered(self) -> Delivery:
        """Called when the messages of the arrival are in the queue: end its effect, begin what follows, and return what that sends."""
        effect, self._delivered = self._delivered, None
        if effect is None or effect.over:
            return NOTHING
        return self._ended_by(effect, Outcome.DONE)

    def refuse(self, arrival: Arrival, error: Exception) -> Trouble:
        """Called when the messages of the arrival cannot enter the queue."""
        self._failed, self._delivered = self._delivered, None
        if self.observed is not None and self._failed is not None:
            self.observed.failed(self._failed, error)
        return Trouble(error, arrival.origin)

    def trouble(self, effect: Effect, error: BaseException) -> Trouble:
        """Return the trouble with an effect's result or failure."""
        self._failed = effect
        if self.observed is not None:
            self.observed.failed(effect, error)
        return Trouble(error, effect.origin)

    def give_up(self) -> None:
        """Called when the last failure was set aside: its effect is over, and what follows it is left out."""
        effect, self._failed = self._failed, None
        if effect is not None:
            self._end(effect, Outcome.FAILED, [])

    def remove_marks(self) -> None:
        """Called when all that an arrival has sent is in the queue."""
        if self.ended:
            ended, self.ended = self.ended, []
            if self.marks is not None:
                self.marks.ended(ended)

    def _deliver_result(self, arrival: Done) -> Delivery:
        effect, result = arrival
        if effect.over:
            return NOTHING
        if Watch.reached is not None:
            Watch.reached("command-delivered")
        self._interpreter.arrived(effect.origin)
        try:
            messages = effect.messages_of(result)
        except BaseException as error:
            return Delivery((), self.trouble(effect, error))
        if self.observed is not None:
            self.observed.sent(effect, messages)
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
        if self.observed is not None:
            self.observed.failed(effect, error)
        err = effect.call.err
        # A program that is not right, or a package that is missing, is nothing that the call has come to.
        if err is not None and isinstance(error, Exception) and not isinstance(error, (ProgramError, MissingExtra)):
            try:
                message = self._interpreter.message_of_failure(err, error, effect.scope)
            except BaseException as second:
                error = as_failure(second, "err= of a command")
            else:
                if self.observed is not None and message is not None:
                    self.observed.sent(effect, (message,))
                sent = self._ended_by(effect, Outcome.FAILED)
                return sent if message is None else Delivery((message, *sent.messages), sent.trouble)
        return Delivery((), self.trouble(effect, error))

    def _park(self, parked: Parked) -> None:
        """Start the wait of a call for its next try."""
        effect, seconds, go_on = parked
        if effect.over:
            go_on()  # it finds out itself
            return

        effect.parked = True
        effect.tries += 1
        if self.observed is not None:
            self.observed.retried(effect, seconds)
        effect.try_timer = self._timers.set(seconds, _try_again, parked)

    # ------------------------------------------------------------------ what follows

    def _ended_by(self, effect: Effect, outcome: Outcome) -> Delivery:
        """End an effect, and return what follows it sends; of an exception in that, what was sent before it is sent."""
        sent: list[object] = []
        trouble = None
        try:
            self._end(effect, outcome, sent)
        except BaseException as error:
            trouble = self.trouble(effect, error)
        if sent and self.observed is not None:
            self.observed.sent(effect, sent)
        self._begin()
        return Delivery(sent, trouble)

    def _end(self, effect: Effect, outcome: Outcome, sent: list[object]) -> None:
        """End an effect, and go on with what it is a part of."""
        self._end_alone(effect)
        if effect.group is not None:
            self.go_up(effect.group, outcome, sent)

    def go_up(self, group: Group | None, outcome: Outcome, sent: list[object]) -> None:
        """Go on with the `seq` or `all` of which a part has ended, and if that ends it, with what it is a part of itself."""
        while group is not None and outcome is not Outcome.RUNNING:
            outcome = self._interpreter.part_ended(group, outcome, sent)
            if self.marks is not None and not group.in_order and group.failed and group.is_over:
                self.ended.append(group.mark)
            group = group.parent


def _try_again(parked: Parked) -> None:
    """Called when a call has waited for its next try."""
    parked.effect.parked = False
    parked.go_on()
