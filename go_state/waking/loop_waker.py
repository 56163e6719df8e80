"""How a task sleeps: on a future of its event loop, which any thread can have completed.

Waking takes no lock, so it may happen in a finalizer or a signal handler, which may have interrupted the holder of one. A queue of
janus was tried in its place: it costs 4-10 us a message (`bench/bench_put.py`), and has a lock that its own waking may meet. This
module is imported when a task first waits, because asyncio takes longer to import than all of go_state.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress


class LoopWaker:
    """Wakes one sleeping task of the event loop it was made in, once: each sleep takes a new waker."""

    __slots__ = ("future", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        #: completed with True by waking, and with False when the time is over; to be waited for together with others
        self.future: asyncio.Future[bool] = self.loop.create_future()

    def wake(self) -> None:
        """Wake the task, from any thread. If its event loop is closed there is no task to wake, and nothing happens."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.wake_in_loop)

    def wake_in_loop(self) -> None:
        """Wake the task, called in its own event loop; a second call does nothing."""
        if not self.future.done():
            self.future.set_result(True)

    def _time_is_over(self) -> None:
        if not self.future.done():
            self.future.set_result(False)

    @property
    def is_dead(self) -> bool:
        """Whether its event loop was closed, and the task with it."""
        return self.loop.is_closed()

    async def sleep(self, until: float | None) -> bool:
        """Wait until `wake` is called; return False if the monotonic clock reaches `until` first."""
        if until is None:
            return await self.future
        seconds = min(max(until - time.monotonic(), 0), threading.TIMEOUT_MAX)
        timer = self.loop.call_later(seconds, self._time_is_over)  # asyncio.timeout would cancel the task, at thrice the cost
        try:
            return await self.future
        finally:
            timer.cancel()
