"""How a thread sleeps: on a plain lock, which whoever wakes it releases."""

from __future__ import annotations

import threading
import time


class ThreadWaker:
    """Wakes one sleeping thread, once: each sleep takes a new waker."""

    __slots__ = ("_lock",)

    loop = None
    is_dead = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        """Wake the thread; a second call does nothing."""
        # Asking `locked()` first would not do: two threads that wake at the same moment would both find it locked.
        try:  # noqa: SIM105  - `suppress` is three calls more, at every wake-up
            self._lock.release()
        except RuntimeError:  # it was released already
            pass

    wake_in_loop = wake

    def sleep(self, until: float | None) -> bool:
        """Block until `wake` is called; return False if the monotonic clock reaches `until` first."""
        seconds = -1 if until is None else min(max(until - time.monotonic(), 0), threading.TIMEOUT_MAX)
        return self._lock.acquire(timeout=seconds)
