"""Claiming partitions: many records in one transaction, each rewritten from what it was when it was looked at."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from go_state.core.errors import Conflict
from go_state.core.ports import Position, Store, load_many_of
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
    """The position records of one source, in the store of a program of these names."""

    def __init__(self, store: Store, names: Sequence[str], source: str) -> None:
        self._store = store
        self._names = names
        self._source = source
        self._looked_at: dict[str, PositionRecord] = {}

    def _record(self, partition: str) -> PositionRecord:
        return PositionRecord(self._store, place_of_source(self._names, self._source, partition), self._names)

    def _read(self, partitions: Collection[str]) -> dict[str, PositionRecord]:
        records = {partition: self._record(partition) for partition in partitions}
        found = load_many_of(self._store)([key for record in records.values() for key in record.keys])
        for record in records.values():
            record.read_in(found)
        return records

    def look(self, partitions: Collection[str]) -> dict[str, Mark | None]:
        """Return how far the partitions were read, for whoever has to recognise them before they are claimed."""
        self._looked_at = self._read(partitions)
        return {partition: record.mark for partition, record in self._looked_at.items()}

    def claim(self, fingerprints: Mapping[str, str]) -> dict[str, Claimed] | None:
        """Claim the partitions that were looked at; None if one of them was written meanwhile: look again."""
        records = {partition: self._looked_at[partition] for partition in fingerprints}
        holder = this_process()
        writes = {key: write for record in records.values() for key, write in record.claiming(holder).items()}
        try:
            versions = self._store.store(writes) if writes else {}
        except Conflict:
            return None
        for record in records.values():
            record.claimed(versions)
        return {partition: Claimed(record, fingerprints[partition]) for partition, record in records.items()}

    def ends(self, partitions: Collection[str]) -> frozenset[str]:
        """Return those of the partitions whose end is stored."""
        return frozenset(partition for partition, record in self._read(partitions).items() if record.claim.ended)
