"""A log with partitions in memory, and a source that reads it, for tests of programs and of all that may happen to a reader.

>>> log = PartitionedLog(2)
>>> log.put("0", "a message")
>>> log.put("1", "another", "and one more")

A source of `log.source()` is given to `gs.aggregate` as a Kafka topic is. Its first reader has all partitions, unless the test says
who has what: `source.tell(reader, "revoked", "0")` reaches the reader at its next poll, and until then it goes on as if it knew
nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from go_state.core.errors import SourceChanged, UsageError
from go_state.core.ports.partitions import AsyncHolder, Holder

Msg = TypeVar("Msg")

News: TypeAlias = Literal["assigned", "revoked", "lost", "ended"]
"""What an engine may tell a reader of a partition."""


class LogRecord(NamedTuple, Generic[Msg]):
    """A message in a partition, and how many came before it there."""

    offset: int
    message: Msg
    at: float


class PartitionedLog(Generic[Msg]):
    """Partitions, each a list of messages, by their names or their number in `partitions`; an exception in a message's place is
    a record that cannot be decoded.
    """

    def __init__(self, partitions: int | Collection[str]) -> None:
        names = map(str, range(partitions)) if isinstance(partitions, int) else partitions
        self.records: dict[str, list[LogRecord[Msg]]] = {name: [] for name in names}
        self.first: dict[str, int] = {}  #: the offset of the oldest record that retention has left, if some are gone
        self.made: dict[str, int] = {}  #: how often a partition was made anew

    def put(self, partition: str, *messages: Msg) -> None:
        """Append messages to the partition."""
        records = self.records[partition]
        for message in messages:
            records.append(LogRecord(len(records), message, time.time()))

    def source(self, name: str = "log", *, at_once: int = 500, ends: bool = False, alone: bool = True) -> LogSource[Msg]:
        """Return a source that reads the log, giving up to `at_once` records of a partition at a poll.

        One that `ends` says so when everything was given; otherwise it goes on for ever. If it is not `alone`, nobody has a partition
        until the test tells.
        """
        return LogSource(self, name, at_once=at_once, ends=ends, alone=alone)


class LogSource(Generic[Msg]):
    """The log as a source of an aggregate, in a thread or on an event loop."""

    def __init__(self, log: PartitionedLog[Msg], name: str, *, at_once: int, ends: bool, alone: bool) -> None:
        self.log = log
        self.name = name
        self.at_once = at_once
        self.ends = ends
        self.alone = alone
        self.readings: list[LogReading[Msg]] = []  #: those that were opened, in order

    def fingerprint(self, partition: str) -> str:
        """Return how often the partition was made."""
        return f"made {self.log.made.get(partition, 0)}"

    def recognise(self, partition: str, fingerprint: str) -> None:
        """Raise `SourceChanged` if it was made anew."""
        if fingerprint != self.fingerprint(partition):
            raise SourceChanged(f"{self.name}/{partition}", "it was made anew")

    def open_partitions(self) -> LogReading[Msg]:
        """Begin to read."""
        reading = LogReading(self)
        self.readings.append(reading)
        if self.alone:
            reading.tell("assigned", *self.log.records)
        return reading


class AsyncLogSource(Generic[Msg]):
    """The same for an event loop alone."""

    def __init__(self, source: LogSource[Msg]) -> None:
        self.inner = source
        self.name = source.name
        self.fingerprint, self.recognise = source.fingerprint, source.recognise

    async def open_partitions_async(self) -> AsyncLogReading[Msg]:
        """Begin to read."""
        return AsyncLogReading(self.inner.open_partitions())


class LogReading(Generic[Msg]):
    """One reader of the log; what it was told waits for its next poll."""

    def __init__(self, source: LogSource[Msg]) -> None:
        self.source = source
        self.acknowledged: dict[str, int] = {}  #: the positions that were saved, by partition
        self.paused: set[str] = set()  #: the partitions of which nothing is wanted
        self.polls = 0  #: how often it was polled
        self.asked: list[str] = []  #: the partitions for which the engine was asked, in order
        self.owned: set[str] = set()  #: what the engine says that it has
        self.at: dict[str, int] = {}  #: the offset to give next, by partition
        self.news: deque[tuple[News, tuple[str, ...]]] = deque()
        self._woken = threading.Event()
        self.is_closed = False

    def tell(self, news: News, *partitions: str) -> None:
        """Queue what the engine says: it arrives at the next poll, but the engine knows it at once."""
        if news in ("revoked", "lost"):
            self.owned.difference_update(partitions)
        elif news == "assigned":
            self.owned.update(partitions)
        self.news.append((news, partitions))
        self.wake()

    # ------------------------------------------------------------------ the port

    def poll(self, seconds: float, holder: Holder[LogRecord[Msg]]) -> bool:
        """Tell the holder what there is."""
        self._check_open()
        self.polls += 1
        while self.news:
            news, partitions = self.news.popleft()
            if news == "assigned":
                self.begin(holder.assigned(partitions))
            elif news == "ended":
                for partition in partitions:
                    holder.ended(partition)
            else:
                self.leave(partitions)
                (holder.revoked if news == "revoked" else holder.lost)(partitions)
        if not (given := self.give_to(holder)) and seconds > 0 and not self.is_over():
            self._woken.wait(min(seconds, 0.05))  # a test puts messages without a word
            self._woken.clear()
            given = self.give_to(holder)
        return given or not self.is_over()

    def _check_open(self) -> None:
        if self.is_closed:
            raise UsageError("the reading was closed")

    def begin(self, after: Mapping[str, Any]) -> None:
        """Give these partitions, each after its position."""
        for partition, position in after.items():
            self.paused.discard(partition)
            self.seek(partition, position)

    def leave(self, partitions: Collection[str]) -> None:
        """Give nothing of the partitions any more."""
        for partition in partitions:
            self.at.pop(partition, None)
            self.paused.discard(partition)

    def give_to(self, holder: Any) -> bool:  # Any: a holder for threads or for an event loop
        """Give the holder what there is; return whether there was something."""
        found = False
        for partition in list(self.at):
            if partition in self.paused:
                continue
            at = self.at[partition]
            if records := self.source.log.records[partition][at : at + self.source.at_once]:
                self.at[partition] = at + len(records)
                holder.give(partition, records)
                found = True
        return found

    def is_over(self) -> bool:
        """Return whether nothing more will come."""
        return self.source.ends and not self.news and all(at >= len(self.source.log.records[p]) for p, at in self.at.items())

    def wake(self) -> None:
        """End the wait of a poll."""
        self._woken.set()

    def message(self, record: LogRecord[Msg]) -> Msg:
        """Return the message, or raise the exception that is in its place."""
        if isinstance(record.message, Exception):
            raise record.message
        return record.message

    def raw(self, record: LogRecord[Msg]) -> bytes:
        """Return the text of the message."""
        return str(record.message).encode()

    def position(self, record: LogRecord[Msg]) -> int:
        """Return the offset."""
        return record.offset

    def time(self, record: LogRecord[Msg]) -> float:
        """Return when it was put."""
        return record.at

    def lag(self, partition: str) -> int | None:
        """Return how many records were not given yet."""
        at = self.at.get(partition)
        return None if at is None else len(self.source.log.records[partition]) - at

    def holds(self, partition: str) -> bool:
        """Return whether the engine says that the partition is this reader's."""
        self.asked.append(partition)
        return partition in self.owned

    def seek(self, partition: str, after: int | None) -> None:
        """Give the partition on from there; `SourceChanged` if records are missing in between."""
        at = 0 if after is None else after + 1
        first, end = self.source.log.first.get(partition, 0), len(self.source.log.records[partition])
        if not first <= at <= end:
            raise SourceChanged(f"{self.source.name}/{partition}", f"it holds {first} to {end - 1}, and {at} is to come next")
        self.at[partition] = at

    def pause(self, partition: str) -> None:
        """Give nothing of it for now."""
        self.paused.add(partition)

    def resume(self, partition: str) -> None:
        """Give it again."""
        self.paused.discard(partition)

    def saved(self, positions: Mapping[str, int]) -> None:
        """Note what is saved."""
        self.acknowledged.update(positions)

    def close(self, holder: Holder[LogRecord[Msg]]) -> None:
        """Give the partitions back."""
        if not self.is_closed:
            left = tuple(self.at)
            self.leave(left)
            holder.revoked(left)
            self.is_closed = True


