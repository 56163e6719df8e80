"""The car: polled, driven and logged by a simulated clock, and stopped at any moment."""

from __future__ import annotations

import asyncio
import datetime
import heapq
import itertools
from pathlib import Path

import pytest

from examples.car.car import drive


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.time = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime.datetime:
        return datetime.datetime(2026, 1, 1) + datetime.timedelta(seconds=self.time)

    async def sleep(self, seconds: float) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.time + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let so much time pass, and everything happen that happens meanwhile."""
        end = self.time + seconds
        while True:
            for _ in range(50):
                await asyncio.sleep(0)  # whoever can do something now does it
            if not self._sleepers or self._sleepers[0][0] > end:
                break
            self.time, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
        self.time = end


class Library:
    def __init__(self) -> None:
        self.speed = 0.0
        self.answers = True

    def read(self) -> tuple[float, float]:
        if not self.answers:
            raise ConnectionError("no answer")
        return self.speed, 2 * self.speed

    def set_speed(self, speed: float) -> None:
        self.speed = speed


async def test_a_drive_of_a_minute(tmp_path: Path) -> None:
    """A minute of driving, in milliseconds: the speed grows every five seconds, each change is shown and logged with its time."""
    clock, library, shown = Clock(), Library(), []
    driving = asyncio.create_task(drive(library, clock, tmp_path / "car.log", shown.append))
    await clock.advance(21)
    assert library.speed == 4.0
    assert shown[-1] == "4.0 at 8.0"
    assert (tmp_path / "car.log").read_text().splitlines() == [
        "2026-01-01 00:00:06: 1.000000, 2.000000",
        "2026-01-01 00:00:10: 2.000000, 4.000000",
        "2026-01-01 00:00:16: 3.000000, 6.000000",
        "2026-01-01 00:00:20: 4.000000, 8.000000",
    ]
    library.answers = False
    await clock.advance(3)
    assert shown[-1] == "the car does not answer"
    library.answers = True
    await clock.advance(36)
    assert library.speed == 12.0
    driving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await driving


@pytest.mark.parametrize("after", range(0, 60, 7))
async def test_stopped_at_any_moment(after: int, tmp_path: Path) -> None:
    """Whenever the drive is cancelled, nothing of it is left running."""
    clock = Clock()
    driving = asyncio.create_task(drive(Library(), clock, tmp_path / "car.log", lambda _line: None))
    await clock.advance(after)
    driving.cancel()
    await asyncio.wait({driving}, timeout=10)
    assert driving.done()
    assert asyncio.all_tasks() == {asyncio.current_task()}
