"""Waking many sleepers at once, as whoever sets a value does.

All tasks of one event loop are woken by one call into it, so waking one of many tasks costs less than a microsecond; with a janus
queue for each it was five to ten.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from go_state.system.running import running_loop
from go_state.waking.waker import Waker

if TYPE_CHECKING:
    import asyncio


def wake_all(wakers: Iterable[Waker]) -> None:
    """Wake every sleeper, from any thread. Never raises; the tasks of a closed event loop are skipped."""
    tasks: dict[asyncio.AbstractEventLoop, list[Waker]] = {}
    for waker in wakers:
        loop = waker.loop
        if loop is None:
            waker.wake()
        elif loop in tasks:
            tasks[loop].append(waker)
        else:
            tasks[loop] = [waker]
    for loop, those in tasks.items():
        with suppress(RuntimeError):  # the loop is closed: it has no task to wake
            if running_loop() is loop:
                loop.call_soon(_wake_in_loop, those)  # not at once: whoever wakes them goes on first
            else:
                loop.call_soon_threadsafe(_wake_in_loop, those)


def _wake_in_loop(wakers: list[Waker]) -> None:
    for waker in wakers:
        waker.wake_in_loop()
