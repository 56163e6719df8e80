"""The subscriptions that are async generators: `Sub.stream`."""

from __future__ import annotations

import inspect
from contextlib import aclosing
from typing import Any

from go_state.core.commands import name_of
from go_state.core.errors import ProgramError
from go_state.core.subscriptions import Stream
from go_state.runtime.effects.executor import Executor, unasked
from go_state.runtime.effects.manager import PREFETCH, EffectManager
from go_state.runtime.inside import Part, enter
from go_state.runtime.subscriptions.running import Broken, Produced, Running


class Streams:
    """Reads the streams of one run, each in a task."""

    def __init__(self, manager: EffectManager) -> None:
        self._manager = manager

    def begin(self, running: Running) -> None:
        """Begin to read one."""
        self._manager.executor.spawn(running, lambda: self._give(running, self._manager.executor))

    def end(self, running: Running) -> None:
        """Close one."""
        self._manager.executor.stop(running)

    async def _give(self, running: Running, executor: Executor) -> None:
        import asyncio

        part = Part(executor, is_turn=False)
        enter(part)
        sub = running.sub
        assert isinstance(sub, Stream)
        running.room = asyncio.Semaphore(PREFETCH)
        try:
            items: Any = sub.fn(*sub.args)  # whatever a function returns that should be an async generator function
            if not hasattr(items, "__anext__"):
                if inspect.iscoroutine(items):
                    items.close()
                raise ProgramError(
                    f"{name_of(sub.fn)} of Sub.stream is not an async generator function: make it an async def that yields"
                )
            if not hasattr(items, "aclose"):
                items = (item async for item in items)
            async with aclosing(items):
                async for item in items:
                    await running.room.acquire()
                    self._manager.inbox.post(Produced(running, item))
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                if running.over:
                    raise
                error = unasked(error, f"the stream {name_of(sub.fn)}", "the end of its subscription")
            # KeyboardInterrupt and SystemExit are posted too: a task would raise them out of its event loop.
            self._manager.inbox.post(Broken(running, error))
        finally:
            part.over = True
            executor.forget(running)
