"""`PartitionContract`: what a partitioned source keeps, whatever it reads; for a source of your own.

    class TestMine(PartitionContract):
        def setup_method(self) -> None:
            self.server = MyServer()
        def partitions(self):
            return ["0", "1"]
        def put(self, partition, count):
            ...                                   # append so many records to the partition
        def source(self):
            return MySource(self.server, ...)     # its messages are whatever you like

Each test makes a fresh instance of the class, with two partitions or more that are empty, and one reader at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from go_state.core.ports import Store
from go_state.core.ports.partitions import PartitionedReading, PartitionedSource
from go_state.storage.backends.memory import MemoryStore

_PATIENCE = 30.0  # seconds, in which an engine comes to its decisions


class Recorder:
    """A holder that keeps what it is told, and claims nothing: it begins where it is told to."""

    def __init__(self, after: Mapping[str, object] | None = None) -> None:
        self.after = dict(after or {})
        self.held: list[str] = []
        self.given: dict[str, list[object]] = {}
        self.ended_ones: set[str] = set()
        self.gone: list[str] = []
        self.store: Store = MemoryStore()
        self.program = "Contract"

    def assigned(self, partitions: Sequence[str]) -> Mapping[str, object]:
        """Begin."""
        assert not set(partitions) & set(self.held), f"{partitions} are assigned, and {self.held} are held already"
        self.held += partitions
        return {partition: self.after.get(partition) for partition in partitions}

    def revoked(self, partitions: Sequence[str]) -> Mapping[str, object]:
        """Release them."""
        self.held = [each for each in self.held if each not in partitions]
        self.gone += partitions
        return {}

    def lost(self, partitions: Sequence[str]) -> None:
        """Release them."""
        self.revoked(partitions)

    def ended(self, partition: str) -> None:
        """Note it."""
        self.ended_ones.add(partition)

    def ends(self, partitions: Collection[str]) -> Collection[str]:
        """Return those that have ended."""
        return self.ended_ones.intersection(partitions)

    def give(self, partition: str, records: Sequence[object]) -> None:
        """Keep the records."""
        assert partition in self.held, f"records of {partition} are given, which is not assigned"
        self.given.setdefault(partition, []).extend(records)

    def count(self, partition: str) -> int:
        """Return how many records were given of the partition."""
        return len(self.given.get(partition, ()))


class PartitionContract:
    """What every `PartitionedSource` keeps."""

    def partitions(self) -> Sequence[str]:
        """Return the partitions that there are, two or more."""
        raise NotImplementedError("a PartitionContract says in partitions() which there are")

    def put(self, partition: str, count: int) -> None:
        """Append `count` records to the partition."""
        raise NotImplementedError("a PartitionContract says in put() how records come into a partition")

    def source(self) -> PartitionedSource[object]:
        """Return a source that reads them."""
        raise NotImplementedError("a PartitionContract says in source() how to read the partitions")

    # ------------------------------------------------------------------ what is tested

    def test_it_gives_every_record_in_order(self) -> None:
        """Each partition is assigned before its first record, and its positions are all different."""
        reading, holder = self._begin(5)
        for partition in self.partitions():
            positions = [repr(reading.position(record)) for record in holder.given[partition]]
            assert len(set(positions)) == len(positions) == 5
        reading.close(holder)

    def test_it_reads_on_after_a_position(self) -> None:
        """From each position on come the records that follow it, and none before."""
        reading, holder = self._begin(4)
        partition = self.partitions()[0]
        positions = [reading.position(record) for record in holder.given[partition]]
        reading.close(holder)
        for number, position in enumerate(positions[:-1]):
            again = Recorder({**{each: self._last(holder, reading, each) for each in self.partitions()}, partition: position})
            opened = self.source().open_partitions()
            self._poll(opened, again, lambda: again.count(partition) >= len(positions) - 1 - number)  # noqa: B023
            found = [opened.position(record) for record in again.given[partition]]
            assert found == positions[number + 1 :]
            opened.close(again)

    def test_seek_gives_records_again(self) -> None:
        """After a seek the partition goes on after the position, as if the rest had never been given."""
        reading, holder = self._begin(3)
        partition = self.partitions()[0]
        first = reading.position(holder.given[partition][0])
        reading.seek(partition, first)
        self._poll(reading, holder, lambda: holder.count(partition) == 5)
        assert [reading.position(record) for record in holder.given[partition][3:]] == [
            reading.position(record) for record in holder.given[partition][1:3]
        ]
        reading.close(holder)

    def test_what_is_paused_gives_nothing(self) -> None:
        """The other partitions go on, and after `resume` nothing is missing."""
        reading, holder = self._begin(2)
        quiet, other = self.partitions()[:2]
        reading.pause(quiet)
        self.put(quiet, 3)
        self.put(other, 3)
        self._poll(reading, holder, lambda: holder.count(other) == 5)
        for _ in range(3):
            reading.poll(0.05, holder)
        assert holder.count(quiet) == 2
        reading.resume(quiet)
        self._poll(reading, holder, lambda: holder.count(quiet) == 5)
        reading.close(holder)

    def test_wake_ends_a_poll(self) -> None:
        """Also one that comes before it, and one after the end."""
        reading, holder = self._begin(1)
        reading.wake()
        began = time.monotonic()
        reading.poll(_PATIENCE, holder)
        assert time.monotonic() - began < _PATIENCE / 2
        reading.close(holder)
        reading.wake()

    def test_it_knows_its_partitions_again(self) -> None:
        """What has only grown is recognised, by another source that reads the same."""
        first, second = self.source(), self.source()
        reading, holder = self._begin(1, first)
        fingerprints = {partition: first.fingerprint(partition) for partition in self.partitions()}
        reading.close(holder)
        reading, holder = self._begin(1, second, has=1)
        for partition, fingerprint in fingerprints.items():
            second.recognise(partition, fingerprint)
        reading.close(holder)

    def test_close_gives_everything_back(self) -> None:
        """Each partition is revoked once, also if it is closed twice, and what is saved may be said before."""
        reading, holder = self._begin(2)
        held = list(holder.held)
        reading.saved({partition: self._last(holder, reading, partition) for partition in held})
        reading.close(holder)
        reading.close(holder)
        assert sorted(holder.gone) == sorted(held)
        assert not holder.held

    def test_what_it_knows_of_a_record(self) -> None:
        """A message, bytes, perhaps a time; and of a partition it holds whether it does, and perhaps its lag."""
        reading, holder = self._begin(1)
        for partition in self.partitions():
            record = holder.given[partition][0]
            reading.message(record)
            assert isinstance(reading.raw(record), bytes)
            assert isinstance(reading.time(record), (float, int, type(None)))
            assert reading.holds(partition)
            assert reading.lag(partition) in (0, None)
        reading.close(holder)

    # ------------------------------------------------------------------ how it is polled

    def _begin(
        self, count: int, source: PartitionedSource[object] | None = None, *, has: int = 0
    ) -> tuple[PartitionedReading[object, object], Recorder]:
        for partition in self.partitions():
            self.put(partition, count)
        reading, holder = (source or self.source()).open_partitions(), Recorder()
        self._poll(reading, holder, lambda: all(holder.count(each) == has + count for each in self.partitions()))
        return reading, holder

    def _poll(self, reading: PartitionedReading[object, object], holder: Recorder, until: Callable[[], bool]) -> None:
        late = time.monotonic() + _PATIENCE
        while not until():
            assert time.monotonic() < late, f"given: { {each: len(records) for each, records in holder.given.items()} }"
            reading.poll(0.05, holder)

    def _last(self, holder: Recorder, reading: PartitionedReading[object, object], partition: str) -> object:
        return reading.position(holder.given[partition][-1])
