"""The inbox: what tasks, threads, timers and subscriptions bring to a run, in the order in which it was done.

Every thread may post. The run looks between two turns, and wherever it waits: it says so before it waits and looks once more, and
whoever posts looks at that after the post. So one of the two always sees the other, a post is never slept through, and of many
posts to a sleeping run the first wakes it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, Never, Protocol, TypeAlias, TypeVar

from go_state.core.errors import TimedOut
from go_state.runtime.effects.place import Origin
from go_state.runtime.effects.scheduler import Effect, Later
from go_state.system.timers import Clock, SystemClock, Timers
from go_state.waking.waker import ThreadWaker

if TYPE_CHECKING:
    import asyncio

    from go_state.buffer.own_chunk import OwnChunk


Msg = TypeVar("Msg")


class Done(NamedTuple):
    """A call has returned."""

    effect: Effect
    result: object

    @property
    def origin(self) -> Origin:
        """The turn that its command comes from."""
        return self.effect.origin


done: Final[Callable[[tuple[Effect, object]], Done]] = partial(tuple.__new__, Done)
"""Make a `Done` of the pair, in half the time that a call of the class takes."""


class Failed(NamedTuple):
    """A call has raised, or has taken too long."""

    effect: Effect
    error: BaseException

    @property
    def origin(self) -> Origin:
        """The turn that its command comes from."""
        return self.effect.origin


class Parked(NamedTuple):
    """A call waits some seconds for its next try; `go_on`, from any thread, ends the wait."""

    effect: Effect
    seconds: float
    go_on: Callable[[], object]

    @property
    def origin(self) -> Origin:
        """The turn that its command comes from."""
        return self.effect.origin


class Look(NamedTuple):
    """Nothing but a reason to look up from the messages."""

    origin: Origin = Origin(None, None, "")


class Input(Protocol):
    """What a subscription brings; the subscriptions know what becomes of it."""

    @property
    def origin(self) -> Origin:
        """What `on_error` is told of where it comes from."""
        ...


Arrival: TypeAlias = Done | Failed | Parked | Look | Input | Effect | Later
"""What is posted; a timer arrives itself, when it is due."""

_LOOK = Look()
_NOTHING_CAME = "nothing came; nothing was consumed"


class Inbox:
    """The arrivals of one run that were not delivered yet."""

    def __init__(self) -> None:
        self.arrivals: deque[Arrival] = deque()  # a feed asks it, as a condition, between any two messages
        self.is_awaited = False  # whether the run waits, or is about to
        self.looks_up = False  # whether the feed asks for arrivals after each chunk, and needs no `look`
        self.sleep: asyncio.Future[None] | None = None  # of a run that sleeps on its event loop, in `LoopSleep`
        self._wake_feed: Callable[[], object] | None = None
        self._wake_waiter: Callable[[], object] | None = None

    def connect(self, wake_feed: Callable[[], object] | None, *, looks_up: bool) -> None:
        """Wake the run by the function, from any thread, if it waits for messages; `looks_up` says that its feed asks for arrivals."""
        self._wake_feed = wake_feed
        self.looks_up = looks_up

    def post(self, arrival: Arrival) -> None:
        """Add an arrival, from any thread, and wake the run if it waits."""
        self.arrivals.append(arrival)
        if self.is_awaited:
            self.is_awaited = False  # the others need not; two that both have seen True both wake it, which does no harm
            if self._wake_feed is not None:
                self._wake_feed()
            if (wake := self._wake_waiter) is not None:
                wake()

    def post_on_loop(self, arrival: Arrival) -> None:
        """Add an arrival, as `post` does, in a task of the run's own event loop."""
        self.arrivals.append(arrival)
        if self.is_awaited:
            self.is_awaited = False
            sleep = self.sleep
            if sleep is None:
                self.wake()
            elif not sleep.done():
                sleep.set_result(None)

    def add(self, arrival: Arrival) -> None:
        """Add an arrival in the run's own thread, which does not wait."""
        self.arrivals.append(arrival)

    def look(self) -> None:
        """Make the feed look up from its messages, because from now on there may be something to wait for beside them."""
        if not (self.looks_up or self.arrivals):
            self.arrivals.append(_LOOK)

    def wake(self) -> None:
        """Wake the run, wherever it waits, from any thread."""
        if self._wake_feed is not None:
            self._wake_feed()
        if (wake := self._wake_waiter) is not None:
            wake()

    @contextmanager
    def waking(self, wake: Callable[[], object]) -> Iterator[None]:
        """Wake the run by this function as well, from any thread, for the length of the block, which waits for an arrival."""
        self._wake_waiter, self.is_awaited = wake, True
        try:
            yield
        finally:
            self._wake_waiter, self.is_awaited = None, False


