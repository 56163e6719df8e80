"""What an aggregate and a partitioned source ask of each other: a source such as a Kafka topic, of which many processes read a part each.

    engine ──▶ reading ──assigned, revoked, lost, ended, give──▶ holder ──▶ turns ──▶ one transaction: models and position
                  ▲                                                                          │
                  └────────────────────────────── saved ◀───────────────────────────────────┘

The engine decides who reads what: a Kafka group, leases in the store, a service that calls. The store's claim decides what is true: who
has claimed a partition last is the only one who can save what came of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from go_state.core.ports.sources import Position
from go_state.core.ports.stores import Store

Record = TypeVar("Record", contravariant=True)
Read = TypeVar("Read")
Got = TypeVar("Got", covariant=True)


class Holder(Protocol[Record]):
    """What an aggregate is to the reading of a partitioned source: it holds the partitions that this process has.

    A reading calls it from within `poll` and `close` and from nowhere else, in the thread that has called these.
    """

    @property
    def store(self) -> Store:
        """Where the positions are kept, for a reading that keeps something of its own there."""
        ...

    @property
    def program(self) -> str:
        """What the program is called in the store: what a reading keeps there is its own."""
        ...

    def assigned(self, partitions: Sequence[str], /) -> Mapping[str, Position | None]:
        """Claim partitions that this process has from now on; return after which position to give each (None: from its beginning).

        When it returns, nobody who held one of them before can save. Raises `SourceChanged` if one of them is not what it was.
        """
        ...

    def revoked(self, partitions: Sequence[str], /) -> Mapping[str, Position | None]:
        """Save what the turns of the partitions have made, and let go of them; when it returns they may be somebody else's.

        It takes a bounded time: what was given and had no turn yet, and what cannot be saved within that time, is given up, and read
        again by whoever has the partition next. Returns the positions that are in the store by now.
        """
        ...

    def lost(self, partitions: Sequence[str], /) -> None:
        """Release partitions that somebody else may have already; nothing is saved."""
        ...

    def ended(self, partition: str, /) -> None:
        """Note that nothing will follow what was given of the partition, such as a shard that was split: it is saved with its end."""
        ...

    def ends(self, partitions: Collection[str], /) -> Collection[str]:
        """Return those of the partitions whose end is in the store, whoever has read them: their children may begin."""
        ...

    def give(self, partition: str, records: Sequence[Record], /) -> None:
        """Take records of a partition, in order; the first of them follows the one that was given last."""
        ...


class PartitionedReading(Protocol[Read, Got]):
    """One reader's pass through a partitioned source.

    All methods are called in one thread, but for `wake`, and for those that only look at a record: `message`, `raw`, `position`, `time`.
    What is said of a partition that the engine has taken away meanwhile is passed over.
    """

    def poll(self, seconds: float, holder: Holder[Read], /) -> bool | None:
        """Wait up to `seconds` until something happens, and call the holder with what has: assigned, revoked, lost, ended, give.

        Return False if nothing more will come, of any partition: the aggregate then processes what was given, and ends.
        """
        ...

    def wake(self) -> None:
        """End the `poll` that is running, or else the next one, soon; from any thread, also after the end."""
        ...

    def message(self, record: Read, /) -> Got:
        """Return the message of a record; what it raises, best a `BadRecord`, is a failure of that record, on which `on_error` decides."""
        ...

    def raw(self, record: Read, /) -> bytes:
        """Return the bytes of a record, which are kept of one that is set aside because it is not a message."""
        ...

    def position(self, record: Read, /) -> Position:
        """Return the position of a record; asked for at saves and failures only."""
        ...

    def time(self, record: Read, /) -> float | None:
        """Return when the record was written, in seconds since 1970; None if that is not known."""
        ...

    def lag(self, partition: str, /) -> int | None:
        """Return how many records of the partition were not given yet, as far as is known without asking; None if nothing is known."""
        ...

    def holds(self, partition: str, /) -> bool:
        """Ask the engine whether the partition is this reading's; called when its holder was fenced, before it claims it anew."""
        ...

    def seek(self, partition: str, after: Position | None, /) -> None:
        """Give the partition again from the record that follows the position `after`: its holder was fenced, and has claimed it
        anew.
        """
        ...

    def pause(self, partition: str, /) -> None:
        """Give nothing of the partition until `resume`, or until it is assigned anew: enough of it waits."""
        ...

    def resume(self, partition: str, /) -> None:
        """Give the partition again, on from the record given last."""
        ...

    def saved(self, positions: Mapping[str, Position], /) -> None:
        """Called after saves, between two polls, with the positions that are in the store now: to acknowledge them to the engine."""
        ...

    def close(self, holder: Holder[Read], /) -> None:
        """Give the partitions back: the holder is called with `revoked` for each that is left, after it has saved. Harmless if repeated."""
        ...


