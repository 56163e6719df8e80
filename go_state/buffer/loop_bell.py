"""How a reader sleeps on an event loop: on a janus queue, which any thread can ring.

The queue belongs to one reader and one event loop and ends with them. Messages never travel through it: a bell costs one wake-up
per idle reader, janus as a queue 4-10 us a message (`bench/bench_put.py`). This module is imported when a task first waits,
because asyncio and janus together take longer to import than all of go_state.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress

import janus


class LoopBell:
    """Wakes one sleeping task of the event loop it was made in."""

    __slots__ = ("_queue", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._queue: janus.Queue[None] = janus.Queue()

    def ring(self) -> None:
        """Wake the task, from any thread; a closed loop has no task to wake."""
        # The reader may be closed, or its loop while janus calls it: then nobody sleeps here any more.
        with suppress(janus.SyncQueueShutDown, RuntimeError):
            self._queue.sync_q.put_nowait(None)

    async def sleep(self, until: float | None) -> bool:
        """Wait until the bell rings or is put away; False when it is `until` of the monotonic clock first.

        A ring left over from a wait that was cancelled ends this one early: the caller looks again before it sleeps again.
        """
        try:
            async with asyncio.timeout(None if until is None else min(until - time.monotonic(), threading.TIMEOUT_MAX)):
                await self._queue.async_q.get()
        except janus.AsyncQueueShutDown:
            pass
        except TimeoutError:
            return False
        return True

    def put_away(self) -> None:
        """End the bell, from any thread; a sleeper wakes."""
        with suppress(RuntimeError):  # its loop may be closed
            self._queue.close()

    async def put_away_async(self) -> None:
        """End the bell and wait until janus has let go of the loop."""
        self.put_away()
        if asyncio.get_running_loop() is self.loop:
            await self._queue.wait_closed()
