"""How a reader sleeps on an event loop: on a future, which any thread can have done.

Ringing takes no lock, and so it may be done in a finalizer or a signal handler, which may interrupt whatever holds one. A queue of
janus was tried in its place: it costs 4-10 us a message (`bench/bench_put.py`), and has a lock that its own ring may meet. This
module is imported when a task first waits, because asyncio takes longer to import than all of go_state.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress


class LoopWaker:
    """Wakes one sleeping task of the event loop it was made in, once: every wait has a waker of its own."""

    __slots__ = ("future", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()  #: done once the waker has rung

    def wake(self) -> None:
        """Wake the task, from any thread; a closed loop has no task to wake."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self.future.done():
            self.future.set_result(None)

    @property
    def is_dead(self) -> bool:
        """Whether its event loop was closed, and the task with it."""
        return self.loop.is_closed()

    async def sleep(self, until: float | None) -> bool:
        """Wait until the waker rings; False when it is `until` of the monotonic clock first."""
        if until is None:
            await self.future
            return True
        try:
            async with asyncio.timeout(min(until - time.monotonic(), threading.TIMEOUT_MAX)):
                await self.future
        except TimeoutError:
            return False
        return True
