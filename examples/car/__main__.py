"""Drive a car that is not there, in real time: `python -m examples.car`. Ctrl-C stops it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from pathlib import Path

from .car import drive


class SimulatedCar:
    """A car whose location is twice its speed, as in the original."""

    speed = 0.0

    def read(self) -> tuple[float, float]:
        return self.speed, 2 * self.speed

    def set_speed(self, speed: float) -> None:
        self.speed = speed


class RealClock:
    """The time that it is."""

    def now(self) -> datetime.datetime:
        return datetime.datetime.now()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(drive(SimulatedCar(), RealClock(), Path("car.log"), print))
