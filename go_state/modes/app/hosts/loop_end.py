"""The end of an event loop that somebody closes while an app runs in it: its task would never go on, and never end.

asyncio tells nobody that a loop is closed. But a closed loop drops its timers, and what a timer alone has held is gone then.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextvars import Context

_NEVER = 3600.0 * 24 * 365 * 90  # seconds; uvloop takes up to a hundred years


class _Held:
    """What a timer holds."""

    __slots__ = ("__weakref__",)

    def go_off(self) -> None:
        """Do nothing, in ninety years."""


class LoopEnd:
    """Calls a method of an object that is still there, once the running event loop is closed, until it is to forget about it."""

    def __init__(self, closed: Callable[[], object]) -> None:
        held, method = _Held(), weakref.WeakMethod(closed)

        def drop() -> None:
            if (call := method()) is not None:
                call()

        self._watch = weakref.finalize(held, drop)
        self._watch.atexit = False
        # In a context of its own: that of the caller would be kept for as long. The loop alone is to hold the timer.
        self._timer = weakref.ref(asyncio.get_running_loop().call_later(_NEVER, held.go_off, context=Context()))

    def forget(self) -> None:
        """Call nothing any more, and take the timer back."""
        self._watch.detach()
        timer = self._timer()
        if timer is not None:
            timer.cancel()
