"""The laws of partitioned sources: each is broken here on purpose, and something that is tested elsewhere turns red.

Law 12, that clocks and leases decide nothing, is broken by a holder that saves because it has a lease, whatever the claim says.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

import pytest
from streams_support import TALLY, WAYS, Add, Tally, key_of, log_of

import go_state as gs
from go_state.core.errors import Conflict, GoStateError
from go_state.core.ports import Write
from go_state.modes.aggregate.model_store import KeptModels
from go_state.modes.aggregate.partitions import faces
from go_state.modes.aggregate.partitions.claims import Claimed, Claims
from go_state.modes.aggregate.partitions.holder import StreamHolder
from go_state.modes.aggregate.partitions.shares.reader import ShareReader
from go_state.modes.aggregate.position_record import PositionRecord
from go_state.sources.streams.leases import Sharing
from go_state.testing.streams.histories import History
from go_state.testing.streams.log import PartitionedLog
from go_state.testing.streams.members import Member

sys.path.insert(0, __file__.rpartition("/")[0])
import test_fates
import test_streams

THREAD = WAYS[0]


def histories() -> None:
    """Play a few."""
    for seed in range(40):
        History(seed, gs.MemoryStore()).play()


class Leased:
    """A log whose readers have what their leases say, by a clock of each reader's own."""

    def __init__(self, log: PartitionedLog[Add], store: gs.abc.Store) -> None:
        self.log, self.store = log, store

    def member(self, clock: Callable[[], float]) -> Member[Tally, Add]:
        """Return a worker that goes by this clock."""
        made = Member(
            TALLY, self.log.source(alone=False, at_once=1), store=self.store, key=key_of, snapshots=gs.Snapshots(every=3)
        )
        sharing = Sharing(self.store, "Tally", "log", 10.0, clock)
        poll = made.reading.poll

        def polled(seconds: float, holder: Any) -> bool:
            if sharing.is_due:
                moves = sharing.step(list(self.log.records))
                for news, partitions in (("lost", moves.lost), ("revoked", moves.give), ("assigned", moves.take)):
                    if partitions:
                        made.reading.tell(news, *partitions)  # type: ignore[arg-type]
                sharing.let_go(moves.give)
            return poll(seconds, holder)

        made.reading.poll = polled  # type: ignore[method-assign]
        made.reading.holds = sharing.holds  # type: ignore[method-assign]
        return made


def leases_by_wrong_clocks() -> None:
    """Two workers hold all partitions at once: one's clock stands still, the other's runs so fast that it takes the first for dead."""
    log, store = log_of(2, 40, keys=8), gs.MemoryStore()
    times = count(step=2)
    leased = Leased(log, store)
    slow, fast = leased.member(lambda: 0.0), leased.member(lambda: float(next(times)))
    slow.step(10)  # and has all models in memory
    fast.step(8)
    assert slow.reading.at.keys() & fast.reading.at.keys(), "no partition was held by both"
    for _ in range(12):
        slow.step(2)
        fast.step(3)
    fast.close()
    slow.close()  # it is behind, and would take the position back
    gs.aggregate(TALLY, log.source(ends=True), store=store, key=key_of)
    found = [gs.load_model(TALLY, store=store, key=f"p{p}k{k}") for p in range(2) for k in range(8)]
    assert found == [Tally(5, 4)] * 16


def _without_record(self: Any, model: Any, position: Any) -> dict[str, Write]:
    return {key: write for key, write in _prepare(self, model, position).items() if not key.startswith("@positions/")}


def _whatever_version(self: Any, mark: Any) -> Write:
    found = self._store.load(self.key)
    return Write(_write(self, mark).data, 0 if found is None else found.version)


def _over_what_is_there(self: Any, model: Any, position: Any) -> dict[str, Write]:
    writes = _prepare(self, model, position)
    found = {key: self.store.load(key) for key in writes}
    return {key: Write(each.data, 0 if (at := found[key]) is None else at.version) for key, each in writes.items()}


def _claims_nothing(self: Any, fingerprints: Mapping[str, str]) -> Any:
    found = {}
    for partition in fingerprints:
        record = self._looked_at[partition]
        if not record._version:
            return _claim(self, fingerprints)
        found[partition] = Claimed(record, fingerprints[partition])
    return found


