"""A clock for tests: a day of timers passes in milliseconds, and always in the same way.

clock.advance(60) ──▶ every run at rest? ──▶ on to the next timer that is due ──▶ ... ──▶ a minute has passed
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import partial

from go_state.core.errors import TimedOut, UsageError
from go_state.runtime.context import current
from go_state.runtime.effects.scheduler import Effect
from go_state.system.own_thread import call_once
from go_state.system.running import running_loop
from go_state.waking.deadlines import check_timeout


class _Run:
    """One run that reads this clock."""

    __slots__ = ("due", "resting")

    def __init__(self) -> None:
        self.due: float | None = None
        self.resting: Callable[[], bool] = lambda: False  # it has only begun


class SimClock:
    """Time that passes when a test says so: give it to runs as `clock=`, to one or to several.

    `advance` moves it on, from timer to timer. With `jumps=True` it moves by itself whenever all its runs have nothing to do but
    to wait, which is what a `batch` or a `run` in the test's own thread needs. What is in a queue that is not go_state's it cannot see.
    `start` is in seconds since 1970.

    >>> from go_state import Cmd, Program, batch
    >>> nap = Program(lambda: (0, [Cmd.after(3600, "awake")]), lambda model, msg: (model + 1, ()))
    >>> clock = SimClock(jumps=True)
    >>> batch(nap, [], clock=clock).model, clock.time()
    (1, 3600.0)
    """

    def __init__(self, start: float = 0.0, *, jumps: bool = False) -> None:
        self._now = _time(start)
        self._jumps = jumps
        self._lock = threading.RLock()  # guards all below, and the time
        self._changed = threading.Condition(self._lock)
        self._advancing = 0  # how many threads wait for runs to be at rest
        self._runs: dict[Callable[[], object], _Run] = {}

    def time(self) -> float:
        """Return the seconds since 1970."""
        return self._now

    def monotonic(self) -> float:
        """Return the same."""
        return self._now

    # ------------------------------------------------------------------ what runs tell

    def enter(self, wake: Callable[[], object], /) -> None:
        """Called when a run begins."""
        with self._lock:
            self._runs[wake] = _Run()

    def left(self, due: float | None, resting: Callable[[], bool], wake: Callable[[], object], /) -> float | None:
        """Called when a run is about to wait; return 0 if time jumps to what it waits for. See `Clock.left`."""
        with self._lock:  # itself, and not by the condition: a simulated day of timers is spent here
            runs = self._runs
            run = runs.get(wake) or runs.setdefault(wake, _Run())
            if self._jumps and due is not None and len(runs) == 1 and not self._advancing and resting():  # as in most tests
                run.due, run.resting = None, _never
                if due > self._now:
                    self._now = due
                return 0.0
            run.due, run.resting = due, resting
            if self._advancing:
                self._changed.notify_all()
            if not (self._jumps and self._rest()):
                return None
            next_due = self._next_due()
            if next_due is None:
                return None
            self._now = max(self._now, next_due)
            woken = self._wake_the_due()
            mine = due is not None and due <= self._now
        for wake_up in woken:
            if wake_up is not wake:
                wake_up()
        return 0.0 if mine else None

    def leave(self, wake: Callable[[], object], /) -> None:
        """Called when the run that `wake` wakes has ended."""
        with self._lock:
            self._runs.pop(wake, None)
            self._changed.notify_all()

    # ------------------------------------------------------------------ what tests call

    def advance(self, seconds: float, *, timeout: float = 10.0) -> None:
        """Move time on by `seconds`, timer after timer, each with all that it leads to.

        Waits before each step, and at the end, until every run has done what there was to do; raises `TimedOut` when one has not
        within `timeout` real seconds, such as one whose command does not return. Runs on this thread's event loop cannot go on
        meanwhile: for those there is `advance_async`.
        """
        check_timeout(timeout)
        check_forward(seconds)
        end = self._now + seconds
        while True:
            with self._lock:
                if not self._wait_for_rest(timeout):
                    why = "does one of its commands hang?" if running_loop() is None else "on an event loop use advance_async"
                    raise TimedOut(f"a run was still busy after {timeout:g} real seconds: {why}")
                due = self._next_due()
                if due is None or due > end:
                    self._now = end
                    return
                self._now = max(self._now, due)
                woken = self._wake_the_due()
            for wake in woken:
                wake()

    async def advance_async(self, seconds: float, *, timeout: float = 10.0) -> None:
        """Move time on by `seconds`, as `advance` does, while the event loop goes on."""
        await call_once(partial(self.advance, seconds, timeout=timeout), "go_state clock")

    async def sleep(self, seconds: float = math.inf) -> None:
        """Wait inside a command until `seconds` of this clock have passed: for a fake that takes its time, or hangs for good.

        Raises `UsageError` for what is no number of seconds.
        """
        import asyncio

        if not isinstance(seconds, (int, float)) or math.isnan(seconds):
            raise UsageError(f"sleep takes a number of seconds, or nothing to sleep for good, not {seconds!r}")
        loop, over, effect = asyncio.get_running_loop(), asyncio.Event(), current.get()

        def wake() -> None:
            loop.call_soon_threadsafe(over.set)

        if isinstance(effect, Effect):
            effect.parked = True
        with self._lock:
            sleeper = self._runs[wake] = _Run()
            sleeper.due, sleeper.resting = None if seconds == math.inf else self._now + seconds, _always
            runs = [each for each, run in self._runs.items() if run.resting is not _always]  # not those that sleep
        for each in runs:
            each()  # to look whether there is anything else to wait for
        try:
            await over.wait()
        finally:
            if isinstance(effect, Effect):
                effect.parked = False
            self.leave(wake)

    def set(self, now: float) -> None:
        """Set the time to `now`, in seconds since 1970, and wake nobody."""
        self._now = _time(now)

    def settle(self, *, timeout: float = 10.0) -> None:
        """Wait until every run has done what there is to do now."""
        self.advance(0, timeout=timeout)

    # ------------------------------------------------------------------ with the lock held

    def _wait_for_rest(self, timeout: float) -> bool:
        self._advancing += 1
        try:
            return self._changed.wait_for(self._rest, timeout)
        finally:
            self._advancing -= 1

    def _rest(self) -> bool:
        for run in self._runs.values():  # noqa: SIM110  - all() of a generator takes twice as long for the one run there usually is
            if not run.resting():
                return False
        return True

    def _next_due(self) -> float | None:
        due: float | None = None
        for run in self._runs.values():
            if run.due is not None and (due is None or run.due < due):
                due = run.due
        return due

    def _wake_the_due(self) -> list[Callable[[], object]]:
        """Return what wakes the runs that something is due in; until they wait again they are not at rest."""
        due = [(wake, run) for wake, run in self._runs.items() if run.due is not None and run.due <= self._now]
        for _, run in due:
            run.due, run.resting = None, _never
        return [wake for wake, _ in due]


def check_forward(seconds: object) -> None:
    """Raise `UsageError` unless time can advance by it: what repeats would have no end in an endless time."""
    if not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        raise UsageError(f"time goes forward: advance by a number of seconds from 0, not {seconds!r}")


def _time(seconds: object) -> float:
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        raise UsageError(f"a time is a number of seconds since 1970, not {seconds!r}")
    return float(seconds)


def _never() -> bool:
    return False


def _always() -> bool:
    return True
