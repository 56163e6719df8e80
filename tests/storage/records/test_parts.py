"""Large snapshots in parts: whole or not there, kept and forgotten together, and never in the way of a turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import go_state as gs
from go_state.modes.durable import snapshot_writer
from go_state.runtime.feeds import log_feed
from go_state.storage.records import parts
from go_state.storage.snapshots.pieces import SMALL
from go_state.system import crash_points


@dataclass(frozen=True)
class Big:
    total: int = 0
    ballast: tuple[int, ...] = tuple(range(50 * SMALL))


def update(model: Big, msg: int) -> gs.Step[Big, int]:
    return replace(model, total=model.total + msg), ()


def counted(model: int, msg: int) -> gs.Step[int, int]:
    return model + msg, ()


big = gs.Program(lambda: (Big(), ()), update)
small = gs.Program(lambda: (0, ()), counted)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot of Big has some dozens."""
    monkeypatch.setattr(parts, "PART", 2_000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[gs.LMDBStore]:
    with gs.LMDBStore(tmp_path / "big.lmdb") as store:
        yield store


def closed(store: gs.LMDBStore, *messages: int) -> gs.Journal[int]:
    """Return the journal with the messages, whose run ends when they are through."""
    journal = store.journal("big", of=int)
    journal.put(*messages)
    journal.close()
    return journal


def fed(store: gs.LMDBStore, *messages: int) -> Big:
    """Return what a durable run comes to that saves after each third message, and keeps two keyframes."""
    return gs.run(big, closed(store, *messages), store=store, key="big", snapshots=gs.Snapshots(every=3, keep=3))


def ids(store: gs.LMDBStore) -> set[bytes]:
    """Return the ids of the snapshots whose parts are there."""
    with store.backend.transaction() as transaction:
        return {name[2:10] for name in transaction.names(b"p/")}


def leftovers(store: gs.LMDBStore) -> list[bytes]:
    with store.backend.transaction() as transaction:
        return transaction.names(b"w/")


@pytest.mark.slow
def test_a_snapshot_in_parts_is_loaded_whole(store: gs.LMDBStore) -> None:
    """The newest and the keyframes, by a run, by load_model and by replay."""
    assert fed(store, 1, 2, 3, 4, 5) == Big(15)
    assert gs.load_model(big, store=store, key="big") == Big(15)
    assert gs.replay(big, store.journal("big", of=int), until=4) == Big(10)
    assert fed(store, 10) == Big(25)
    assert gs.verify(big, store.journal("big", of=int)).ok


@pytest.mark.slow
def test_parts_go_with_the_snapshot_that_they_are_of(store: gs.LMDBStore) -> None:
    """However many snapshots were written, there are the parts of those that are kept, and no others."""
    for _ in range(5):
        fed(store, 1, 2, 3, 4)
    assert len(ids(store)) == 1 + len(store.keyframes("big")) == 3
    assert leftovers(store) == []


@pytest.mark.slow
def test_a_keyframe_in_parts_is_restored(store: gs.LMDBStore) -> None:
    """It becomes the newest with its parts; those of the ones after it go."""
    fed(store, 1, 2, 3, 4, 5, 6, 7)
    (*_, earlier) = store.keyframes("big")
    store.restore("big", earlier)
    assert gs.load_model(big, store=store, key="big") == Big(sum(range(1, earlier + 1)))
    assert len(ids(store)) == 1 + len(store.keyframes("big"))
    assert fed(store, 8) == Big(36)


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["missing", "flipped"])
def test_a_part_that_is_missing_or_damaged_is_found(store: gs.LMDBStore, harm: str) -> None:
    """Nothing is loaded, and the error names the key; the check of all records finds it too."""
    fed(store, 1, 2)
    with store.backend.transaction(write=True) as transaction:
        for name, record in list(transaction.items(b"p/"))[1:]:
            if harm == "missing":
                transaction.delete(name)
            else:
                transaction.put(name, record[:-1] + bytes([record[-1] ^ 1]))
    for look in (lambda: gs.load_model(big, store=store, key="big"), lambda: fed(store, 3), store.check_damage):
        with pytest.raises(gs.errors.Corrupt):
            look()


