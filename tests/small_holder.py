"""A holder of the tests' own: it claims, counts what it is given by partition, and saves when it is told to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from go_state.core.errors import Conflict
from go_state.core.ports import Store, Write
from go_state.modes.aggregate.position_record import PositionRecord, place_of_source
from go_state.storage.snapshots.snapshot import Mark


class SmallHolder:
    """What aggregate is to a reading, and no more than that: no turns and no models."""

    program = "Tally"

    def __init__(self, source: Any, store: Store) -> None:
        self.source, self.store = source, store
        self.reading = source.open_partitions()
        self.held: dict[str, PositionRecord] = {}
        self.given: dict[str, list[Any]] = defaultdict(list)  # since the last save, by partition
        self.messages: list[tuple[str, Any]] = []
        self.ending: set[str] = set()
        self.lost_ones: list[str] = []
        self.is_over = False

    # ------------------------------------------------------------------ what a reading calls

    def assigned(self, partitions: Sequence[str]) -> Mapping[str, Any]:
        for partition in partitions:
            record = PositionRecord(self.store, place_of_source((self.program,), self.source.name, partition), (self.program,))
            record.read()
            if record.mark is not None:
                self.source.recognise(partition, record.mark.fingerprint)
            record.claimed(self.store.store(record.claiming(f"holder {id(self)}")))
            self.held[partition] = record
        return {p: self._position(self.held[p]) for p in partitions}

    @staticmethod
    def _position(record: PositionRecord) -> Any:
        return None if record.mark is None else record.mark.position

    def revoked(self, partitions: Sequence[str]) -> Mapping[str, Any]:
        self.save(partitions)
        return {p: self._position(self.held.pop(p)) for p in partitions if p in self.held}

    def lost(self, partitions: Sequence[str]) -> None:
        for partition in partitions:
            self.lost_ones.append(partition)
            self.held.pop(partition, None)
            self.given.pop(partition, None)

    def ended(self, partition: str) -> None:
        self.ending.add(partition)

    def ends(self, partitions: Collection[str]) -> Collection[str]:
        return {p for p in partitions if self.store.load(f"end {p}") is not None}

    def give(self, partition: str, records: Sequence[Any]) -> None:
        assert partition in self.held
        self.given[partition] += records
        self.messages += [(partition, self.reading.message(record)) for record in records]

    # ------------------------------------------------------------------ what a test calls

    def save(self, partitions: Collection[str] | None = None) -> None:
        """Save what was given, and each partition's end."""
        for partition in list(self.held) if partitions is None else [p for p in partitions if p in self.held]:
            record, given = self.held[partition], self.given.pop(partition, [])
            at = self.reading.position(given[-1]) if given else self._position(record)
            mark = Mark(at, self.source.fingerprint(partition))
            writes = {record.key: record.write(mark)}
            if partition in self.ending:
                writes[f"end {partition}"] = Write(b"{}", 0)
            try:
                record.saved(mark, self.store.store(writes))
            except Conflict:
                self.lost((partition,))
                continue
            self.reading.saved({partition: at})
            if partition in self.ending:
                self.ending.discard(partition)
                self.held.pop(partition)

    def poll(self, seconds: float = 0.1) -> None:
        self.is_over = self.reading.poll(seconds, self) is False

    def close(self) -> None:
        self.save()
        self.reading.close(self)