SomeReading: TypeAlias = PartitionedReading[Any, Got]
"""A reading whose records are whatever it makes them: who holds them only gives them back to it."""


class AsyncHolder(Protocol[Record]):
    """A `Holder` on an event loop: what may wait for the store is awaited."""

    @property
    def store(self) -> Store:
        """See `Holder.store`; its calls block, and belong into a thread."""
        ...

    @property
    def program(self) -> str:
        """See `Holder.program`."""
        ...

    async def assigned(self, partitions: Sequence[str], /) -> Mapping[str, Position | None]:
        """See `Holder.assigned`."""
        ...

    async def revoked(self, partitions: Sequence[str], /) -> Mapping[str, Position | None]:
        """See `Holder.revoked`."""
        ...

    async def lost(self, partitions: Sequence[str], /) -> None:
        """See `Holder.lost`."""
        ...

    async def ended(self, partition: str, /) -> None:
        """See `Holder.ended`."""
        ...

    async def ends(self, partitions: Collection[str], /) -> Collection[str]:
        """See `Holder.ends`."""
        ...

    def give(self, partition: str, records: Sequence[Record], /) -> None:
        """See `Holder.give`."""
        ...


class AsyncPartitionedReading(Protocol[Read, Got]):
    """A `PartitionedReading` on an event loop, for `aggregate_async`: what waits is awaited."""

    async def poll(self, seconds: float, holder: AsyncHolder[Read], /) -> bool | None:
        """Wait up to `seconds`, as `PartitionedReading.poll` does, on the event loop."""
        ...

    def wake(self) -> None:
        """See `PartitionedReading.wake`."""
        ...

    def message(self, record: Read, /) -> Got:
        """See `PartitionedReading.message`."""
        ...

    def raw(self, record: Read, /) -> bytes:
        """See `PartitionedReading.raw`."""
        ...

    def position(self, record: Read, /) -> Position:
        """See `PartitionedReading.position`."""
        ...

    def time(self, record: Read, /) -> float | None:
        """See `PartitionedReading.time`."""
        ...

    def lag(self, partition: str, /) -> int | None:
        """See `PartitionedReading.lag`."""
        ...

    async def holds(self, partition: str, /) -> bool:
        """See `PartitionedReading.holds`."""
        ...

    async def seek(self, partition: str, after: Position | None, /) -> None:
        """See `PartitionedReading.seek`."""
        ...

    def pause(self, partition: str, /) -> None:
        """See `PartitionedReading.pause`."""
        ...

    def resume(self, partition: str, /) -> None:
        """See `PartitionedReading.resume`."""
        ...

    async def saved(self, positions: Mapping[str, Position], /) -> None:
        """See `PartitionedReading.saved`."""
        ...

    async def close(self, holder: AsyncHolder[Read], /) -> None:
        """See `PartitionedReading.close`."""
        ...


class Partitioned(Protocol[Got]):
    """A source of several partitions, of which each reader has those that an engine gives it."""

    @property
    def name(self) -> str:
        """The name its positions are stored under."""
        ...

    def fingerprint(self, partition: str, /) -> str:
        """Describe the partition as it is now, to know it again by; called while it is assigned."""
        ...

    def recognise(self, partition: str, fingerprint: str, /) -> None:
        """Raise `SourceChanged` unless this is the partition that gave the fingerprint; one that has only grown still is."""
        ...


@runtime_checkable
class KeepsByPartition(Protocol):
    """A store whose models lie with their partitions; a reading of a stream that may get more of them tells it how many there are."""

    def check_partitions(self, program: str, source: str, stream: str, count: int, /) -> None:
        """Raise `SourceChanged` if `count` is more than when the program began with the source; `stream` says which one that is."""
        ...


@runtime_checkable
class PartitionedSource(Partitioned[Got], Protocol[Got]):
    """A `Partitioned` that is read in a thread."""

    def open_partitions(self) -> SomeReading[Got]:
        """Begin to read: join the engine."""
        ...


@runtime_checkable
class AsyncPartitionedSource(Partitioned[Got], Protocol[Got]):
    """A `Partitioned` that is read on an event loop."""

    async def open_partitions_async(self) -> AsyncPartitionedReading[Any, Got]:
        """Begin to read: join the engine."""
        ...