@pytest.mark.slow
def test_turns_are_taken_while_a_snapshot_is_written(store: gs.LMDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes between two parts of it is not kept waiting, and is replayed: the snapshot stands where it was begun."""
    monkeypatch.setattr(snapshot_writer, "SLICE", 0.0)  # one piece between two chunks of messages
    journal = store.journal("big", of=int)
    journal.put(1, 2, 3)
    turns: list[int] = []
    taken: list[int] = []  # turns, when each snapshot counts

    def watched(model: Big, msg: int) -> gs.Step[Big, int]:
        turns.append(msg)
        return update(model, msg)

    def reached(point: str) -> None:
        if point == "after-part" and len(turns) >= 3 and len(taken) == 1:
            journal.put(10)
        if point == "before-snapshot":
            taken.append(len(turns))
            if len(taken) == 2:
                journal.log.refuse()

    crash_points.watch(reached)
    try:
        model = gs.run(gs.Program(big.init, watched), journal, store=store, key="big", snapshots=gs.Snapshots(every=3, keep=9))
    finally:
        crash_points.watch(None)
    assert taken[1] > 20
    assert store.keyframes("big")[:2] == [0, 3]
    assert gs.load_model(big, store=store, key="big") == model == Big(sum(turns))
    assert gs.replay(big, store.journal("big", of=int), until=3) == Big(6)


@pytest.mark.slow
def test_a_save_that_is_overdue_when_the_last_one_is_done_is_begun(
    store: gs.LMDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More turns than there are to be between two snapshots are taken while one is written: the next follows, and so do messages."""
    monkeypatch.setattr(snapshot_writer, "SLICE", 0.0)
    monkeypatch.setattr(log_feed, "CHUNK_SECONDS", 60.0)  # as on a disk that writes at once
    journal = store.journal("big", of=int)
    journal.put(1)
    snapshots = turns = 0

    def counted(model: Big, msg: int) -> gs.Step[Big, int]:
        nonlocal turns
        turns += 1
        if snapshots < 4:
            journal.put(1)  # there is always another
        else:
            journal.log.refuse()
        return update(model, msg)

    def reached(point: str) -> None:
        nonlocal snapshots
        snapshots += point == "after-snapshot"

    crash_points.watch(reached)
    try:
        model = gs.run(gs.Program(big.init, counted), journal, store=store, key="big", snapshots=gs.Snapshots(every=1))
    finally:
        crash_points.watch(None)
    assert model == gs.load_model(big, store=store, key="big") == Big(turns)


def test_what_a_crash_has_left_goes_with_the_next_snapshot(store: gs.LMDBStore) -> None:
    """Parts of a snapshot that came to nothing are no part of anything, and do not stay."""
    fed(store, 1, 2)

    class Crash(BaseException):
        pass

    def crash(point: str) -> None:
        if point == "after-part":
            raise Crash

    crash_points.watch(crash)
    try:
        with pytest.raises(Crash):
            fed(store, 3, 4)
    finally:
        crash_points.watch(None)
    assert leftovers(store)
    assert gs.load_model(big, store=store, key="big") == Big(3)
    assert fed(store) == Big(10)
    assert leftovers(store) == []
    assert len(ids(store)) == 1 + len(store.keyframes("big"))


def test_what_a_crash_has_left_goes_with_a_small_snapshot_or_the_key(store: gs.LMDBStore) -> None:
    """Also where the model has become so small that its snapshot has no parts, or is deleted."""
    for number in range(2):
        parts.Parts(store.backend, "big", lambda transaction: None).add(b"x" * 20_000)
        assert len(ids(store)) == 1
        if number == 0:
            gs.run(small, closed(store), store=store, key="big")
        else:
            stored = store.load("big")
            assert stored is not None
            store.store({"big": gs.abc.Write(None, stored.version)})
        assert ids(store) == set()
        assert leftovers(store) == []


@pytest.mark.slow
def test_a_snapshot_that_takes_the_place_of_another_at_its_position_forgets_its_parts(store: gs.LMDBStore) -> None:
    """As one of each revision of a program that is started again and again without a message."""
    fed(store, 1)
    for revision in range(2, 6):
        gs.run(
            gs.Program(big.init, update, revision=revision),
            closed(store),
            store=store,
            key="big",
            snapshots=gs.Snapshots(keep=9),
        )
    assert len(ids(store)) == 1 + len(store.keyframes("big"))


def test_a_writer_that_was_overtaken_writes_no_more(store: gs.LMDBStore) -> None:
    """A part that nobody knows of would stay for ever."""
    one, other = (parts.Parts(store.backend, "k", lambda transaction: None) for _ in range(2))
    for each in (one, other):
        each.add(b"x" * 20_000)
    with pytest.raises(gs.Conflict):
        one.add(b"x" * 20_000)
    assert len(ids(store)) == 1


def test_a_writer_that_was_overtaken_makes_nothing_count(store: gs.LMDBStore) -> None:
    """Whose parts another writer has taken for leftovers, its snapshot is refused."""
    one, other = (parts.Parts(store.backend, "k", lambda transaction: None) for _ in range(2))
    for each in (one, other):
        each.add(b"x" * 20_000)
    for each, counts in ((one, False), (other, True)):
        written = each.finish(b"")
        assert isinstance(written, parts.InParts)
        with store.backend.transaction(write=True) as transaction:
            if counts:
                parts.count(transaction, "k", written)
            else:
                with pytest.raises(gs.Conflict):
                    parts.count(transaction, "k", written)


def test_a_key_that_is_written_anew_or_deleted_leaves_no_parts(store: gs.LMDBStore) -> None:
    """By store(), which knows nothing of programs."""
    fed(store, 1)
    store.restore("big", 0)
    for data in (b"plain", None):
        stored = store.load("big")
        assert stored is not None
        store.store({"big": gs.abc.Write(data, stored.version)})
        assert ids(store) == set()
