"""`AsyncPartitionContract`: what a partitioned source on an event loop keeps; the tests are those of `PartitionContract`.

class TestMine(AsyncPartitionContract):
    async def begin(self):
        self.client = await connect(...)      # on the event loop that the source is read on
    async def end(self):
        await self.client.close()
    def partitions(self):
        return ["0", "1"]
    async def put_async(self, partition, count):
        ...
    def source_async(self):
        return MySource(self.client, ...)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from go_state.core.ports.partitions import AsyncPartitionedReading, AsyncPartitionedSource, Holder
from go_state.testing.streams.partition_contract import PartitionContract

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]


class AsyncPartitionContract(PartitionContract):
    """What every `AsyncPartitionedSource` keeps; each test has an event loop of its own."""

    _runner: asyncio.Runner | None = None

    async def begin(self) -> None:
        """Open what the source needs; called before anything else."""

    async def end(self) -> None:
        """Close it."""

    async def put_async(self, partition: str, count: int) -> None:
        """Append `count` records to the partition."""
        raise NotImplementedError("an AsyncPartitionContract says in put_async() how records come into a partition")

    def source_async(self) -> AsyncPartitionedSource[Any]:
        """Return a source that reads them."""
        raise NotImplementedError("an AsyncPartitionContract says in source_async() how to read the partitions")

    # ------------------------------------------------------------------ as the tests call them

    def put(self, partition: str, count: int) -> None:
        """Append `count` records to the partition, on the loop."""
        self._run(self.put_async(partition, count))

    def source(self) -> _InLoop:
        """Return the source as one for a thread, in which the loop is run."""
        self._run(_nothing())
        return _InLoop(self.source_async(), self._run)

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._runner is None:
            self._runner = asyncio.Runner()
            self._runner.run(self.begin())
        return self._runner.run(coroutine)

    def teardown_method(self) -> None:
        """Close everything, and the loop."""
        runner, self._runner = self._runner, None
        if runner is not None:
            with runner:
                runner.run(self.end())


async def _nothing() -> None:
    """Return at once: running it begins the loop."""


class _InLoop:
    """A source on a loop as one that is read in the thread that runs the loop."""

    def __init__(self, source: AsyncPartitionedSource[Any], run: Run[Any]) -> None:
        self._source = source
        self._run = run
        self.name = source.name
        self.fingerprint, self.recognise = source.fingerprint, source.recognise

    def open_partitions(self) -> _ReadInLoop:
        """Begin to read."""
        return _ReadInLoop(self._run(self._source.open_partitions_async()), self._run)


class _ReadInLoop:
    """A reading on a loop, of which each call runs the loop until it is answered."""

    def __init__(self, reading: AsyncPartitionedReading[Any, Any], run: Run[Any]) -> None:
        self._reading = reading
        self._run = run
        self.wake, self.message, self.raw, self.position = reading.wake, reading.message, reading.raw, reading.position
        self.time, self.lag, self.pause, self.resume = reading.time, reading.lag, reading.pause, reading.resume

    def poll(self, seconds: float, holder: Holder[Any]) -> bool | None:
        more: bool | None = self._run(self._reading.poll(seconds, _Awaited(holder)))
        return more

    def holds(self, partition: str) -> bool:
        holds: bool = self._run(self._reading.holds(partition))
        return holds

    def seek(self, partition: str, after: Any) -> None:
        self._run(self._reading.seek(partition, after))

    def saved(self, positions: Mapping[str, Any]) -> None:
        self._run(self._reading.saved(positions))

    def close(self, holder: Holder[Any]) -> None:
        self._run(self._reading.close(_Awaited(holder)))


class _Awaited:
    """A holder for a thread as one whose answers are awaited; it never waits."""

    def __init__(self, holder: Holder[Any]) -> None:
        self._holder = holder
        self.store, self.program, self.give = holder.store, holder.program, holder.give

    async def assigned(self, partitions: Sequence[str]) -> Mapping[str, Any]:
        return self._holder.assigned(partitions)

    async def revoked(self, partitions: Sequence[str]) -> Mapping[str, Any]:
        return self._holder.revoked(partitions)

    async def lost(self, partitions: Sequence[str]) -> None:
        self._holder.lost(partitions)

    async def ended(self, partition: str) -> None:
        self._holder.ended(partition)

    async def ends(self, partitions: Collection[str]) -> Collection[str]:
        return self._holder.ends(partitions)
