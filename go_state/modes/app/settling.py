"""Those who wait until an app has done everything that it was sent before they came, and what that has led to.

The run looks whether anybody waits between two chunks of messages, and when it is about to wait itself: if it has no message, no running
call and no arrival then, it wakes everybody. Whoever begins to wait is in the list before the run is woken, so the run finds them when it
looks next, or they find that it is over. The first look gives them a position: what was sent before they came stands before it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import TYPE_CHECKING

from go_state.core.errors import AppEnded
from go_state.runtime.feeds.consequences import Consequences
from go_state.waking.waker import wake_all

if TYPE_CHECKING:
    from go_state.waking.loop_waker import LoopWaker
    from go_state.waking.waker import ThreadWaker


class Settling:
    """Those who wait for one app."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the five below
        self.waiting: dict[ThreadWaker | LoopWaker, Consequences | None] = {}  #: None until the run has given them a position
        self._is_over = False
        self._why: BaseException | None = None  # why the app ended before it was through with everything
        self._seen: list[ThreadWaker | LoopWaker] = []  # by the run, which is to give them a position
        self._done: list[ThreadWaker | LoopWaker] = []  # found by the run, which is to wake them

    def enter(self, waker: ThreadWaker | LoopWaker) -> None:
        """Wake the sleeper when everything is done, or the app is over."""
        with self._lock:
            if not self._is_over:
                self.waiting[waker] = None
                return
        waker.wake()

    def leave(self, waker: ThreadWaker | LoopWaker) -> None:
        """Forget a sleeper."""
        with self._lock:
            self.waiting.pop(waker, None)

    # ------------------------------------------------------------------ called by the run; see `Awaited`

    def see(self) -> bool:
        """Look for those who have no position yet, and return whether there are any."""
        with self._lock:
            self._seen = [waker for waker, each in self.waiting.items() if each is None]
        return bool(self._seen)

    def begin(self, end: int, /) -> None:
        """Give those who were seen the position: they wait for the messages before it."""
        with self._lock:
            for waker in self._seen:
                if waker in self.waiting:
                    self.waiting[waker] = Consequences(end)

    def note(self, by: object, first: int, end: int, /) -> None:
        """Note what a turn, or one of its calls, has sent."""
        with self._lock:
            for consequences in self.waiting.values():
                if consequences is not None:
                    consequences.note(by, first, end)

    def done(self, processed: int, calls: Collection[object], /) -> bool:
        """Return whether there are some to wake."""
        with self._lock:
            found = ((waker, each) for waker, each in self.waiting.items() if each is not None)
            self._done = [waker for waker, each in found if each.are_done(processed, calls)]
        return bool(self._done)

    def wake_done(self) -> None:
        """Wake them."""
        with self._lock:
            waking, self._done = [waker for waker in self._done if waker in self.waiting], []
            for waker in waking:
                del self.waiting[waker]
        wake_all(waking)

    def reached(self) -> None:
        """Called when everything is done."""
        with self._lock:
            waiting = list(self.waiting)
            self.waiting.clear()
        wake_all(waiting)

    def over(self, why: BaseException | None) -> None:
        """Called when the app is over; `why` says why it was not through with everything, None if it was."""
        with self._lock:
            if not self._is_over:
                self._is_over, self._why = True, why
        self.reached()

    def check(self) -> None:
        """Raise `Closed` if the app has ended before everything was done."""
        if self._is_over and self._why is not None:
            raise AppEnded("the app has ended before everything was done that it was sent") from self._why