class AsyncLogReading(Generic[Msg]):
    """A reader of the log on an event loop."""

    def __init__(self, reading: LogReading[Msg]) -> None:
        import asyncio

        self.inner = reading
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self.message, self.raw, self.position, self.time = reading.message, reading.raw, reading.position, reading.time
        self.lag, self.pause, self.resume = reading.lag, reading.pause, reading.resume

    async def poll(self, seconds: float, holder: AsyncHolder[LogRecord[Msg]]) -> bool:
        """Tell the holder what there is."""
        import asyncio

        inner = self.inner
        inner.polls += 1
        while inner.news:
            news, partitions = inner.news.popleft()
            if news == "assigned":
                inner.begin(await holder.assigned(partitions))
            elif news == "ended":
                for partition in partitions:
                    await holder.ended(partition)
            else:
                inner.leave(partitions)
                await (holder.revoked if news == "revoked" else holder.lost)(partitions)
        if not (given := inner.give_to(holder)) and seconds > 0 and not inner.is_over():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), min(seconds, 0.05))  # a test puts messages without a word
            self._woken.clear()
            given = inner.give_to(holder)
        return given or not inner.is_over()

    def wake(self) -> None:
        """End the wait of a poll, from any thread."""
        with suppress(RuntimeError):  # a loop that is closed has nobody to wake
            self._loop.call_soon_threadsafe(self._woken.set)

    async def holds(self, partition: str) -> bool:
        """Return whether the engine says that the partition is this reader's."""
        return self.inner.holds(partition)

    async def seek(self, partition: str, after: int | None) -> None:
        """Give the partition on from there."""
        self.inner.seek(partition, after)

    async def saved(self, positions: Mapping[str, int]) -> None:
        """Note what is saved."""
        self.inner.saved(positions)

    async def close(self, holder: AsyncHolder[LogRecord[Msg]]) -> None:
        """Give the partitions back."""
        if not self.inner.is_closed:
            left = tuple(self.inner.at)
            self.inner.leave(left)
            await holder.revoked(left)
            self.inner.is_closed = True
