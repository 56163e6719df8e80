"""Where a replay, a proof or a restart begins: exactly at a snapshot of this journal, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.core.ports import Write
from go_state.storage.journal.history import History


@dataclass(frozen=True)
class Add:
    by: int


def init() -> gs.Step[int, Add]:
    return 0, ()


def update(model: int, msg: Add) -> gs.Step[int, Add]:
    return model + msg.by, ()


summing = gs.Program(init, update)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a store in which the program has summed 5,000 messages, with a snapshot at each thousand."""
    path = tmp_path / "sum.lmdb"
    live(path, 5000, snapshots=gs.Snapshots(every=1000, keep=5))
    return path


def live(path: Path, messages: int = 0, **options: Any) -> int:
    with gs.LMDBStore(path) as store:
        journal = store.journal("sum", of=Add)
        journal.put(*[Add(1)] * messages)
        journal.close()
        return gs.run(summing, journal, store=store, key="sum", **options)


@pytest.fixture
def begins_at_4500(path: Path) -> Iterator[gs.LMDBStore]:
    with gs.LMDBStore(path) as store:
        store.journal("sum").truncate(4500)
    with gs.LMDBStore(path) as store:
        yield store


def test_a_snapshot_from_before_the_journal_is_not_gone_back_to(begins_at_4500: gs.LMDBStore, path: Path) -> None:
    """The messages after it are forgotten: `restore` refuses it and leaves the newest snapshot as it is."""
    begins_at_4500.close()
    with pytest.raises(gs.UsageError, match="begins at 4500"):
        live(path, restore=4000)
    assert live(path) == 5000


def test_a_damaged_snapshot_names_no_earlier_one_that_leads_nowhere(begins_at_4500: gs.LMDBStore, path: Path) -> None:
    """The error offers those snapshots alone whose messages are still in the journal."""
    stored = begins_at_4500.load("sum")
    assert stored is not None
    begins_at_4500.store({"sum": Write(stored.data[:-1] + b"?", stored.version)})
    begins_at_4500.close()
    with pytest.raises(gs.errors.Corrupt, match="there is no earlier one"):
        live(path)


def test_a_snapshot_from_before_the_journal_is_not_verified_from(begins_at_4500: gs.LMDBStore) -> None:
    """Nothing leads from it to the next one, which is no fault of update's."""
    assert gs.verify(summing, begins_at_4500.journal("sum")).finding is None


def test_a_test_begins_where_the_journal_does(begins_at_4500: gs.LMDBStore, tmp_path: Path) -> None:
    """A recorded run is written down from the first snapshot that the journal leads on from."""
    gs.to_test(summing, begins_at_4500.journal("sum"), tmp_path / "t.py", of=f"{__name__}:summing")
    assert "first='5000'" in (tmp_path / "t.py").read_text()


@pytest.fixture
def meanwhile(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """Return a list of what its program does between a replay's choice of a snapshot and its reading of the messages."""
    acts: list[Callable[[], object]] = []
    real = History.chunks

    def chunks(journal: Any, start: int, end: int) -> Any:
        if acts:
            acts.pop()()
        return real(journal, start, end)

    monkeypatch.setattr(History, "chunks", chunks)
    return acts


def test_what_is_forgotten_under_a_replay_is_not_passed_over(path: Path, meanwhile: list[Any]) -> None:
    """The replay was to begin at 2,000, and messages up to 2,500 go meanwhile: it is told so, and gives no model."""
    with gs.LMDBStore(path) as store:
        meanwhile.append(lambda: store.journal("sum").truncate(2500))
        with pytest.raises(gs.errors.Lagged):
            gs.replay(summing, store.journal("sum"), until=2900)


def test_a_replay_to_the_end_begins_anew_at_a_newer_snapshot(path: Path, meanwhile: list[Any]) -> None:
    """Its program runs on and forgets what it has a snapshot of: the replay begins at that one."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("sum", of=Add)
        journal.put(*[Add(1)] * 500)
        meanwhile.append(lambda: (drained(store), store.journal("sum").truncate(5500)))
        assert gs.replay(summing, journal) == 5500


def drained(store: gs.LMDBStore) -> int:
    journal = store.journal("sum", of=Add)
    journal.close()
    return gs.run(summing, journal, store=store, key="sum")


READS = [
    drained,
    lambda store: gs.replay(summing, store.journal("sum")),
    lambda store: gs.verify(summing, store.journal("sum")),
]


@pytest.mark.parametrize("read", READS, ids=["run", "replay", "verify"])
def test_a_snapshot_of_another_journal_is_refused(path: Path, tmp_path: Path, read: Any) -> None:
    """Its position counts other messages: a store into which it was copied does not go on from it."""
    live(tmp_path / "other", 7000)
    with gs.LMDBStore(path) as store, gs.LMDBStore(tmp_path / "other") as other:
        theirs, ours = other.load("sum"), store.load("sum")
        assert theirs is not None
        assert ours is not None
        store.store({"sum": Write(theirs.data, ours.version)})
        with pytest.raises(gs.errors.Incompatible, match="of another journal"):
            read(store)


def test_a_snapshot_beyond_its_program_is_refused(path: Path, tmp_path: Path) -> None:
    """A snapshot of messages that the program has not come to would have them in it twice."""
    shutil.copy(path, tmp_path / "before")
    live(path, 500)
    with gs.LMDBStore(path) as store, gs.LMDBStore(tmp_path / "before") as before:
        newer, older = store.load("sum"), before.load("sum")
        assert newer is not None
        assert older is not None
        before.store({"sum": Write(newer.data, older.version)})
    with pytest.raises(gs.errors.Corrupt, match="stands at position 5500, and its program is only at position 5000"):
        live(tmp_path / "before")
