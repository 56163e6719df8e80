"""Waiting for commands under way, where there is nothing else to wait for."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from go_state.runtime.effects.flights import Flights


class Landing:
    """Wait until there is news, or something is due."""

    def __init__(self, flights: Flights, seconds: float | None) -> None:
        self._flights = flights
        self._seconds = seconds

    def _seconds_left(self) -> float | None:
        left = self._flights.left(lambda: True)
        return min((each for each in (left, self._seconds) if each is not None), default=None)

    def in_thread(self) -> None:
        woken = threading.Event()
        self._flights.ring = woken.set
        try:
            if not self._flights.stirred:
                woken.wait(self._seconds_left())
        finally:
            self._flights.ring, self._flights.waiting = None, False

    async def on_loop(self) -> None:
        import asyncio

        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def ring() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(woken.set)

        self._flights.ring = ring
        try:
            if not self._flights.stirred:
                async with asyncio.timeout(self._seconds_left()):
                    await woken.wait()
        except TimeoutError:
            pass
        finally:
            self._flights.ring, self._flights.waiting = None, False
