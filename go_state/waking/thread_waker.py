"""How a reader sleeps: it leaves a waker with the buffer, and whoever brings news rings it.

A thread sleeps on a plain lock; `loop_waker.py` is how a task sleeps.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Protocol


class Waker(Protocol):
    """What is rung, by any number of threads at once, as often as they like; the sleeper wakes once."""

    def wake(self) -> None:
        """Wake the sleeper, also out of a finalizer or a signal handler; never raises, and a second time does nothing."""
        ...


class ThreadWaker:
    """Wakes one sleeping thread, once: each sleep takes a new waker."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        """Wake the thread; a second time does nothing."""
        # To ask `locked()` first would let two threads that ring at the same moment both find it locked.
        with suppress(RuntimeError):  # released already
            self._lock.release()

    def sleep(self, until: float | None) -> bool:
        """Block until the waker rings; False when it is `until` of the monotonic clock first."""
        seconds = -1 if until is None else min(max(until - time.monotonic(), 0), threading.TIMEOUT_MAX)
        return self._lock.acquire(timeout=seconds)
