"""EffectManager: the commands of a run, those that its turns perform and those that go on after their turn.

    turn ──▶ perform: inline ones at once, the others held ──▶ commit ──▶ begin ──▶ task, thread or timer ──▶ land ──▶ queue

All of this happens in the run's own thread or task. Workers only add to `news` and wake the run, which lands what has come between
two turns: in the order in which it was done. What was cancelled, replaced or has timed out is not listened to any more.
`performing` is what happens in the turn, `board` what is under way, `workers` where it runs; here they meet the feed.
"""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Token
from types import TracebackType
from typing import Any, NamedTuple, Self

from go_state.core.commands import After, Cmd, name_of
from go_state.core.errors import LeftRunning, ProgramError, TimedOut
from go_state.runtime.effects.context import effect_name, failure_of
from go_state.runtime.effects.effect import Effect, Origin, Outcome, wrapped
from go_state.runtime.effects.environment import environment
from go_state.runtime.effects.executor import Workers
from go_state.runtime.effects.inbox import Landing
from go_state.runtime.effects.scheduler import Board, forget_coroutine
from go_state.runtime.effects.timers import SystemClock, Timers
from go_state.runtime.flow.awaitables import is_awaitable
from go_state.runtime.flow.waits import Flow
from go_state.runtime.raised import as_failure
from go_state.runtime.resources import Resources
from go_state.system.crash_points import reach

AHEAD = 64  # messages in the queue beyond which streams wait
# That enter the queue together: a fraction of a millisecond, and a number, so that a simulated clock repeats itself.
ARRIVALS = 64


class Trouble(NamedTuple):
    """A failure that `on_error` has to decide on, and what happens where it is set aside."""

    error: BaseException
    origin: Origin
    then: Callable[[list[Any]], object]


