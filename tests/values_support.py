"""Servers that hold values, for the tests of what is the same on all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

from etcd_server import EtcdServer
from nats_server import NatsServer

import go_state as gs
from go_state.values.home import OwnHome


@dataclass(frozen=True)
class Limits:
    most: int = 0
    by: str = ""


class EtcdPlace:
    """Values in an etcd of the test's own."""

    def __init__(self) -> None:
        self.server = EtcdServer()
        self.server.start()

    @contextmanager
    def open(self) -> Iterator[gs.values.Etcd]:
        with gs.values.Etcd(self.server.url, look=0.3, timeout=2) as etcd:
            yield etcd


class NatsPlace:
    """Values in a NATS bucket; its client lives in an event loop of another thread."""

    def __init__(self) -> None:
        self.server = NatsServer()
        self.server.start()

    @contextmanager
    def open(self) -> Iterator[gs.values.NatsKV]:
        home, stack = OwnHome("the client's loop"), AsyncExitStack()

        async def begin() -> gs.values.NatsKV:
            import nats

            client = await nats.connect(self.server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, error_cb=_ignore)
            stack.push_async_callback(client.close)
            return await stack.enter_async_context(gs.values.NatsKV(client, "config", look=0.3))

        try:
            yield home.run(begin, "begin")
        finally:
            home.end(stack.aclose)


async def _ignore(error: Exception) -> None:
    """A lost connection is what these tests are about."""


@asynccontextmanager
async def opened(place: Any) -> AsyncIterator[Any]:
    """Open values from an event loop that is not their client's."""
    with ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, place.open())
        await asyncio.to_thread(stack.close)
