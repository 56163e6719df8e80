"""The inbox: what tasks, threads, timers and subscriptions bring to a run, in the order in which it was done.

Every thread may post. The run looks between two turns, and wherever it waits: it says so before it waits and looks once more, and
whoever posts looks at that after the post. So one of the two always sees the other, a post is never slept through, and of many
posts to a sleeping run the first wakes it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple, Protocol, TypeAlias

from go_state.runtime.effects.effect import Effect, Origin
from go_state.waking.thread_waker import ThreadWaker


class Done(NamedTuple):
    """A call has returned, or a timer is due."""

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


Arrival: TypeAlias = Done | Failed | Parked | Look | Input

_LOOK = Look()


class Inbox:
    """The arrivals of one run that were not delivered yet."""

    def __init__(self) -> None:
        self.arrivals: deque[Arrival] = deque()  # a feed asks it, as a condition, between any two messages
        self.is_awaited = False  # whether the run waits, or is about to
        self.looks_up = False  # whether the feed asks for arrivals after each chunk, and needs no `look`
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


class Arriving(Protocol):
    """What a wait for an arrival asks of the run."""

    inbox: Inbox

    @property
    def has_arrivals(self) -> bool:
        """Whether there is something to deliver."""
        ...

    def left(self, resting: Callable[[], bool]) -> float | None:
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
        left = self._run.left(_resting)
        seconds = min((each for each in (left, self._seconds) if each is not None), default=None)
        if seconds is None:
            return None
        return time.monotonic() + min(seconds, threading.TIMEOUT_MAX) if seconds > 0 else 0


def _resting() -> bool:
    return True
