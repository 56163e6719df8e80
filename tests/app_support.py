"""Apps in a thread and in a task, in memory and on a journal, used by the same tests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import go_state as gs

KINDS = ["thread", "loop", "thread journal", "loop journal"]


class Kind:
    """An app in a thread or in a task, in memory or on a journal, used by the same test."""

    def __init__(self, name: str, folder: Path, ends: ExitStack) -> None:
        self.on_loop = "loop" in name
        self._store = gs.LMDBStore(folder / "app.lmdb") if "journal" in name else None
        if self._store is not None:
            ends.enter_context(self._store)

    def start(self, program: gs.Program[Any, Any], **options: Any) -> gs.App[Any, Any]:
        if self._store is not None:
            options |= {"store": self._store, "key": "k"}
        return (gs.start_async if self.on_loop else gs.start)(program, **options)

    async def __call__(self, app: Any, method: str, *args: Any, **options: Any) -> Any:
        """Call a method that waits, off the event loop where it would block it."""
        if self.on_loop:
            return await getattr(app, f"{method}_async")(*args, **options)
        return await asyncio.to_thread(getattr(app, method), *args, **options)

    async def within(self, app: Any, body: Callable[[], Awaitable[object]]) -> None:
        """Run the body inside the app's block."""
        if self.on_loop:
            async with app:
                await body()
            return
        loop = asyncio.get_running_loop()

        def block() -> None:
            with app:
                asyncio.run_coroutine_threadsafe(_as_coroutine(body()), loop).result()

        await asyncio.to_thread(block)


async def _as_coroutine(waited: Awaitable[object]) -> None:
    await waited
