"""One process's pass through a JetStream stream: it takes subjects as the leases say, and gives what their followers have fetched.

poll ──▶ leases: take, give, lost ──▶ a follower for each subject ──▶ fetched ──▶ give
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from go_state.core.ports import Position
from go_state.core.ports.partitions import AsyncHolder
from go_state.sources.jetstream.client import Calls, Message, Stream
from go_state.sources.jetstream.follower import Follower
from go_state.sources.streams.leases import Leases, Sharing
from go_state.sources.streams.records import Decoder
from go_state.system.own_thread import OwnThread

Msg = TypeVar("Msg")


class JetStreamReading(Generic[Msg]):
    """An `AsyncPartitionedReading`, of one event loop."""

    def __init__(
        self,
        name: str,
        calls: Calls,
        stream: Stream,
        subjects: Sequence[str],
        leases: Leases,
        start: int | None,
        decoder: Decoder[Msg],
    ) -> None:
        self._name, self._calls, self._stream, self._subjects = name, calls, stream, subjects
        self._leases, self._decoder = leases, decoder
        self._start = start  # after which message to begin what was never read; None: with the oldest
        self._sharing: Sharing | None = None  # once the store is known
        self._thread = OwnThread("go_state leases")  # in which the store is asked
        self._followers: dict[str, Follower] = {}
        self._closing: list[asyncio.Task[None]] = []  # the ends of those that were let go of
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    # ------------------------------------------------------------------ the poll

    async def poll(self, seconds: float, holder: AsyncHolder[Message]) -> None:
        """Do a round of the leases if one is due, and give what was fetched within the time."""
        sharing = await self._agree(holder)
        if sharing.is_due:
            await self._round(sharing, holder)
        await self._wait(min(seconds, sharing.wait))
        for follower in list(self._followers.values()):
            follower.check()
            if not follower.is_paused and follower.fetched:
                holder.give(follower.subject, follower.take())

    async def _wait(self, seconds: float) -> None:
        if seconds > 0 and not self._changed.is_set():
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
            except TimeoutError:
                return
        self._changed.clear()

    def wake(self) -> None:
        """End the `poll` that is running, or else the next one, soon; from any thread."""
        with suppress(RuntimeError):  # the loop is closed, and no poll will ever wait again
            self._loop.call_soon_threadsafe(self._changed.set)

    async def _agree(self, holder: AsyncHolder[Message]) -> Sharing:
        if self._sharing is None:
            sharing = Sharing(holder.store, holder.program, self._name, self._leases.seconds)
            if (start := self._start) is not None:
                self._start = await self._thread.call(lambda: sharing.agree_on_start(start))
            self._sharing = sharing
        return self._sharing

    async def _round(self, sharing: Sharing, holder: AsyncHolder[Message]) -> None:
        for follower in self._followers.values():
            if (idle_at := follower.idle_at) is not None:
                sharing.note(follower.subject, idle_at)
        moves = await self._thread.call(lambda: sharing.step(self._subjects))
        if moves.lost:
            await self._drop(moves.lost)
            await holder.lost(moves.lost)
        if moves.give:
            await self._give_back(moves.give, sharing, holder)
            await self._thread.call(lambda: sharing.let_go(moves.give))
        if moves.take:
            for subject, after in (await holder.assigned(moves.take)).items():
                self._follow(subject, after, sharing)

    def _follow(self, subject: str, after: Position | None, sharing: Sharing) -> None:
        known = sharing.known.get(subject)
        looked_at = known if after is None else max(known or 0, after)
        begin = self._start or 0 if after is None else after
        self._followers[subject] = Follower(
            self._calls, self._name, self._stream.created, subject, begin, looked_at, self._changed.set
        )

    async def _give_back(self, subjects: Sequence[str], sharing: Sharing, holder: AsyncHolder[Message]) -> None:
        """Give the subjects back to be saved, and note up to where they were read."""
        followers = [self._followers[subject] for subject in subjects if subject in self._followers]
        await asyncio.gather(*(follower.look() for follower in followers))
        await self._drop(subjects)
        stored = await holder.revoked(subjects) if subjects else {}
        for follower in followers:
            if (position := stored.get(follower.subject)) is not None:
                follower.saved = position
            if (idle_at := follower.idle_at) is not None:
                sharing.note(follower.subject, idle_at)

    async def _drop(self, subjects: Sequence[str]) -> None:
        dropped = [self._followers.pop(subject) for subject in subjects if subject in self._followers]
        self._closing += [asyncio.create_task(follower.close()) for follower in dropped]
        if self._closing:
            await asyncio.wait(self._closing)  # which goes on with them if it is cancelled
            self._closing.clear()

    # ------------------------------------------------------------------ what the holder asks

    def message(self, record: Message) -> Msg:
        """Return the message of a record; `BadRecord` if it is not one."""
        return self._decoder.message(record.data, record.number)

    def raw(self, record: Message) -> bytes:
        """Return the bytes of a record."""
        return record.data

    def position(self, record: Message) -> int:
        """Return the number of a record in its stream."""
        return record.number

    def time(self, record: Message) -> float:
        """Return when the record was stored by the server."""
        return record.time

    def lag(self, partition: str) -> int | None:
        """Return how many messages of the subject were not fetched, as the server said with the last one."""
        follower = self._followers.get(partition)
        return None if follower is None or follower.lag is None else follower.lag + len(follower.fetched)

    async def holds(self, partition: str) -> bool:
        """Ask the leases whether the subject is still this process's."""
        sharing = self._sharing
        if sharing is not None and partition in self._followers and await self._thread.call(lambda: sharing.holds(partition)):
            return True
        await self._drop((partition,))
        return False

    async def seek(self, partition: str, after: Position | None) -> None:
        """Give the subject again from the message that follows the position."""
        if partition in self._followers and self._sharing is not None:
            await self._drop((partition,))
            self._follow(partition, after, self._sharing)

    def pause(self, partition: str) -> None:
        """Give nothing of the subject until `resume`."""
        if (follower := self._followers.get(partition)) is not None:
            follower.pause(True)

    def resume(self, partition: str) -> None:
        """Give the subject again."""
        if (follower := self._followers.get(partition)) is not None:
            follower.pause(False)
            self._changed.set()

    async def saved(self, positions: Mapping[str, Position]) -> None:
        """Note what is in the store."""
        for subject, position in positions.items():
            if (follower := self._followers.get(subject)) is not None and position is not None:
                follower.saved = position

    async def close(self, holder: AsyncHolder[Message]) -> None:
        """Save, and give the subjects to the others."""
        sharing, self._sharing = self._sharing, None
        await self._drop(())
        if sharing is not None:
            await self._give_back(list(self._followers), sharing, holder)
            await self._thread.call(sharing.close)
        await self._thread.aclose()
