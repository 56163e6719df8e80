"""Both drivers under one name, and a queue of one's own that writes down how it is used."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import go_state as gs


@dataclass(frozen=True)
class Drivers:
    """The modes under one driver."""

    name: str
    run: Callable[..., Any]
    batch: Callable[..., Any]
    aggregate: Callable[..., Any]


def _blocking(mode: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: asyncio.run(mode(*args, **kwargs))


THREAD = Drivers("thread", gs.run, gs.batch, gs.aggregate)
LOOP = Drivers("loop", _blocking(gs.run_async), _blocking(gs.batch_async), _blocking(gs.aggregate_async))


@pytest.fixture(params=[THREAD, LOOP], ids=lambda each: each.name)
def drivers(request: pytest.FixtureRequest) -> Drivers:
    """Give the modes in a thread, then on an event loop; a test module makes it its own by `drivers = <module>.drivers`."""
    found: Drivers = request.param
    return found


class Queue:
    """A producer and consumer that notes every call, and fails where it is told to."""

    def __init__(self, *messages: Any, log: list[Any] | None = None, **fails: Exception) -> None:
        self.messages = list(messages)
        self.log = [] if log is None else log
        self.fails = fails
        self.read = 0

    def _note(self, call: str, *what: Any) -> None:
        self.log.append((call, *what) if what else call)
        if call in self.fails:
            raise self.fails[call]

    def put(self, *messages: Any) -> None:
        self._note("put", *messages)
        self.messages.extend(messages)

    def get(self) -> Any:
        self._note("get")
        if self.read == len(self.messages):
            raise gs.Closed("no more")
        self.read += 1
        return self.messages[self.read - 1]

    def commit(self) -> None:
        self._note("commit")
        del self.messages[: self.read]
        self.read = 0

    def rollback(self) -> None:
        self._note("rollback")
        self.read = 0

    def empty(self) -> bool:
        return self.read == len(self.messages)


class AsyncQueue:
    """The same with coroutine functions."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue

    async def put(self, *messages: Any) -> None:
        await asyncio.sleep(0)
        self.queue.put(*messages)

    async def get(self) -> Any:
        await asyncio.sleep(0)
        return self.queue.get()

    async def commit(self) -> None:
        await asyncio.sleep(0)
        self.queue.commit()

    async def rollback(self) -> None:
        await asyncio.sleep(0)
        self.queue.rollback()

    async def empty(self) -> bool:
        await asyncio.sleep(0)
        return self.queue.empty()
