"""The two faces of a holder: what a reading calls in its thread, and what one on an event loop awaits.

A reading for threads can be read on an event loop as well: it has a thread of its own there, in which all of its calls are made, and
its holder's flows are run on the loop, one call at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from go_state.core.errors import Conflict
from go_state.core.ports import Position, Store
from go_state.core.ports.partitions import AsyncHolder, Partitioned, SomeReading
from go_state.modes.aggregate.partitions.claims import TRIES
from go_state.modes.aggregate.partitions.holder import StreamHolder
from go_state.runtime.flow.driver import drive, drive_async
from go_state.runtime.flow.waits import Flow
from go_state.storage.snapshots.snapshot import Mark
from go_state.system.own_thread import OwnThread

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")
Model = TypeVar("Model")
Msg = TypeVar("Msg")


class RunsFlows(Protocol):
    """Runs the flow that a function begins to its end, and returns its result; the thread that calls waits for that."""

    def __call__(self, flow: Callable[[], Flow[T]], /) -> T: ...


def describe(source: Partitioned[object], marks: Mapping[str, Mark | None]) -> dict[str, str]:
    """Recognise the partitions by what is stored of them, and return their fingerprints; `SourceChanged` if one is another."""
    fingerprints = {}
    for partition, mark in marks.items():
        if mark is not None and mark.fingerprint:
            source.recognise(partition, mark.fingerprint)
        fingerprints[partition] = source.fingerprint(partition)
    return fingerprints


class _Face(Generic[Model, Msg]):
    """What both faces are made of."""

    def __init__(self, source: Partitioned[Msg]) -> None:
        self._source = source
        self.holder: StreamHolder[Model, Msg]  # set before anything is polled: it needs the face, and the reading

    @property
    def store(self) -> Store:
        """Where positions and models are."""
        return self.holder.store

    @property
    def program(self) -> str:
        """What the program is called in the store."""
        return self.holder.program

    def give(self, partition: str, records: Sequence[object]) -> None:
        """Take records."""
        self.holder.give(partition, records)


class ThreadFace(_Face[Model, Msg]):
    """The holder for a reading in a thread; `run` runs a flow of the holder's to its end."""

    def __init__(self, source: Partitioned[Msg], run: RunsFlows) -> None:
        super().__init__(source)
        self._run = run

    def assigned(self, partitions: Sequence[str]) -> Mapping[str, Position | None]:
        """Claim the partitions, and return where to begin."""
        for _ in range(TRIES):
            marks = self._run(lambda: self.holder.look(partitions))
            claim = partial(self.holder.claim, describe(self._source, marks))
            claimed = self._run(claim)
            if claimed is not None:
                return claimed
        raise _never_claimed(partitions)

    def revoked(self, partitions: Sequence[str]) -> Mapping[str, Position | None]:
        """Save, and let go."""
        if not partitions:
            return {}
        stored: Mapping[str, Position | None] = self._run(lambda: self.holder.revoked(partitions))
        return stored

    def lost(self, partitions: Sequence[str]) -> None:
        """Release them, and save nothing."""
        self._run(lambda: self.holder.lost(partitions))

    def ended(self, partition: str) -> None:
        """Note that nothing follows what was given of the partition."""
        self.holder.ended(partition)

    def ends(self, partitions: Collection[str]) -> Collection[str]:
        """Return those whose end is stored."""
        ends: Collection[str] = self._run(lambda: self.holder.ends(partitions))
        return ends


class LoopFace(_Face[Model, Msg]):
    """The holder for a reading on an event loop."""

    async def assigned(self, partitions: Sequence[str]) -> Mapping[str, Position | None]:
        """Claim the partitions, and return where to begin."""
        for _ in range(TRIES):
            marks = await drive_async(self.holder.look(partitions))
            claimed = await drive_async(self.holder.claim(describe(self._source, marks)))
            if claimed is not None:
                return claimed
        raise _never_claimed(partitions)

    async def revoked(self, partitions: Sequence[str]) -> Mapping[str, Position | None]:
        """Save, and let go."""
        return await drive_async(self.holder.revoked(partitions))

    async def lost(self, partitions: Sequence[str]) -> None:
        """Release them, and save nothing."""
        await drive_async(self.holder.lost(partitions))

    async def ended(self, partition: str) -> None:
        """Note that nothing follows what was given of the partition."""
        self.holder.ended(partition)

    async def ends(self, partitions: Collection[str]) -> Collection[str]:
        """Return those whose end is stored."""
        return await drive_async(self.holder.ends(partitions))


def in_this_thread(flow: Callable[[], Flow[T]]) -> T:
    """Run a flow in the thread that calls."""
    return drive(flow())


def on_loop_of(loop: asyncio.AbstractEventLoop) -> RunsFlows:
    """Return what runs flows on the loop, for a thread that waits for them."""
    import asyncio

    def run(flow: Callable[[], Flow[T]]) -> T:
        return asyncio.run_coroutine_threadsafe(drive_async(flow()), loop).result()

    return run


class ReadInThread(Generic[Model, Msg]):
    """A reading for threads as one for an event loop: all its calls are made in one thread of its own."""

    def __init__(self, reading: SomeReading[Msg], thread: OwnThread, face: ThreadFace[Model, Msg]) -> None:
        self._reading = reading
        self._thread = thread
        self._face = face
        self._first: list[Callable[[], object]] = []  # what is to be called before the next poll
        self.wake = reading.wake
        self.message, self.raw, self.position, self.time = reading.message, reading.raw, reading.position, reading.time
        self.lag = reading.lag

    async def poll(self, seconds: float, holder: AsyncHolder[object]) -> bool | None:
        """Poll in the thread; the holder is called on the loop, while the thread waits for it."""
        return await self._thread.finish(lambda: self._poll(seconds), self._reading.wake)

    def _poll(self, seconds: float) -> bool | None:
        first, self._first = self._first, []
        for call in first:
            call()
        return self._reading.poll(seconds, self._face)

    async def holds(self, partition: str) -> bool:
        """Ask the engine, in the thread."""
        return await self._thread.finish(lambda: self._reading.holds(partition))

    async def seek(self, partition: str, after: Position | None) -> None:
        """Give the partition again."""
        await self._thread.finish(lambda: self._reading.seek(partition, after))

    def pause(self, partition: str) -> None:
        """Give nothing of it from the next poll on."""
        self._first.append(lambda: self._reading.pause(partition))

    def resume(self, partition: str) -> None:
        """Give it again from the next poll on."""
        self._first.append(lambda: self._reading.resume(partition))

    async def saved(self, positions: Mapping[str, Position]) -> None:
        """Acknowledge, in the thread."""
        await self._thread.finish(lambda: self._reading.saved(positions))

    async def close(self, holder: AsyncHolder[object]) -> None:
        """Close it, in the thread."""
        await self._thread.finish(lambda: self._reading.close(self._face))


def _never_claimed(partitions: Sequence[str]) -> Conflict:
    return Conflict(", ".join(partitions), 0, 0)
