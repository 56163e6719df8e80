"""A queue of one's own that writes down how it is used."""

import asyncio
from typing import Any

import go_state as gs


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
