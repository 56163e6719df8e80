"""The event loop of the calling thread, found without importing asyncio, which takes longer than all of go_state."""

from __future__ import annotations

import sys
from typing import Any


def running_loop() -> object:
    """Return the event loop that runs in this thread, or None."""
    asyncio = sys.modules.get("asyncio")  # if nobody imported it, or another thread is about to, no loop is running
    running = getattr(asyncio, "_get_running_loop", None)
    return None if running is None else running()


def running_task() -> Any:
    """Return the task that runs in this thread, or None."""
    return None if running_loop() is None else sys.modules["asyncio"].current_task()