class Rest:
    """For how long a run may wait. `is_busy()` returns whether one of the `launched` calls is running; `grant()` gives streams what
    they are `owed`.
    """

    def __init__(
        self,
        inbox: Inbox,
        timers: Timers,
        launched: Sized,
        is_busy: Callable[[], bool],
        owed: Sized,
        grant: Callable[[], object],
        wake: Callable[[], object],
    ) -> None:
        self._inbox = inbox
        self._timers = timers
        self._clock: Clock = timers.clock
        self._asks_clock = timers.clock.__class__ is not SystemClock  # also if no timer is set
        self._launched = launched
        self._is_busy = is_busy
        self._owed = owed
        self._wake = wake  # by which the clock knows the run
        self._grant = grant
        self._resting: Callable[[], bool] | None = None

    def left(self, resting: Callable[[], bool] | None = None) -> float | None:
        """Return for how long the run may wait, in seconds, which is about to; None for any time. `resting` returns, from any thread,
        whether it has nothing else to do, if there may be anything else.

        The run says that it waits before it looks for arrivals once more, and `Inbox.post` looks at that after it has added one. So an
        arrival that comes now is seen here, or wakes the run.
        """
        inbox = self._inbox
        inbox.is_awaited = True
        if self._owed:
            self._grant()
        if inbox.arrivals:
            return 0.0
        if not self._asks_clock and not self._timers.heap:
            return None
        self._resting = resting
        return self._clock.left(self._timers.next_wait(), self._has_rest, self._wake)

    def left_until(self, due: float) -> float | None:
        """Return the same for a run that has nothing else to look at, and whose next timer is `due`."""
        self._inbox.is_awaited = True
        self._resting = None
        return self._clock.left(due, self._has_rest, self._wake)

    def _has_rest(self) -> bool:
        """Return, from any thread, whether the run waits and has nothing to do."""
        inbox = self._inbox
        if not inbox.is_awaited or inbox.arrivals or (self._launched and self._is_busy()):
            return False
        return self._resting is None or self._resting()


class Arriving(Protocol):
    """What a wait for an arrival asks of the run."""

    inbox: Inbox

    @property
    def has_arrivals(self) -> bool:
        """Whether there is something to deliver."""
        ...

    def left(self) -> float | None:
        """Return for how many seconds the run may wait; None for any number."""
        ...


class NextArrival:
    """Wait until there is something to deliver, or a timer is due, or up to `seconds`."""

    __slots__ = ("_run", "_seconds")

    def __init__(self, run: Arriving, seconds: float | None) -> None:
        self._run = run
        self._seconds = seconds

    def in_thread(self) -> None:
        """Block the thread."""
        waker = ThreadWaker()
        with self._run.inbox.waking(waker.wake):
            if (until := self._until()) != 0:
                waker.sleep(until)

    async def on_loop(self) -> None:
        """Wait on the event loop."""
        from go_state.waking.loop_waker import LoopWaker

        waker = LoopWaker()
        with self._run.inbox.waking(waker.wake):
            if (until := self._until()) != 0:
                await waker.sleep(until)

    def _until(self) -> float | None:
        """Return when the wait ends, of the system's monotonic clock, None for never, and 0 if there is nothing to wait for."""
        if self._run.has_arrivals:
            return 0
        left = self._run.left()
        seconds = min((each for each in (left, self._seconds) if each is not None), default=None)
        if seconds is None:
            return None
        return time.monotonic() + min(seconds, threading.TIMEOUT_MAX) if seconds > 0 else 0


