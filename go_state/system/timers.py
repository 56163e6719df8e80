"""Timers: what is to be done when, by a clock that a test can replace. They belong to one run and fire in its own thread."""

from __future__ import annotations

import heapq
import threading
import time as system
from collections.abc import Callable
from itertools import count
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """What a run reads the time from, and waits by."""

    def time(self) -> float:
        """Return the seconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only go forward."""
        ...

    def enter(self, wake: Callable[[], object], /) -> None:
        """Called when a run begins; `wake` ends its waits, from any thread."""
        ...

    def left(self, due: float | None, resting: Callable[[], bool], wake: Callable[[], object], /) -> float | None:
        """Called when a run is about to wait: return for how many real seconds it may, if its next timer is `due`; None for any number.

        `wake` wakes it when the time has been moved.

        `resting` returns, from any thread, whether the run still waits and has nothing else to do.
        """
        ...

    def leave(self, wake: Callable[[], object], /) -> None:
        """Called when the run that `wake` wakes has ended."""
        ...


class SystemClock:
    """The system's time."""

    __slots__ = ()

    def time(self) -> float:
        """Return the seconds since 1970, UTC."""
        return system.time()

    def monotonic(self) -> float:
        """Return the seconds since the system began."""
        return system.monotonic()

    def enter(self, wake: Callable[[], object], /) -> None:
        """Do nothing: the system's time passes by itself."""

    def left(self, due: float | None, resting: Callable[[], bool], wake: Callable[[], object], /) -> float | None:
        """Return the seconds until then."""
        return None if due is None else min(max(due - system.monotonic(), 0.0), threading.TIMEOUT_MAX)

    def leave(self, wake: Callable[[], object], /) -> None:
        """Do nothing."""


_FEW = 100  # cancelled timers, which nothing is done about
_STEP = 0.01  # second: two looks at the clocks differ by less while nobody sets one


class Timed(Protocol):
    """Something that lies in the heap until it is due: a `Timer`, or an effect, which needs no other object for that."""

    @property
    def when(self) -> float | None:
        """When it is due in seconds since 1970, of one that is set by that."""
        ...

    due: float  # of the monotonic clock
    action: Callable[..., object] | None  # what is called when it is due; None of one that has fired or was cancelled


class Timer:
    """Something to be done at `due` of the monotonic clock."""

    __slots__ = ("_timers", "action", "due", "when")

    def __init__(self, due: float, action: Callable[..., object], timers: Timers, when: float | None = None) -> None:
        self.due = due
        self.when = when  # the same in seconds since 1970, of one that is set by that
        self.action: Callable[..., object] | None = (
            action  # called with the next one; None of one that has fired or was cancelled
        )
        self._timers = timers

    def cancel(self) -> None:
        """Make it do nothing."""
        self._timers.cancel(self)


class Shared:
    """What many timers have in common that cannot be cancelled: the action, which is called with what each was set with."""

    __slots__ = ("_action",)
    when = None
    due = 0.0  # each has its own in the heap alone

    def __init__(self, action: Callable[..., object]) -> None:
        self._action = action

    @property
    def action(self) -> Callable[..., object] | None:
        """The action; it stays when one of the timers has fired."""
        return self._action

    @action.setter
    def action(self, action: Callable[..., object] | None) -> None:
        pass


