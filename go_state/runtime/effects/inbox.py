"""Waiting for commands under way, where there is nothing else to wait for."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from go_state.runtime.effects.manager import EffectManager


class Landing:
    """Wait until there is news, or something is due."""

    def __init__(self, manager: EffectManager, seconds: float | None) -> None:
        self._manager = manager
        self._seconds = seconds

    def _seconds_left(self) -> float | None:
        left = self._manager.left(lambda: True)
        return min((each for each in (left, self._seconds) if each is not None), default=None)

    def in_thread(self) -> None:
        woken = threading.Event()
        self._manager.ring = woken.set
        try:
            if not self._manager.has_arrivals:
                woken.wait(self._seconds_left())
        finally:
            self._manager.ring, self._manager.waiting = None, False

    async def on_loop(self) -> None:
        import asyncio

        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def ring() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(woken.set)

        self._manager.ring = ring
        try:
            if not self._manager.has_arrivals:
                async with asyncio.timeout(self._seconds_left()):
                    await woken.wait()
        except TimeoutError:
            pass
        finally:
            self._manager.ring, self._manager.waiting = None, False
