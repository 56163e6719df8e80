"""The event loop in which a client lives, and how threads and other event loops call into it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from go_state.core.errors import InsideLoop, UsageError, UsedAfterClose

T = TypeVar("T")
_AGAIN = 0.1  # seconds after which a task that has not ended is cancelled once more

Call = Callable[[], Coroutine[Any, Any, T]]  # Any: what a coroutine yields and is sent is its event loop's own affair


class Home:
    """Runs coroutines in one event loop, for callers in threads and in event loops."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def run(self, call: Call[T], called: str) -> T:
        """Run the coroutine that `call` makes, and wait for it in the calling thread; `InsideLoop` in one with a running loop."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise InsideLoop(called)
        if self.loop.is_closed():
            raise UsedAfterClose(f"the event loop in which {called}() works is closed")
        running = asyncio.run_coroutine_threadsafe(call(), self.loop)
        try:
            return running.result()
        except BaseException:
            running.cancel()  # of Ctrl-C: nobody waits for it any more
            raise

    async def run_async(self, call: Call[T]) -> T:
        """Run the coroutine that `call` makes, and wait for it on the running event loop, whichever it is."""
        if asyncio.get_running_loop() is self.loop:
            return await call()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call(), self.loop))


class OwnHome(Home):
    """An event loop in a thread of its own, from the start to `close`."""

    def __init__(self, name: str) -> None:
        super().__init__(asyncio.new_event_loop())
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()

    def close(self) -> None:
        """End the loop and the thread; what still runs there was ended before."""
        if self.loop.is_closed():
            return
        if threading.current_thread() is self._thread:
            raise UsageError("a connection cannot be closed by what it calls itself")
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel the task and wait for its end. Raises nothing that the task has raised.

    It is cancelled until it ends: the `asyncio.wait_for` of Python 3.11, which clients use, loses a cancellation that comes together
    with what it waits for (https://github.com/python/cpython/issues/81839).
    """
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        task.cancel()
        try:
            await asyncio.wait((task,), timeout=_AGAIN)
        except (
            asyncio.CancelledError
        ) as error:  # of who ends it: raised when the task has ended, which nobody would wait for otherwise
            cancelled = error
    if cancelled is not None:
        raise cancelled
