"""Claiming partitions: many records in one transaction of their store, each rewritten from what it was when it was looked at."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from go_state.core.errors import Conflict
from go_state.core.ports import Position, load_many_of
from go_state.modes.aggregate.partitions.places import Entered, by_store
from go_state.modes.aggregate.position_record import PositionRecord, place_of_source, this_process
from go_state.storage.snapshots.snapshot import Mark

TRIES = 100  # to claim partitions whose holders save all the time; each has lost to a save, and takes less time than that


class Claimed(NamedTuple):
    """A record that is this holder's now, and the fingerprint of the partition."""

    record: PositionRecord
    fingerprint: str

    @property
    def position(self) -> Position | None:
        """The position to read on from; None for the beginning."""
        return None if self.record.mark is None else self.record.mark.position


class Claims:
    """The position records of one source, in the stores of a program of these names."""

    def __init__(self, places: Entered, names: Sequence[str], source: str) -> None:
        self._places = places
        self._names = names
        self._source = source
        self._looked_at: dict[str, PositionRecord] = {}

    def _record(self, partition: str) -> PositionRecord:
        return PositionRecord(self._places.of(partition), place_of_source(self._names, self._source, partition), self._names)

    def _read(self, partitions: Collection[str]) -> dict[str, PositionRecord]:
        records = {partition: self._record(partition) for partition in partitions}
        for store, here in by_store(records, self._places.of):
            found = load_many_of(store)([key for partition in here for key in records[partition].keys])
            for partition in here:
                records[partition].read_in(found)
        return records

    def look(self, partitions: Collection[str]) -> dict[str, Mark | None]:
        """Return how far the partitions were read, for whoever has to recognise them before they are claimed."""
        self._places.enter(partitions)
        self._looked_at = self._read(partitions)
        return {partition: record.mark for partition, record in self._looked_at.items()}

    def claim(self, fingerprints: Mapping[str, str]) -> dict[str, Claimed] | None:
        """Claim the partitions that were looked at; None if one of them was written meanwhile: look again."""
        records = {partition: self._looked_at[partition] for partition in fingerprints}
        holder = this_process()
        for store, here in by_store(records, self._places.of):
            writes = {key: write for partition in here for key, write in records[partition].claiming(holder).items()}
            try:
                versions = store.store(writes)
            except Conflict:
                return None
            for partition in here:
                records[partition].claimed(versions)
        return {partition: Claimed(record, fingerprints[partition]) for partition, record in records.items()}

    def ends(self, partitions: Collection[str]) -> frozenset[str]:
        """Return those of the partitions whose end is stored."""
        return frozenset(partition for partition, record in self._read(partitions).items() if record.claim.ended)
