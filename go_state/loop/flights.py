"""Flights: the commands of a run, those that its turns perform and those that go on after their turn.

    turn ──▶ perform: inline ones at once, the others held ──▶ commit ──▶ begin ──▶ task, thread or timer ──▶ land ──▶ queue

All of this happens in the run's own thread or task. Workers only add to `news` and wake the run, which lands what has come between
two turns: in the order in which it was done. What was cancelled, replaced or has timed out is not listened to any more.
"""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextvars import Token
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from go_state.core.commands import After, Call, Cmd
from go_state.core.environment import environment
from go_state.core.errors import LeftRunning, ProgramError, TimedOut
from go_state.loop.driver import Flow
from go_state.loop.effects import effect, failure_of
from go_state.loop.flight import Flight, Group, Origin, Outcome, wrapped
from go_state.loop.landing import Landing
from go_state.loop.outside import Outside
from go_state.loop.performing import Cancelling, Performing
from go_state.loop.timers import SystemClock, Timers
from go_state.loop.workers import Workers

AHEAD = 64  # messages in the queue beyond which streams wait


class Marks(Protocol):
    """Where a durable run notes what is under way."""

    def opened(self, name: str) -> None:
        """Note a command before its turn is committed."""
        ...

    def ended(self, names: Sequence[str]) -> None:
        """Note that commands are done, once what they have sent is in the queue."""
        ...


class Trouble(NamedTuple):
    """A failure that `on_error` has to decide on, and what happens where it is set aside."""

    error: BaseException
    origin: Origin
    then: Callable[[list[Any]], object]


