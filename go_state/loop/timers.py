"""Timers: what is to be done when, by a clock that a test can replace. They belong to one run and go off in its own thread."""

from __future__ import annotations

import heapq
import threading
import time as system
from collections.abc import Callable
from itertools import count
from typing import Protocol


class Clock(Protocol):
    """What a run reads the time from, and waits by."""

    def time(self) -> float:
        """Return the seconds since 1970, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only go forward."""
        ...

    def enter(self, wake: Callable[[], object], /) -> None:
        """Hear of a run that begins, and of what ends its waits."""
        ...

    def left(self, due: float | None, resting: Callable[[], bool], wake: Callable[[], object], /) -> float | None:
        """Return how many real seconds a run that is about to wait may wait for what is due; None for as long as it takes.

        `resting` tells, from any thread, whether it still waits and has nothing else to do.
        """
        ...

    def leave(self, wake: Callable[[], object], /) -> None:
        """Hear that the run has ended."""
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
        """Take no notice."""

    def left(self, due: float | None, resting: Callable[[], bool], wake: Callable[[], object], /) -> float | None:
        """Return the seconds until then."""
        return None if due is None else min(max(due - system.monotonic(), 0.0), threading.TIMEOUT_MAX)

    def leave(self, wake: Callable[[], object], /) -> None:
        """Take no notice."""


_FEW = 100  # cancelled timers, which nothing is done about


class Timer:
    """Something to be done at `due` of the monotonic clock."""

    __slots__ = ("_timers", "action", "due")

    def __init__(self, due: float, action: Callable[[], object], timers: Timers) -> None:
        self.due = due
        self.action: Callable[[], object] | None = action
        self._timers = timers

    def cancel(self) -> None:
        """Have nothing done."""
        if self.action is not None:
            self.action = None
            self._timers.note_cancelled()


class Timers:
    """A run's timers, the next one first; those that are due at one time go off in the order they were set."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        self._cancelled = 0  # how many of those in the heap

    def set(self, seconds: float, action: Callable[[], object]) -> Timer:
        """Have the action called when so many seconds have passed."""
        timer = Timer(self.clock.monotonic() + seconds, action, self)
        heapq.heappush(self._heap, (timer.due, next(self._numbers), timer))
        return timer

    def note_cancelled(self) -> None:
        """Hear that one was cancelled: it lies in the heap until its time, or until half of the heap is such ones."""
        self._cancelled += 1
        if self._cancelled > max(len(self._heap) // 2, _FEW):
            self._heap = [entry for entry in self._heap if entry[2].action is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def __len__(self) -> int:
        """Return how many are set."""
        return len(self._heap) - self._cancelled

    def due(self) -> float | None:
        """Return when the next one is due."""
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
            self._cancelled -= 1
        return self._heap[0][0] if self._heap else None

    def is_due(self) -> bool:
        """Tell whether one is due now."""
        due = self.due()
        return due is not None and due <= self.clock.monotonic()

    def next_due(self) -> Callable[[], object] | None:
        """Take the action of the next timer that is due now."""
        if not self.is_due():
            return None
        timer = heapq.heappop(self._heap)[2]
        action, timer.action = timer.action, None
        return action
