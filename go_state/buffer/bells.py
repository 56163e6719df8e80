"""How a reader sleeps: it leaves a bell with the buffer and whoever brings news rings it, once.

A thread sleeps on a plain lock; `loop_bell.py` is how a task sleeps.
"""

from __future__ import annotations

import threading
from typing import Protocol

from go_state.core.errors import TimedOut


class Bell(Protocol):
    """What is rung."""

    def ring(self) -> None:
        """Wake the sleeper; called at most once for each time the bell was left."""
        ...


class ThreadBell:
    """Wakes one sleeping thread."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the thread."""
        self._lock.release()

    def sleep(self, timeout: float | None) -> None:
        """Block until the bell rings; `TimedOut` after `timeout` seconds."""
        if not self._lock.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
            raise TimedOut(f"nothing came within {timeout:g} seconds; nothing was consumed")
