"""When a batch has to look up from its messages: to stop, to save, to breathe, or because its time is over."""

from __future__ import annotations

import _thread
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

from go_state.core.errors import TimedOut, UsageError
from go_state.core.ports import Switch
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.flow.waits import CHECKPOINT_SECONDS


@dataclass(frozen=True, slots=True)
class Snapshots:
    """When to save besides at the end: after so many messages of the source, or seconds, whichever comes first.

    A save happens only where the queue is empty, so a little later when a message has led to others. Of a journalled program the
    newest `keep` snapshots stay, the older ones as keyframes from which `replay` starts; an aggregate keeps one.
    """

    every: int | None = None
    seconds: float | None = None
    keep: int = 2

    def __post_init__(self) -> None:
        if self.every is not None and (not isinstance(self.every, int) or self.every < 1):
            raise UsageError(f"every is a number of messages from 1, not {self.every!r}")
        if self.seconds is not None and not (isinstance(self.seconds, (int, float)) and self.seconds > 0):
            raise UsageError(f"seconds is a number greater than 0, not {self.seconds!r}")
        if not isinstance(self.keep, int) or self.keep < 1:
            raise UsageError(f"keep is a number of snapshots from 1, not {self.keep!r}")


@dataclass(frozen=True, slots=True)
class Retain:
    """What a journal keeps of the messages that a durable run has done with: at least so many, and those of the last seconds.

    Messages go when every named reader has passed them and the oldest snapshot that is kept covers them; with neither argument as
    soon as that is so. They go in blocks of about a thousand, when a snapshot is written.
    """

    messages: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.messages is not None and (not isinstance(self.messages, int) or self.messages < 0):
            raise UsageError(f"messages is a whole number, not {self.messages!r}")
        if self.seconds is not None and not (isinstance(self.seconds, (int, float)) and self.seconds >= 0):
            raise UsageError(f"seconds is a number from 0, not {self.seconds!r}")