class EffectManager(Board):
    """The commands under way of one run: a block, within which they may be."""

    hears_signals = True  # whether Sub.signal takes the place of the process's handler

    def __init__(self, resources: Resources, *, on_loop: bool) -> None:
        super().__init__(resources.effects.at_once)
        effects = resources.effects
        self._env = resources.env
        self._effects = effects
        self.workers = Workers(self._tell_done, self._tell_failed, self._tell_parked, on_loop=on_loop, at_once=effects.at_once)
        self.timers = Timers(resources.clock)
        self.news: deque[tuple[Any, ...]] = deque()  # a function, and its arguments but the last
        self.wake_feed: Callable[[], object] = _do_nothing
        self.waiting = False  # whether the run's feed waits
        self.cancelled: list[Cmd[Any]] = []  # what the end of the run has cancelled
        self.backlog: Callable[[], int] = int  # how many messages are in the queue
        self.taken: Callable[[], float] = lambda: math.inf  # how many were ever taken from it; endless where nobody knows
        self.landing_seconds = 0.0  # spent on arrivals since the feed last asked
        self.credits: list[Callable[[], object]] = []  # what lets streams give more, when the queue is short again
        self.subscriptions = 0  # how many are under way
        self.end_subscriptions: Callable[[], object] = _do_nothing
        self.drained: Callable[[], object] = _do_nothing  # told when what is under way alone is waited for
        self.ring: Callable[[], object] | None = None  # wakes one who waits for a landing alone
        self._landing: Effect | None = None  # what has arrived last, and is to end once its messages are in the queue
        self._tokens: list[tuple[Any, Token[Any]]] = []

    # ------------------------------------------------------------------ launching

    def _launch(self, effect: Effect) -> None:
        command = effect.command
        if type(command) is After:
            effect.timers.append(self.timers.set(command.seconds, lambda: self._after(effect)))
            return
        if command.timeout is not None:
            effect.timers.append(self.timers.set(command.timeout, lambda: self._time_out(effect)))
        reach("command-begins")
        if not self._call_here(effect):
            self.workers.start(effect)

    def _call_here(self, effect: Effect) -> bool:
        """Call a plain function that has waited for its key, here in the run's thread as every plain one; tell whether it was one."""
        command = effect.command
        if command.thread or command.timeout is not None or command.retry is not None or effect.coroutine is not None:
            return False
        token = effect_name.set(lambda: effect.name)
        try:
            result = command.fn(*command.args)
        except BaseException as error:
            self.news.append((self.failed, effect, error))
            return True
        finally:
            effect_name.reset(token)
        if is_awaitable(result):
            effect.coroutine = result
            return False
        self.news.append((self.done, effect, result))
        return True

    def stir(self) -> None:
        self.news.append((_do_nothing,))

    # ------------------------------------------------------------------ what workers and timers tell

    def tell(self, *arrival: Any) -> None:
        """Add news, from any thread: a function of the run's own thread, and its arguments but the last, the list of messages."""
        self.news.append(arrival)
        self.wake()

    def wake(self) -> None:
        """Have the run look at its news, wherever it waits."""
        self.wake_feed()
        if (ring := self.ring) is not None:
            ring()

    def _tell_done(self, effect: Effect, result: Any) -> None:
        self.tell(self.done, effect, result)

    def _tell_failed(self, effect: Effect, error: BaseException) -> None:
        self.tell(self.failed, effect, error)

    def _tell_parked(self, effect: Effect, seconds: float, go_on: Callable[[], object]) -> None:
        self.tell(self._park, effect, seconds, go_on)

    def _after(self, effect: Effect) -> None:
        self.news.append((self.done, effect, None))

    def _time_out(self, effect: Effect) -> None:
        if not effect.over:
            error = TimedOut(f"{name_of(effect.command.fn)} took longer than {effect.command.timeout:g} seconds")
            self.news.append((self.failed, effect, error))

    # ------------------------------------------------------------------ landing

    @property
    def has_arrivals(self) -> bool:
        """Whether there is something to land."""
        return bool(self.news) or self.timers.is_due()

    @property
    def origin(self) -> Origin:
        """The turn whose command has arrived."""
        return self._turn()

    def say_of(self, origin: Origin) -> None:
        """Hear what it is that arrives."""
        self._origin = origin

    def arrivals(self) -> Iterator[tuple[Callable[..., Trouble | None], tuple[Any, ...]]]:
        """Give what has come so far, in order, up to `ARRIVALS`: a function that returns a trouble or `None`, and its arguments but
        the last. The rest comes when some messages have had their turns, however fast more arrives.
        """
        by = self.timers.clock.monotonic()
        for _ in range(ARRIVALS):
            if (action := self.timers.next_due(by)) is None:
                break
            action()
        for _ in range(min(len(self.news), ARRIVALS)):
            function, *arguments = self.news.popleft()
            if function is not _do_nothing:
                self._in_turn = False
                try:
                    yield function, tuple(arguments)
                finally:
                    self._in_turn = True

    def done(self, effect: Effect, result: Any, sent: list[Any]) -> Trouble | None:
        """Send what a command has come to; what follows it in its sequence waits for `entered`."""
        if effect.over:
            return None
        reach("command-lands")
        command = effect.command
        self._origin = effect.origin
        try:
            if type(command) is After:
                sent.extend(wrapped(each, effect.scope) for each in command.messages if each is not None)
            else:
                self._said(command, result, effect.scope, sent)
        except BaseException as error:
            return Trouble(error, effect.origin, lambda sent: self._end(effect, Outcome.FAILED, sent))
        self._landing = effect
        return None

    def entered(self, sent: list[Any]) -> Trouble | None:
        """Hear that the messages of the last arrival are in the queue, and go on with what follows it."""
        effect, self._landing = self._landing, None
        if effect is None or effect.over:
            return None
        try:
            self._end(effect, Outcome.DONE, sent)
        except BaseException as error:
            return Trouble(error, effect.origin, lambda sent: self._end(effect, Outcome.FAILED, sent))
        return None

    def refused(self, error: Exception) -> Trouble:
        """Hear that the messages of the last arrival cannot enter the queue."""
        effect, self._landing = self._landing, None
        return Trouble(error, self.origin, lambda sent: None if effect is None else self._end(effect, Outcome.FAILED, sent))

    def failed(self, effect: Effect, error: BaseException, sent: list[Any]) -> Trouble | None:
        """Send what a command's failure is made into, or return the trouble."""
        error = as_failure(error, name_of(effect.command.fn))
        if effect.over and isinstance(error, Exception):
            return None
        self._origin = effect.origin
        if effect.stop is not None and isinstance(error, TimedOut):
            effect.over = True  # before its thread is woken from a wait for its next try
            effect.stop()
        err = effect.command.err
        if err is not None and isinstance(error, Exception) and not isinstance(error, ProgramError):
            try:
                self._say(err(failure_of(error)), effect.scope, sent)
            except BaseException as second:
                error = as_failure(second, "err= of a command")
            else:
                self._end(effect, Outcome.FAILED, sent)
                return None
        return Trouble(error, effect.origin, lambda sent: self._end(effect, Outcome.FAILED, sent))

    def _park(self, effect: Effect, seconds: float, go_on: Callable[[], object], sent: list[Any]) -> None:
        """Have a call wait for its next try."""
        if effect.over:
            go_on()  # it finds out itself
            return

        def resume() -> None:
            effect.parked = False
            go_on()

        effect.parked = True
        effect.timers.append(self.timers.set(seconds, resume))

    # ------------------------------------------------------------------ waiting

    @property
    def active(self) -> bool:
        """Whether something may arrive."""
        return bool(self._under_way or self.subscriptions or self.news)

    def left(self, resting: Callable[[], bool]) -> float | None:
        """Return how long a feed may wait that is about to, and sets `waiting` to False when it has; `resting` tells whether it has
        nothing else to do.
        """
        self.waiting = True
        if self.credits:
            self.grant()
        clock = self.timers.clock
        if clock.__class__ is SystemClock and not self.timers:
            return None

        def has_rest() -> bool:
            return self.waiting and not self.news and not self._busy() and resting()

        return clock.left(self.timers.next_wait(), has_rest, self.wake)

    def grant(self) -> None:
        """Let streams give more, unless the queue is long: what they give would only lie in the memory."""
        if self.backlog() < AHEAD:
            owed, self.credits = self.credits, []
            for give_more in owed:
                self.workers.call(give_more)

    def _busy(self) -> bool:
        """Tell whether something runs by itself."""
        return any(not effect.parked for effect in tuple(self._running))

    def last_ones(self, seconds: float | None = None) -> Flow[bool]:
        """Wait for the next arrival, or so many seconds, where no other message will come; False where nothing is under way any more.

        Subscriptions end here: they are input from outside, and no end waits for them.
        """
        self.end_subscriptions()
        if not self._under_way and not self.news:
            return False
        self.drained()
        if not self.has_arrivals:
            yield self.landing(seconds)
        return True

    def landing(self, seconds: float | None = None) -> Landing:
        """Return the wait for the next arrival, or so many seconds."""
        return Landing(self, seconds)

    # ------------------------------------------------------------------ the block

    def announce(self) -> None:
        """Have the clock know of the run, also before its thread or task has begun."""
        self.timers.clock.enter(self.wake)

    def withdraw(self) -> None:
        """Have the clock forget the run."""
        self.timers.clock.leave(self.wake)

    def open(self) -> None:
        """Begin, in the thread or task of the run."""
        self.announce()
        self._tokens = [(effect_name, effect_name.set(self._name_inline)), (environment, environment.set(self._env))]

    def _stop_all(self) -> None:
        self.leave()
        self.end_subscriptions()
        for effect in reversed(tuple(self._under_way)):
            self.cancelled.append(effect.command)
            effect.over = True
            forget_coroutine(effect)
            if effect.stop is not None:
                effect.stop()
        self.cancelled.reverse()
        self._under_way.clear()
        for variable, token in self._tokens:
            variable.reset(token)

    def _say_what_is_left(self) -> None:
        self.withdraw()
        for name in self.workers.left():
            warnings.warn(
                f"{name} has not ended within {self._effects.grace:g} seconds of being cancelled, and goes on: give it a timeout of "
                f"its own, or raise the grace of gs.Effects",
                LeftRunning,
                stacklevel=3,
            )

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop_all()
        try:
            self.workers.close(self._effects.grace)
        finally:
            self._say_what_is_left()

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
        self._stop_all()
        try:
            await self.workers.aclose(self._effects.grace)
        finally:
            self._say_what_is_left()


def _do_nothing(*_: object) -> None:
    """Take no notice."""
