"""When a batch has to pause between its messages: to stop, to save, to give the event loop control, or because its time is over."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

from go_state.core.errors import TimedOut, UsageError
from go_state.core.ports import Switch
from go_state.modes.stop import StopSwitch
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.flow.waits import CHECKPOINT_SECONDS


class Limits:
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
        self.watches = False  #: whether there is anything to pause for between messages
        self._plan()

    def _plan(self) -> None:
        self._next = min(self._deadline, self._budget_end, self._save_at, self._checkpoint_at)
        self.watches = self.stop is not None or self._next < math.inf

    def due(self) -> bool:
        """Return whether to pause now; called between any two messages."""
        return time.monotonic() >= self._next or (self.stop is not None and self.stop.is_set())

    def save_in(self, seconds: float) -> None:
        """Plan a save."""
        self._save_at = time.monotonic() + seconds
        self._plan()

    def save_due(self) -> bool:
        """Return whether the planned save is due."""
        return time.monotonic() >= self._save_at

    @property
    def limits_waits(self) -> bool:
        """Whether something may end a wait for the source before the source does."""
        return isinstance(self.stop, StopSwitch) or self._has_effects or self._next_end() < math.inf

    def _next_end(self) -> float:
        return min(self._deadline, self._budget_end, self._save_at)

    @property
    def _has_effects(self) -> bool:
        """Whether running commands may produce a message."""
        return self.manager is not None and self.manager.active

    @contextmanager
    def calling(self, wake: Callable[[], object]) -> Iterator[None]:
        """Call the function, from any thread, whenever something ends a wait early, for the length of the block."""
        stopping = self.stop.calling(wake) if isinstance(self.stop, StopSwitch) else nullcontext()
        notified = nullcontext() if self.manager is None else self.manager.inbox.waking(wake)
        with stopping, notified:
            yield

    def must_end_now(self) -> bool:
        """Return whether a wait that begins now would have to end at once."""
        stopped = self.stop is not None and self.stop.is_set()
        return stopped or (self.manager is not None and self.manager.has_arrivals)

    def wait_seconds(self) -> float | None:
        """Return the longest time in seconds that the batch may sleep; None for no limit."""
        seconds = self.seconds_left()
        left = None if self.manager is None else self.manager.left(_always)
        return min((each for each in (seconds, left) if each is not None), default=None)

    def seconds_left(self) -> float | None:
        """Return in how many seconds something ends a wait; None if nothing does."""
        until = self._next_end()
        return None if until == math.inf else max(until - time.monotonic(), 0)

    def timeout_left(self) -> float | None:
        """Return how many seconds are left for the whole batch; None for no limit."""
        return None if self._deadline == math.inf else max(self._deadline - time.monotonic(), 0)

    def checkpoint_due(self) -> bool:
        """Return whether to give the event loop control, and count from now again if so."""
        now = time.monotonic()
        if now < self._checkpoint_at:
            return False
        self._checkpoint_at = now + CHECKPOINT_SECONDS
        self._plan()
        return True

    def check_deadline(self) -> None:
        """Raise `TimedOut` if the time of the whole batch is over."""
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
    """Return true: a batch that waits for its source has nothing else to do."""
    return True
