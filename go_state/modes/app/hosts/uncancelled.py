"""A future whose waiting task goes on waiting when it is cancelled. This module is imported when a task first leaves a block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Uncancelled(asyncio.Future[None]):
    """A future that takes note of a cancellation and calls `hasten`, once, but is done only when it is finished.

    To catch `CancelledError` and to await again would do as well if a task were cancelled only once. anyio cancels a task of a cancelled
    scope in every round of the event loop, for as long as it waits: each round would be one of ours, too.
    """

    def __init__(self, hasten: Callable[[], object]) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._hasten = hasten
        self.asked: tuple[object, ...] | None = None  # what the waiting task was cancelled with

    def cancel(self, msg: object | None = None) -> bool:
        """Note the cancellation; return True, which tells the task that it need not be woken."""
        if self.done():
            return False
        if self.asked is None:
            self.asked = () if msg is None else (msg,)
            self._hasten()
        return True

    def finish(self, ended: asyncio.Future[object]) -> None:
        """Wake the waiting task, whatever the outcome of what it waited for."""
        if not ended.cancelled():
            ended.exception()  # looked at, so that asyncio does not report it
        if not self.done():
            self.set_result(None)