class Timers:
    """A run's timers, the next one first; those that are due at one time fire in the order in which they were set."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        #: when each is due, its number, and what its action is called with; cancelled ones included, and always the same list
        self.heap: list[tuple[float, int, Timed, object]] = []
        self._monotonic = (
            system.monotonic if clock.__class__ is SystemClock else clock.monotonic
        )  # without a step more for each look
        self._of_day = 0  # how many were set by the time since 1970
        self._offset = 0.0  # seconds since 1970 at zero of the monotonic clock, when the last of these was set
        self._numbers = count()
        self._cancelled = 0  # how many of those in the heap

    def set(self, seconds: float, action: Callable[[T], object], of: T) -> Timer:
        """Call `action(of)` when `seconds` have passed."""
        timer = Timer(self._monotonic() + seconds, action, self)
        heapq.heappush(self.heap, (timer.due, next(self._numbers), timer, of))
        return timer

    def add(self, due: float, action: Callable[..., object], timed: Timed) -> None:
        """Call `action(timed)` at `due` of the monotonic clock."""
        timed.due, timed.action = due, action
        heapq.heappush(self.heap, (due, next(self._numbers), timed, timed))

    def add_shared(self, due: float, timed: Shared, of: object) -> None:
        """Call the action of `timed` with `of` at `due` of the monotonic clock."""
        heapq.heappush(self.heap, (due, next(self._numbers), timed, of))

    def replace_shared(self, own: Callable[[object], Timed]) -> None:
        """Make each timer that shares its action one of its own: `own` is called with what it was set with, in the order of setting."""
        numbered = sorted((entry[1], place) for place, entry in enumerate(self.heap) if type(entry[2]) is Shared)
        for number, place in numbered:
            due, _, shared, of = self.heap[place]
            timed = own(of)
            timed.due, timed.action = due, shared.action
            self.heap[place] = (due, number, timed, timed)

    def set_at(self, when: float, action: Callable[[T], object], of: T) -> Timer:
        """Call `action(of)` at the time, in seconds since 1970; not before the clock says so, also if it is set back meanwhile."""
        self._look_at_clock()
        self._of_day += 1
        timer = Timer(when - self._offset, action, self, when)
        heapq.heappush(self.heap, (timer.due, next(self._numbers), timer, of))
        return timer

    def _look_at_clock(self) -> None:
        """Move the timers that were set by the time of day, if somebody has set the clock."""
        offset = self.clock.time() - self._monotonic()
        if abs(offset - self._offset) < _STEP:
            return
        self._offset = offset
        for _, _, timer, _ in self.heap:
            if timer.when is not None:
                timer.due = timer.when - offset
        self.heap[:] = [(due if timer.when is None else timer.due, number, timer, of) for due, number, timer, of in self.heap]
        heapq.heapify(self.heap)

    def cancel(self, timer: Timed) -> None:
        """Make a timer do nothing: it stays in the heap until its time, or until half of the heap are such ones."""
        if timer.action is None:
            return
        timer.action = None
        self._cancelled += 1
        if self._cancelled > max(len(self.heap) // 2, _FEW):
            self.heap[:] = [entry for entry in self.heap if entry[2].action is not None]
            self._of_day = sum(entry[2].when is not None for entry in self.heap)
            heapq.heapify(self.heap)
            self._cancelled = 0

    def __len__(self) -> int:
        """Return how many are set and not cancelled."""
        return len(self.heap) - self._cancelled

    @property
    def size(self) -> int:
        """How many are kept, cancelled ones included."""
        return len(self.heap)

    def due(self) -> float | None:
        """Return when the next one is due."""
        heap = self.heap
        while heap and heap[0][2].action is None:
            self._of_day -= heapq.heappop(heap)[2].when is not None
            self._cancelled -= 1
        return heap[0][0] if heap else None

    def due_at(self) -> float | None:
        """Return when the next one is due, in seconds since 1970."""
        due = self.due()
        if due is None:
            return None
        when = self.heap[0][2].when
        return due + self.clock.time() - self._monotonic() if when is None else when

    def next_wait(self) -> float | None:
        """Return when the next one is due, for a run that is about to wait; the clock may have been set since it last did."""
        if self._of_day:
            self._look_at_clock()
        heap = self.heap
        return heap[0][0] if heap and heap[0][2].action is not None else self.due()

    def is_due(self) -> bool:
        """Return whether one is due now."""
        heap, now = self.heap, self._monotonic()
        while heap and heap[0][0] <= now:
            if heap[0][2].action is not None:
                return True
            self.due()  # takes out what was cancelled
        return False

    def fire(self, most: int) -> None:
        """Call the actions of the timers that are due now, up to `most` of them, in order."""
        heap = self.heap
        now = self._monotonic()
        while most and heap and heap[0][0] <= now:
            _, _, timer, of = heapq.heappop(heap)
            action, timer.action = timer.action, None
            if timer.when is not None:
                self._of_day -= 1
            if action is None:
                self._cancelled -= 1
                continue
            most -= 1
            action(of)