class StopSwitch:
    """A flag that asks batches to end between two messages; set once, from any thread. See `signals`."""

    def __init__(self) -> None:
        self._set = False
        self._callbacks: list[Callable[[], object]] = []

    def set(self) -> None:
        """Ask for the end."""
        self._set = True
        for callback in tuple(self._callbacks):
            callback()

    def is_set(self) -> bool:
        """Tell whether the end was asked for."""
        return self._set

    @contextmanager
    def calling(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call the function when the switch is set, from the thread that sets it, for the length of the block."""
        self._callbacks.append(callback)
        try:
            yield
        finally:
            self._callbacks.remove(callback)


@contextmanager
def signals(*numbers: int) -> Iterator[StopSwitch]:
    """Turn SIGTERM and SIGINT, or the signals given, into a graceful stop: `with gs.signals() as stop: gs.batch(..., stop=stop)`.

    The first one sets the switch and gives the old handlers back, so that a second Ctrl-C interrupts as usual. Raises
    `UsageError` outside the main thread, the only one in which Python handles signals.
    """
    if threading.current_thread() is not threading.main_thread():
        raise UsageError("gs.signals() works in the main thread only: make the switch there and hand it to this thread")
    switch = StopSwitch()
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            # None: installed by something that is not Python.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def ask(number: int, frame: object) -> None:
        restore()
        switch._set = True
        # The callbacks take locks, which the interrupted code of this very thread may hold: they need a thread of their own,
        # and a bare one, because starting a threading.Thread takes locks too.
        _thread.start_new_thread(switch.set, ())

    try:
        for number in numbers or (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, ask)
        yield switch
    finally:
        restore()


class Pace:
    """The clocks and switches of one batch. All times are of `time.monotonic`."""

    def __init__(self, *, stop: Switch | None, budget: float | None, timeout: float | None, on_loop: bool) -> None:
        for word, seconds in (("budget", budget), ("timeout", timeout)):
            if seconds is not None and not (isinstance(seconds, (int, float)) and seconds > 0):
                raise UsageError(f"{word} is a number of seconds greater than 0, not {seconds!r}")
        if stop is not None and not isinstance(stop, Switch):
            raise UsageError("stop is something with is_set(): the switch of gs.signals(), or a threading.Event")
        now = time.monotonic()
        self.stop = stop
        self._timeout = timeout
        self._deadline = math.inf if timeout is None else now + timeout
        self._budget_end = math.inf if budget is None else now + budget
        self._save_at = math.inf
        self._checkpoint_at = now + CHECKPOINT_SECONDS if on_loop else math.inf
        self.manager: EffectManager | None = None
        self._plan()

    def _plan(self) -> None:
        self._next = min(self._deadline, self._budget_end, self._save_at, self._checkpoint_at)

    @property
    def watches(self) -> bool:
        """Whether there is anything to look up for between messages."""
        return self.stop is not None or self._next < math.inf

    def due(self) -> bool:
        """Tell whether to look up now; asked between any two messages."""
        return time.monotonic() >= self._next or (self.stop is not None and self.stop.is_set())

    def save_in(self, seconds: float) -> None:
        """Plan a checkpoint."""
        self._save_at = time.monotonic() + seconds
        self._plan()

    def save_due(self) -> bool:
        """Tell whether the planned checkpoint is due."""
        return time.monotonic() >= self._save_at

    @property
    def limits_waits(self) -> bool:
        """Whether something may end a wait for the source before the source does."""
        return isinstance(self.stop, StopSwitch) or self._flies or self._next_end() < math.inf

    def _next_end(self) -> float:
        return min(self._deadline, self._budget_end, self._save_at)

    @property
    def _flies(self) -> bool:
        """Whether commands under way may bring something."""
        return self.manager is not None and self.manager.active

    @contextmanager
    def calling(self, wake: Callable[[], object]) -> Iterator[None]:
        """Call the function, from whichever thread, when something ends a wait early, for the length of the block."""
        manager = self.manager
        stopping = self.stop.calling(wake) if isinstance(self.stop, StopSwitch) else nullcontext()
        arriving = nullcontext() if manager is None else manager.inbox.waking(wake)
        with stopping, arriving:
            yield

    def looks_up(self) -> bool:
        """Tell whether a wait that begins now would have to end at once."""
        stopped = self.stop is not None and self.stop.is_set()
        return stopped or (self.manager is not None and self.manager.has_arrivals)

    def wait_seconds(self) -> float | None:
        """Return how long the batch may wait that is about to; None for as long as it takes."""
        seconds = self.seconds_left()
        left = None if self.manager is None else self.manager.left(_always)
        return min((each for each in (seconds, left) if each is not None), default=None)

    def seconds_left(self) -> float | None:
        """Return how many seconds it is until something ends a wait; None for as many as it takes."""
        until = self._next_end()
        return None if until == math.inf else max(until - time.monotonic(), 0)

    def timeout_left(self) -> float | None:
        """Return how many seconds are left for the whole batch; None for as many as it takes."""
        return None if self._deadline == math.inf else max(self._deadline - time.monotonic(), 0)

    def breath_due(self) -> bool:
        """Tell whether the event loop's other tasks have waited long enough, and begin their next wait."""
        now = time.monotonic()
        if now < self._checkpoint_at:
            return False
        self._checkpoint_at = now + CHECKPOINT_SECONDS
        self._plan()
        return True

    def check_deadline(self) -> None:
        """Raise `TimedOut` when the time of the whole batch is over."""
        if time.monotonic() >= self._deadline:
            raise TimedOut(
                f"the batch took longer than its timeout of {self._timeout:g} seconds: it was ended, and what was saved before stays"
            )

    def ended(self) -> Literal["stopped", "budget"] | None:
        """Return why the batch is to end before its source does, if it is."""
        if self.stop is not None and self.stop.is_set():
            return "stopped"
        if time.monotonic() >= self._budget_end:
            return "budget"
        return None


def _always() -> bool:
    """Say yes: a batch that waits for its source has nothing else to do."""
    return True
