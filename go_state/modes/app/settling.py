"""Those who wait until an app has done everything that there was to do: what was sent, and what that has led to.

The run looks whether anybody waits when it is about to wait itself: it has no message, no running call and no arrival then. Whoever
begins to wait is in the list before the run is woken, so the run finds them when it looks next, or they find that it is over.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from go_state.core.errors import AppEnded
from go_state.waking.together import wake_all

if TYPE_CHECKING:
    from go_state.waking.loop_waker import LoopWaker
    from go_state.waking.thread_waker import ThreadWaker


class Settling:
    """Those who wait for one app."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the two below
        self._waiting: list[ThreadWaker | LoopWaker] = []
        self._is_over = False
        self._why: BaseException | None = None  # why the app ended before it was through with everything

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def enter(self, waker: ThreadWaker | LoopWaker) -> None:
        """Wake the sleeper when everything is done, or the app is over."""
        with self._lock:
            if not self._is_over:
                self._waiting.append(waker)
                return
        waker.wake()

    def leave(self, waker: ThreadWaker | LoopWaker) -> None:
        """Forget a sleeper."""
        with self._lock:
            if waker in self._waiting:
                self._waiting.remove(waker)

    def reached(self) -> None:
        """Called by the run when everything is done."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
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