class LoopSleep(Generic[Msg]):
    """How a run that has a log to itself sleeps on its event loop: until something arrives or is put, or for `seconds`.

    A put has to find a waker in the log. It is left there until a put takes it out, however often the run sleeps meanwhile: what the
    run's own tasks bring wakes it without the log. Each side first leaves its mark and then looks for the other's: the run its `sleep`,
    and then whether it was woken; whoever wakes it says so, and then looks for its `sleep`.
    """

    __slots__ = ("_inbox", "_log", "_owner", "_sleeper", "_waker", "seconds")

    def __init__(self, inbox: Inbox, owner: OwnChunk[Msg]) -> None:
        self._inbox = inbox
        self._owner = owner
        self._log, self._sleeper = owner.cursor.log, owner.cursor.sleeper
        self._waker: PutWaker | None = None  # the one that is left with the log
        self.seconds: float | None = None

    def prepare(self, chunk: list[Msg]) -> bool:
        """Leave a waker with the log, unless there is one; return whether to sleep: the run still has the log, and has read all of it,
        to the end of the chunk.

        It takes no lock, because the run looks whether it has the log after it has left the waker. A put appends, ends that, and then
        wakes; the close, and whoever else uses the log, end it and then wake. So what comes before the waker is found in the log's
        inbox, or the run has the log no longer; and what comes after it finds the waker.
        """
        waker, owner, log, sleeper = self._waker, self._owner, self._log, self._sleeper
        if owner.own is chunk:
            if waker is not None and not waker.is_used:
                return True
            self.leave()
            self._waker = sleeper.waker = waker = PutWaker(self._inbox)
            log.sleepers.append(waker)
            log.attention = True
            if not (log.inbox or log.closed or sleeper.is_woken) and owner.own is chunk:
                return True
        self.leave()
        return False

    def leave(self) -> None:
        """Leave no waker with the log any more."""
        waker, self._waker = self._waker, None
        if waker is None:
            return
        if self._sleeper.waker is waker:
            self._sleeper.waker = None
        if waker in self._log.sleepers:
            with suppress(ValueError):  # whoever has woken it is faster
                self._log.sleepers.remove(waker)

    def in_thread(self) -> Never:
        """Refuse: a thread waits for the log itself."""
        raise NotImplementedError

    async def on_loop(self) -> bool:
        """Wait on the event loop; return whether there was anything to wait for. Raises `TimedOut` after `seconds`."""
        inbox, waker, seconds = self._inbox, self._waker, self.seconds
        if waker is None:
            return False
        inbox.sleep = sleep = waker.loop.create_future()
        timer = None
        try:
            if waker.is_used or not inbox.is_awaited:
                return False
            if seconds is not None:
                if seconds <= 0:
                    raise TimedOut(_NOTHING_CAME)
                timer = waker.loop.call_later(min(seconds, threading.TIMEOUT_MAX), _time_out, sleep)
            await sleep
            return True
        finally:
            inbox.sleep = None
            if timer is not None:
                timer.cancel()


class PutWaker:
    """Wakes a run that sleeps on its event loop; see `LoopSleep`."""

    __slots__ = ("_inbox", "is_used", "loop")

    def __init__(self, inbox: Inbox) -> None:
        import asyncio  # here: a run in a thread has no use for it

        self._inbox = inbox
        self.loop = asyncio.get_running_loop()
        self.is_used = False  #: whether `wake` was called

    def wake(self) -> None:
        """Wake the run, from any thread; if it does not sleep now, it will not before it has looked."""
        self.is_used = True
        sleep = self._inbox.sleep
        if sleep is not None:
            with suppress(RuntimeError):  # the loop is closed: it has no run to wake
                self.loop.call_soon_threadsafe(_wake, sleep)

    def wake_in_loop(self) -> None:
        """Wake the run, called in its own event loop."""
        self.is_used = True
        if (sleep := self._inbox.sleep) is not None:
            _wake(sleep)

    @property
    def is_dead(self) -> bool:
        """Whether its event loop was closed, and the run with it."""
        return self.loop.is_closed()


def _wake(sleep: asyncio.Future[None]) -> None:
    if not sleep.done():
        sleep.set_result(None)


def _time_out(sleep: asyncio.Future[None]) -> None:
    if not sleep.done():
        sleep.set_exception(TimedOut(_NOTHING_CAME))