class Flights(Performing):
    """The commands under way of one run: a block, within which they may be."""

    def __init__(self, outside: Outside, *, on_loop: bool) -> None:
        super().__init__()
        effects = outside.effects
        self._env = outside.env
        self._effects = effects
        self.workers = Workers(self._tell_done, self._tell_failed, self._tell_parked, on_loop=on_loop, threads=effects.at_once)
        self.timers = Timers(outside.clock)
        self.news: deque[tuple[Any, ...]] = deque()  # a function, and its arguments but the last
        self.wake_feed: Callable[[], object] = _do_nothing
        self.marks: Marks | None = None
        self.waiting = False  # whether the run's feed waits
        self.cancelled: list[Cmd[Any]] = []  # what the end of the run has cancelled
        self._under_way: dict[Flight, None] = {}  # in the order of their beginning, those that wait included
        self._by_key: dict[Hashable, Flight] = {}
        self._behind: dict[Hashable, deque[Flight]] = {}  # what waits for the end of the one with its key
        self._running: dict[Flight, None] = {}  # those that a task or thread has
        self._waiting: deque[Flight] = deque()  # for one of those that run to end
        self._ended: list[str] = []
        self.backlog: Callable[[], int] = int  # how many messages are in the queue
        self.owed: list[Callable[[], object]] = []  # what lets streams give more, when the queue is short again
        self.subscriptions = 0  # how many are under way
        self.end_subscriptions: Callable[[], object] = _do_nothing
        self.ring: Callable[[], object] | None = None  # wakes one who waits for a landing alone
        self._tokens: list[tuple[Any, Token[Any]]] = []

    @property
    def origin(self) -> Origin:
        """The turn whose command has arrived."""
        return self._turn()

    def say_of(self, origin: Origin) -> None:
        """Hear what it is that arrives."""
        self._origin = origin

    # ------------------------------------------------------------------ at the commit

    def _hold(self, held: Flight | Cancelling) -> Outcome:
        """Keep for the commit what begins or ends something; a turn that is rolled back has done neither."""
        if not self._in_turn:
            return self._act(held)
        self.held.append(held)
        if isinstance(held, Flight) and self.marks is not None:
            self.marks.opened(held.name)
        return Outcome.UNDER_WAY

    def begin(self) -> None:
        """Begin what the committed turn has held, in order."""
        held, self.held = self.held, []
        self.news.append((_do_nothing,))  # so that the feed looks up from its messages
        for each in held:
            self._act(each)
        self.settled()

    def drop(self) -> None:
        """Forget what a turn that is rolled back has held."""
        held, self.held = self.held, []
        for each in held:
            if isinstance(each, Flight):
                _forget_coroutine(each)
                if self.marks is not None:
                    self.marks.ended([each.name])

    def _act(self, held: Flight | Cancelling) -> Outcome:
        if isinstance(held, Cancelling):
            self._cancel_all(held)
            return Outcome.DONE
        flight, key = held, held.key
        if self.marks is not None and not self._in_turn:
            self.marks.opened(flight.name)
        self._under_way[flight] = None
        before = None if key is None else self._by_key.get(key)
        if before is not None and key is not None:
            busy = flight.command.busy if type(flight.command) is Call else "replace"
            if busy == "skip":
                self._cancel(flight)
                return Outcome.UNDER_WAY  # its group, if it has one, has heard of it
            if busy == "queue":
                self._behind.setdefault(key, deque()).append(flight)
                return Outcome.UNDER_WAY
            self._cancel_key(key)
        self._take_off(flight)
        return Outcome.UNDER_WAY

    def _take_off(self, flight: Flight) -> None:
        """Begin the command, or have it wait for room."""
        if flight.key is not None:
            self._by_key[flight.key] = flight
        command = flight.command
        if type(command) is After:
            flight.timers.append(self.timers.set(command.seconds, lambda: self._after(flight)))
        elif len(self._running) >= self._effects.at_once:
            self._waiting.append(flight)
        else:
            self._start(flight)

    def _start(self, flight: Flight) -> None:
        self._running[flight] = None
        timeout = flight.command.timeout
        if timeout is not None:
            flight.timers.append(self.timers.set(timeout, lambda: self._time_out(flight)))
        self.workers.start(flight)

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

    def _tell_done(self, flight: Flight, result: Any) -> None:
        self.tell(self._done, flight, result)

    def _tell_failed(self, flight: Flight, error: BaseException) -> None:
        self.tell(self._failed, flight, error)

    def _tell_parked(self, flight: Flight, seconds: float, go_on: Callable[[], object]) -> None:
        self.tell(self._park, flight, seconds, go_on)

    def _after(self, flight: Flight) -> None:
        self.news.append((self._done, flight, None))

    def _time_out(self, flight: Flight) -> None:
        if not flight.over:
            name = getattr(flight.command.fn, "__qualname__", flight.command.fn)
            error = TimedOut(f"{name} took longer than {flight.command.timeout:g} seconds")
            self.news.append((self._failed, flight, error))

    # ------------------------------------------------------------------ landing

    @property
    def stirred(self) -> bool:
        """Whether there is something to land."""
        return bool(self.news) or self.timers.is_due()

    def arrivals(self) -> Iterator[tuple[Callable[..., Trouble | None], tuple[Any, ...]]]:
        """Give what has come so far, in order: a function that returns a trouble or `None`, and its arguments but the last."""
        while (action := self.timers.next_due()) is not None:
            action()
        for _ in range(len(self.news)):
            function, *arguments = self.news.popleft()
            if function is not _do_nothing:
                self._in_turn = False
                try:
                    yield function, tuple(arguments)
                finally:
                    self._in_turn = True

    def settled(self) -> None:
        """Hear that the messages of the last arrival are in the queue."""
        if self._ended and self.marks is not None:
            self.marks.ended(self._ended)
        self._ended = []

    def _done(self, flight: Flight, result: Any, sent: list[Any]) -> Trouble | None:
        if flight.over:
            return None
        command = flight.command
        self._origin = flight.origin
        try:
            if type(command) is After:
                sent.extend(wrapped(each, flight.scope) for each in command.messages if each is not None)
            else:
                self._said(command, result, flight.scope, sent)
            self._end(flight, Outcome.DONE, sent)
        except Exception as error:
            return Trouble(error, flight.origin, lambda sent: self._end(flight, Outcome.FAILED, sent))
        return None

    def _failed(self, flight: Flight, error: BaseException, sent: list[Any]) -> Trouble | None:
        if flight.over:
            return None
        self._origin = flight.origin
        if flight.stop is not None and isinstance(error, TimedOut):
            flight.stop()
        err = flight.command.err
        if err is not None and isinstance(error, Exception) and not isinstance(error, ProgramError):
            try:
                self._say(err(failure_of(error)), flight.scope, sent)
            except Exception as second:
                error = second
            else:
                self._end(flight, Outcome.FAILED, sent)
                return None
        return Trouble(error, flight.origin, lambda sent: self._end(flight, Outcome.FAILED, sent))

    def _park(self, flight: Flight, seconds: float, go_on: Callable[[], object], sent: list[Any]) -> None:
        """Have a call wait for its next try."""
        if flight.over:
            return

        def resume() -> None:
            flight.parked = False
            go_on()

        flight.parked = True
        flight.timers.append(self.timers.set(seconds, resume))

    def _end(self, flight: Flight, outcome: Outcome, sent: list[Any]) -> None:
        """Take the flight off the board, let those that have waited for it begin, and go on with what it is a part of."""
        self._remove(flight)
        self._tell_group(flight.group, outcome, sent)

    def _remove(self, flight: Flight) -> None:
        flight.over = True
        self._under_way.pop(flight, None)
        self._ended.append(flight.name)
        for timer in flight.timers:
            timer.cancel()
        if flight in self._running:
            del self._running[flight]
            self._start_waiting()
        key = flight.key
        if key is not None and self._by_key.get(key) is flight:
            del self._by_key[key]
            self._take_next(key)

    def _take_next(self, key: Hashable) -> None:
        """Begin what waits for the key."""
        behind = self._behind.pop(key, None)
        while behind:
            following = behind.popleft()
            if not following.over:
                if behind:
                    self._behind[key] = behind
                self._take_off(following)
                return

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < self._effects.at_once:
            flight = self._waiting.popleft()
            if not flight.over:
                self._start(flight)

    def _tell_group(self, group: Group | None, outcome: Outcome, sent: list[Any]) -> None:
        """Go on with the sequence or the `all` of which a part has ended."""
        while group is not None:
            if group.in_order:
                if outcome is Outcome.DONE:
                    outcome = self._go_on(group, sent)
            else:
                group.open -= 1
                group.failed |= outcome is Outcome.FAILED
                outcome = group.outcome() if group.begun and not group.open else Outcome.UNDER_WAY
            if outcome is Outcome.UNDER_WAY:
                return
            group = group.parent

    # ------------------------------------------------------------------ cancelling

    def _cancel(self, flight: Flight) -> None:
        """End a flight, from which nothing is heard any more."""
        if flight.over:
            return
        stop = flight.stop
        _forget_coroutine(flight)
        self._end(flight, Outcome.FAILED, [])
        if stop is not None:
            stop()

    def _cancel_key(self, key: Hashable) -> None:
        behind = self._behind.pop(key, ())
        for flight in (*behind, *filter(None, [self._by_key.get(key)])):
            self._cancel(flight)

    def _cancel_all(self, what: Cancelling) -> None:
        if what.key is not None:
            self._cancel_key(what.key)
            return
        inside = [flight for flight in self._under_way if flight.scope[: len(what.scope)] == what.scope]
        for flight in reversed(inside):  # the last first, so that none that is to be cancelled as well begins in between
            self._cancel(flight)

    # ------------------------------------------------------------------ waiting

    @property
    def count(self) -> int:
        """How many commands are under way or wait to be; the end of a run waits for them."""
        return len(self._under_way)

    @property
    def active(self) -> bool:
        """Whether something may arrive."""
        return bool(self._under_way or self.subscriptions or self.news)

    @property
    def is_full(self) -> bool:
        """Whether commands wait for others to end."""
        return bool(self._waiting)

    def left(self, resting: Callable[[], bool]) -> float | None:
        """Return how long a feed may wait that is about to, and sets `waiting` to False when it has; `resting` tells whether it has
        nothing else to do.
        """
        self.waiting = True
        if self.owed:
            self.repay()
        clock = self.timers.clock
        if clock.__class__ is SystemClock and not self.timers:
            return None

        def has_rest() -> bool:
            return self.waiting and not self.news and not self._busy() and resting()

        return clock.left(self.timers.due(), has_rest, self.wake)

    def repay(self) -> None:
        """Let streams give more, unless the queue is long: what they give would only lie in the memory."""
        if self.backlog() < AHEAD:
            owed, self.owed = self.owed, []
            for give_more in owed:
                self.workers.call(give_more)

    def _busy(self) -> bool:
        """Tell whether something runs by itself."""
        return any(not flight.parked for flight in tuple(self._running))

    def last_ones(self, seconds: float | None = None) -> Flow[bool]:
        """Wait for the next arrival, or so many seconds, where no other message will come; False where nothing is under way any more.

        Subscriptions end here: they are input from outside, and no end waits for them.
        """
        self.end_subscriptions()
        if not self._under_way and not self.news:
            return False
        if not self.stirred:
            yield self.landing(seconds)
        return True

    def landing(self, seconds: float | None = None) -> Landing:
        """Return the wait for the next arrival, or so many seconds."""
        return Landing(self, seconds)

    # ------------------------------------------------------------------ the block

    def open(self) -> None:
        """Begin, in the thread or task of the run."""
        self.timers.clock.enter(self.wake)
        self._tokens = [(effect, effect.set(self._name_inline)), (environment, environment.set(self._env))]

    def _stop_all(self) -> None:
        self.drop()
        self.end_subscriptions()
        for flight in reversed(tuple(self._under_way)):
            self.cancelled.append(flight.command)
            flight.over = True
            _forget_coroutine(flight)
            if flight.stop is not None:
                flight.stop()
        self.cancelled.reverse()
        self._under_way.clear()
        for variable, token in self._tokens:
            variable.reset(token)

    def _say_what_is_left(self) -> None:
        self.timers.clock.leave(self.wake)
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
        self.workers.close(self._effects.grace)
        self._say_what_is_left()

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_all()
        await self.workers.aclose(self._effects.grace)
        self._say_what_is_left()


def _forget_coroutine(flight: Flight) -> None:
    """Close the coroutine of a call that will not be awaited."""
    coroutine, flight.coroutine = flight.coroutine, None
    if hasattr(coroutine, "close"):
        coroutine.close()


def _do_nothing(*_: object) -> None:
    """Take no notice."""
