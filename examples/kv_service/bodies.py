"""Bodies of requests: small ones are read at once, large ones take a place, which one that comes slowly loses to one that waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

SMALL = 1 << 16  # bytes of a body that needs no place
PAUSE_SECONDS = 2.0  # for which a body that has come in time so far is not yet slow


class TooLarge(Exception):
    """The body has more bytes than it may have."""


@dataclass(eq=False, slots=True)
class _Body:
    ends: asyncio.Timeout
    due: float  # when it is slow, unless more of it comes before
    has_place: bool = False
    given_up: bool = False


class Bodies:
    """Reads bodies of up to `most` bytes in up to `seconds` each, with no more than `places` large ones at once."""

    def __init__(self, most: int, seconds: float, places: int) -> None:
        self._most = most
        self._seconds = seconds
        self._places = asyncio.Semaphore(places)
        self._large: set[_Body] = set()  # those that have a place and were not given up
        self._waiting = 0
        self._given_up = 0  # that have not left their places yet

    async def read(self, chunks: AsyncIterator[bytes]) -> bytes:
        """Return all of a body. `TooLarge`; `TimeoutError` when it does not come in time, or too slowly while others wait."""
        found, size, loop = [], 0, asyncio.get_running_loop()
        async with asyncio.timeout(self._seconds) as ends:
            body = _Body(ends, loop.time() + PAUSE_SECONDS)
            try:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self._most:
                        raise TooLarge
                    found.append(chunk)
                    body.due = self._due(body, len(chunk))
                    if size > SMALL and not body.has_place:
                        await self._take_place(body)
            finally:
                self._leave(body)
        return b"".join(found)

    def _due(self, body: _Body, came: int) -> float:
        """Return when a body is slow of which so many bytes have come now: it may take as long as the largest for each of them."""
        now = asyncio.get_running_loop().time()
        return min(max(body.due, now) + self._seconds * came / self._most, now + PAUSE_SECONDS)

    async def _take_place(self, body: _Body) -> None:
        if body.ends.expired():  # at this very moment: what has expired cannot be put off
            raise TimeoutError
        loop = asyncio.get_running_loop()
        left = (body.ends.when() or loop.time()) - loop.time()
        body.ends.reschedule(None)  # who has to wait for others loses no time of its own
        self._waiting += 1
        try:
            while not await self._found_place():
                self._give_up_slowest()
        finally:
            self._waiting -= 1
        body.has_place = True
        self._large.add(body)
        body.due = loop.time() + PAUSE_SECONDS
        body.ends.reschedule(loop.time() + left)

    async def _found_place(self) -> bool:
        """Wait for a place, at most until one of those who have one is slow."""
        when = None if self._given_up >= self._waiting else min((body.due for body in self._large), default=None)
        try:
            async with asyncio.timeout_at(when):
                await self._places.acquire()
        except TimeoutError:
            return False
        return True

    def _give_up_slowest(self) -> None:
        now = asyncio.get_running_loop().time()
        slowest = min(self._large, key=lambda body: body.due, default=None)
        if slowest is not None and slowest.due <= now and self._given_up < self._waiting:
            self._large.discard(slowest)
            self._given_up += 1
            slowest.given_up = True
            if not slowest.ends.expired():
                slowest.ends.reschedule(now)

    def _leave(self, body: _Body) -> None:
        self._large.discard(body)
        if body.given_up:
            self._given_up -= 1
        if body.has_place:
            self._places.release()
