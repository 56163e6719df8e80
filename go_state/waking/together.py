"""How one who sets a newer value wakes all who wait for it.

All tasks of one event loop are woken by one call into it, which makes waking one of them cost less than a microsecond; by a queue
of janus for each it was five to ten.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from go_state.system.running import running_loop
from go_state.waking.thread_waker import ThreadWaker

if TYPE_CHECKING:
    import asyncio

    from go_state.waking.loop_waker import LoopWaker


def wake_all(wakers: Iterable[ThreadWaker | LoopWaker]) -> None:
    """Wake every sleeper, from any thread and as often as one likes; never raises, and a loop that was closed is passed over."""
    tasks: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waker in wakers:
        if isinstance(waker, ThreadWaker):
            waker.wake()
        else:
            tasks.setdefault(waker.loop, []).append(waker.future)
    for loop, futures in tasks.items():
        with suppress(RuntimeError):  # a closed loop has no task to wake
            if running_loop() is loop:
                loop.call_soon(_wake, futures)  # by itself, so that who has set the value goes on
            else:
                loop.call_soon_threadsafe(_wake, futures)


def _wake(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
