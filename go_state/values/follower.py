"""Following a key: the newest entry first, and then every change, through restarts and lost connections.

    read the newest ──▶ connected ──▶ changes after its revision ──▶ lost ──▶ not connected ──▶ wait a little ──▶ read the newest

A watch may die in silence: a server that is frozen, a connection that a firewall has dropped, a subscription that a server forgot in its
restart. So beside the watch the key is read once every `look` seconds. A read that fails ends the watch; so does a change that
the watch has not brought by the read after the one that found it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from go_state.values.backend import Backend, Entry, Unreachable
from go_state.values.home import end_task

_FIRST_WAIT, _LONGEST_WAIT = (
    0.05,
    0.5,
)  # seconds between two tries to connect: a server that is back is heard of within a second


class Follower:
    """Keeps a copy of one key up to date: `seen` is called with each entry, in the client's event loop."""

    def __init__(
        self, backend: Backend, seen: Callable[[Entry], object], connected: Callable[[bool], object], look: float
    ) -> None:
        self._backend = backend
        self._seen = seen
        self._connected = connected  # called with whether the copy follows the server
        self._look = look
        self._brought = 0  # the revision up to which the watch has brought the changes

    async def follow(self) -> None:
        """Follow the key until the task is cancelled; raises `MadeAnew`, and whatever `seen` raises."""
        wait = _FIRST_WAIT
        while True:
            try:
                newest = await self._read()
                self._seen(newest)
                self._connected(True)
                wait = _FIRST_WAIT
                await self._watch(newest.revision)
            except Unreachable:
                self._connected(False)
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)

    async def _read(self) -> Entry:
        try:
            async with asyncio.timeout(self._look):
                return await self._backend.read()
        except TimeoutError:
            raise Unreachable(f"no answer within {self._look:g} seconds") from None

    async def _watch(self, after: int) -> None:
        """Bring the changes until the connection is lost, which is raised as `Unreachable`."""
        self._brought = after
        watch = asyncio.create_task(self._bring(after))
        try:
            missed = 0
            while True:
                done, _ = await asyncio.wait((watch,), timeout=self._look)
                if done:
                    watch.result()
                    raise Unreachable("the watch has ended")
                if self._brought < missed:
                    raise Unreachable("the watch is dead: it has not brought a change that was read a while ago")
                newest = await self._read()
                self._seen(newest)
                missed = newest.revision if newest.data is not None else 0  # the watch may count no revision for an absent key
        finally:
            await end_task(watch)

    async def _bring(self, after: int) -> None:
        changes = self._backend.changes(after)
        async with aclosing(changes):
            async for entry in changes:
                self._brought = entry.revision
                self._seen(entry)
