"""Where each partition begins, and whether what follows its position is still there.

Offsets grow, but not every one of them is a record: compaction takes records out, and a transaction writes a mark of its own when it
ends. Such holes lie within the log. What retention, or somebody, has deleted lies before it: the log then begins after the offset
that is to come next. That is the one thing that counts as a gap here, and a log that ends before that offset is another one.

With `start="newest"` or a time the log is entered in its middle, once for all partitions that there are: their offsets are written to
the store before anything is read, so that whoever begins after a crash begins there too. A partition that was added later is read
from its first record.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Literal, Protocol, TypeAlias

from go_state.core.errors import Conflict, SourceChanged, UsageError
from go_state.core.ports import Position, Store, Write
from go_state.core.ports.partitions import KeepsByPartition
from go_state.sources.streams.kafka.topic import Described, Topic
from go_state.storage.records.keys import reserved_key

Start: TypeAlias = Literal["oldest", "newest"] | datetime.datetime


def check_start(start: object) -> None:
    """Raise `UsageError` for what cannot be a start."""
    if isinstance(start, datetime.datetime):
        if start.tzinfo is None:
            raise UsageError("start= is a time without a zone, which is another moment on each machine: give it tzinfo=")
    elif start not in ("oldest", "newest"):
        raise UsageError(f'start= is "oldest", "newest" or a datetime, not {start!r}')


class Keeper(Protocol):
    """Where a program keeps what belongs to it, as a `Holder` says."""

    @property
    def store(self) -> Store:
        """The store."""
        ...

    @property
    def program(self) -> str:
        """What the program is called there."""
        ...


class Starts:
    """The offsets from which the partitions of a topic are read."""

    def __init__(self, name: str, group: str, start: Start) -> None:
        self._name = name
        self._start = start
        self._group = group

    def offsets(
        self, topic: Topic, described: Described, after: Mapping[int, Position | None], keeper: Keeper
    ) -> dict[int, int]:
        """Return the offset of each partition to begin at: the one that follows its position, or, if it has none, that of `start`.

        Raises `SourceChanged` if records that follow a position are not there any more, or never were; or if the topic has got
        partitions, and models lie with these.
        """
        store = keeper.store
        if isinstance(store, KeepsByPartition):
            store.check_partitions(keeper.program, self._name, described.id or topic.name, len(described.partitions))
        firsts = topic.firsts(after)
        goes_on = {partition: position + 1 for partition, position in after.items() if position is not None}
        ends = topic.ends(goes_on)
        for partition, offset in goes_on.items():
            self.check(partition, offset, firsts[partition], ends[partition])
        begins = [partition for partition in after if partition not in goes_on]
        if not begins or self._start == "oldest":
            return {**firsts, **goes_on}
        entered = self._entered(topic, described, store, reserved_key("starts", keeper.program, self._name, self._group))
        return {**goes_on, **{partition: max(entered.get(partition, 0), firsts[partition]) for partition in begins}}

    def check(self, partition: int, offset: int, first: int, end: int) -> None:
        """Raise `SourceChanged` unless the offset lies in a log with that first offset and that end."""
        if first > offset:
            raise SourceChanged(
                self._name,
                f"the offsets {offset} to {first - 1} of partition {partition} follow its position and are deleted: the log begins at {first}",
                "set the position of the partition to read on behind the gap, and let the topic keep its records for longer",
            )
        if end < offset:
            raise SourceChanged(
                self._name,
                f"partition {partition} ends at offset {end}, and was read to {offset - 1}: the end of the log is lost, or it was restored",
            )

    def _entered(self, topic: Topic, described: Described, store: Store, key: str) -> dict[int, int]:
        """Return the offsets at which the log was entered, by whoever was first; written now if that is this one."""
        from msgspec import json

        while True:
            stored = store.load(key)
            if stored is not None:
                topic_id, offsets = json.decode(stored.data, type=tuple[str, dict[int, int]])
                if topic_id == described.id:
                    return offsets
            start = self._start
            at = (
                topic.at(start.timestamp(), described.partitions)
                if isinstance(start, datetime.datetime)
                else topic.ends(described.partitions)
            )
            version = 0 if stored is None else stored.version
            try:
                store.store({key: Write(json.encode((described.id, at)), version)})
            except Conflict:
                continue  # somebody else was first
            return at