def _backwards(self: Any, size: int) -> list[Any]:
    return _take(self, size)[::-1]


def _told_at_once(self: Any, partition: str, records: Any) -> None:
    _give(self, partition, records)
    if partition in self._shares and records:
        self._runner.saved[partition] = records[-1].offset


def _ends_with_all(self: Any, share: Any, conflict: Conflict) -> Iterator[Any]:
    raise conflict
    yield


def _asks_nobody(self: Any) -> Any:
    self._reading.holds = lambda partition: bool(self._reading.asked.append(partition)) or True
    return _claim_again(self)


def _named_anew(self: Any, name: str, *rest: Any) -> None:
    _made(self, f"{name}#{id(self)}", *rest)


def _saves_nothing(self: Any, shares: Any) -> Any:
    for share in list(shares):
        yield from self._drop(share)


_prepare, _write, _claim, _take = KeptModels.prepare, PositionRecord.write, Claims.claim, ShareReader._take
_give, _claim_again, _made = StreamHolder.give, StreamHolder._claim_again, ShareReader.__init__

MUTANTS: list[tuple[str, Any, str, Any, Callable[[], object]]] = [
    ("1: models are saved without a position", KeptModels, "prepare", _without_record, histories),
    ("1: the position is written whatever version it has", PositionRecord, "write", _whatever_version, histories),
    ("2: it is read without a claim", Claims, "claim", _claims_nothing, test_fates.test_observers_are_told_of_fences),
    ("3: models are loaded without a look at the claim", PositionRecord, "check", lambda *_: None, histories),
    (
        "4: it begins one message too early",
        Claimed,
        "position",
        property(lambda self: self.record.mark.position - 1 if self.record.mark and self.record.mark.position else None),
        histories,
    ),
    ("5: a partition is read backwards", ShareReader, "_take", _backwards, histories),
    (
        "5: an end is stored that had no turn",
        ShareReader,
        "is_complete",
        True,
        test_fates.test_an_end_that_is_not_processed_is_not_stored,
    ),
    ("6: what is lost is saved", StreamHolder, "lost", StreamHolder.revoked, test_fates.test_a_lost_partition_is_not_saved),
    (
        "6: what is revoked is dropped",
        StreamHolder,
        "_let_go",
        _saves_nothing,
        test_fates.test_a_revoked_partition_is_saved_before_it_is_let_go,
    ),
    (
        "7: one that is fenced ends all",
        StreamHolder,
        "fenced",
        _ends_with_all,
        test_fates.test_a_fenced_partition_is_dropped_alone,
    ),
    ("8: the engine hears of what was given", StreamHolder, "give", _told_at_once, histories),
    (
        "9: a stream is not recognised",
        faces,
        "describe",
        lambda source, marks: dict.fromkeys(marks, "made 0"),
        lambda: test_fates.test_a_stream_that_was_made_anew_raises(THREAD),
    ),
    (
        "10: who was fenced asks nobody",
        StreamHolder,
        "_claim_again",
        _asks_nobody,
        test_fates.test_who_was_fenced_asks_the_engine_first,
    ),
    ("12: a holder saves because it has a lease", KeptModels, "prepare", _over_what_is_there, leases_by_wrong_clocks),
    ("11: an effect has another name at each try", ShareReader, "__init__", _named_anew, histories),
    (
        "11: an effect has another name at each try, as the table of names says",
        ShareReader,
        "__init__",
        _named_anew,
        lambda: test_streams.test_effects_are_named_by_source_partition_and_position(THREAD),
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("what", "place", "name", "broken", "detector"), MUTANTS, ids=[each[0] for each in MUTANTS])
def test_a_broken_law_is_noticed(
    what: str, place: Any, name: str, broken: Any, detector: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the law broken, the detector fails."""
    monkeypatch.setattr(place, name, broken)
    with pytest.raises((AssertionError, GoStateError, pytest.fail.Exception)):
        detector()


@pytest.mark.slow
def test_the_detectors_pass_when_no_law_is_broken() -> None:
    """Or what they notice would mean nothing."""
    for detector in dict.fromkeys(each[4] for each in MUTANTS):
        detector()
