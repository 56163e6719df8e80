"""Replay, verify and to_test: the model at any position, and the first message at which today's update makes something else."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.storage.journal.journal import Journal


@dataclass(frozen=True)
class Board:
    total: int = 0
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Add:
    by: int


def init() -> gs.Step[Board, Add]:
    return Board(), [gs.Cmd.send(Add(100))]


def update(model: Board, msg: Add, turn: gs.Turn) -> gs.Step[Board, Add]:
    return replace(model, total=model.total + msg.by, names=[*model.names[-2:], str(turn.uuid())]), ()


board = gs.Program(init, update)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal[Add]]:
    """A journal of 61 messages, with snapshots at every tenth position."""
    with gs.LMDBStore(tmp_path / "board.lmdb") as store:
        recorded = store.journal("board", of=Add)
        recorded.put(*(Add(number) for number in range(60)))
        recorded.close()
        gs.run(board, recorded, store=store, key="board", snapshots=gs.Snapshots(every=10, keep=100))
        yield store.journal("board", of=Add)


def wrong(journal: Journal[Add], by: Any) -> tuple[gs.history.Verified, Any]:
    """Return what verify finds of an update that does something else with Add(33), at position 33."""

    def changed(model: Board, msg: Add, turn: gs.Turn) -> gs.Step[Board, Add]:
        after = update(model, msg, turn)[0]
        return (by(model, after) if msg.by == 33 else after), ()

    verified = gs.verify(replace(board, update=changed), journal)
    return verified, verified.finding


def test_replay_reaches_every_position(journal: Journal[Add]) -> None:
    """The model at a position is what the messages before it make, and the last one without a position."""
    totals = [0]
    for recorded in journal.read():
        totals.append(totals[-1] + recorded.message.by)
    assert [gs.replay(board, journal, until=position).total for position in range(62)] == totals
    assert gs.replay(board, journal) == gs.replay(board, journal, until=61)


def test_replay_starts_at_the_nearest_keyframe(journal: Journal[Add]) -> None:
    """Between a position and the keyframe before it there are fewer messages than between two keyframes."""
    seen: list[int] = []

    def counting(model: Board, msg: Add, turn: gs.Turn) -> gs.Step[Board, Add]:
        seen.append(msg.by)
        return update(model, msg, turn)

    gs.replay(replace(board, update=counting), journal, until=47)
    assert seen == [40, 41, 42, 43, 44, 45, 46]


@pytest.mark.parametrize("until", [-1, 62, "3"])
def test_replay_of_no_position_teaches(journal: Journal[Add], until: Any) -> None:
    """A position that the journal does not have is refused with those that it has."""
    with pytest.raises(gs.UsageError, match="the positions 0 to 61"):
        gs.replay(board, journal, until=until)


def test_replay_before_a_truncation_lags(journal: Journal[Add]) -> None:
    """What was forgotten cannot be replayed; what a keyframe stands at can."""
    journal.truncate(20)
    with pytest.raises(gs.errors.Lagged) as raised:
        gs.replay(board, journal, until=19)
    assert raised.value.missed == raised.value.oldest > 0
    assert gs.replay(board, journal, until=20).total == sum(range(20))


def test_verify_of_what_was_recorded(journal: Journal[Add]) -> None:
    """Today's update makes what it made, and every snapshot is reached."""
    assert gs.verify(board, journal) == gs.history.Verified(61, 8, None)


def test_verify_finds_chance(journal: Journal[Add]) -> None:
    """An update that draws from elsewhere than its turn differs between two runs, at that message."""
    _, finding = wrong(journal, lambda _, after: replace(after, total=random.randrange(1 << 60)))
    assert (finding.position, finding.message, finding.path) == (33, "Add", ".total")
    assert finding.what == "two runs of update differ"


def test_verify_finds_a_clock(journal: Journal[Add]) -> None:
    """So does one that looks at a clock of its own."""
    _, finding = wrong(journal, lambda _, after: replace(after, names=[str(time.perf_counter_ns())]))
    assert (finding.position, finding.path) == (33, ".names[0]")


def test_verify_finds_a_model_that_is_changed_in_place(journal: Journal[Add]) -> None:
    """An update that changes the model that it was given is found where it does."""

    def in_place(model: Board, after: Board) -> Board:
        model.names.append("mine")
        return after

    _, finding = wrong(journal, in_place)
    assert (finding.position, finding.what, finding.path) == (33, "update changes the model that it is given", ".names")


def test_verify_finds_an_update_that_has_changed(journal: Journal[Add]) -> None:
    """The first snapshot that is not reached is named, with the path and both values."""
    verified, finding = wrong(journal, lambda _, after: replace(after, total=after.total + 1))
    total = sum(range(40))
    assert (finding.start, finding.position, finding.message, finding.path) == (30, 39, "Add", ".total")
    assert (finding.expected, finding.found) == (str(total), str(total + 1))
    assert (verified.snapshots, verified.ok) == (4, False)


def test_verify_says_where_update_raises(journal: Journal[Add]) -> None:
    """An update that raises on a message that it once took passes its error on, with the position."""
    with pytest.raises(ZeroDivisionError) as raised:
        wrong(journal, lambda *_: 1 // 0)
    assert "verify was at position 33, a message of type Add" in raised.value.__notes__


def test_a_new_revision_is_verified_from_its_first_snapshot(journal: Journal[Add]) -> None:
    """What another revision has made is not compared with today's update; what this one makes is."""

    def doubling(model: Board, msg: Add, turn: gs.Turn) -> gs.Step[Board, Add]:
        return replace(update(model, msg, turn)[0], total=model.total + 2 * msg.by), ()

    second, store = replace(board, update=doubling, revision=2), journal.store
    assert gs.verify(second, journal) == gs.history.Verified(0, 0, None)
    journal.put(Add(1), Add(2))
    journal.close()
    gs.run(second, journal, store=store, key="board", snapshots=gs.Snapshots(keep=100))
    assert gs.verify(second, store.journal("board")) == gs.history.Verified(2, 1, None)
    assert gs.replay(second, store.journal("board")).total == sum(range(60)) + 100 + 6


def test_verify_passes_over_what_was_set_aside(tmp_path: Path) -> None:
    """A message that a run has set aside is no part of what is verified or replayed."""

    def failing(model: Board, msg: Add, turn: gs.Turn) -> gs.Step[Board, Add]:
        if msg.by == 2:
            raise ValueError("bad")
        return update(model, msg, turn)

    program = gs.Program(lambda: (Board(), ()), failing)
    with gs.LMDBStore(tmp_path / "aside.lmdb") as store:
        journal = store.journal("board", of=Add)
        journal.put(Add(1), Add(2), Add(4))
        journal.close()
        gs.run(program, journal, store=store, key="board", on_error=gs.SetAside())
        journal = store.journal("board")
        assert journal.set_aside() == {1: "ValueError"}
        assert (gs.verify(program, journal).messages, gs.replay(program, journal).total) == (2, 5)


@pytest.mark.slow
def test_a_file_that_is_cut_short_under_an_open_store_is_found(tmp_path: Path) -> None:
    """LMDB would read where nothing is: verify looks first, reports it, and goes on living."""
    path = tmp_path / "cut.lmdb"
    with gs.LMDBStore(path) as store:
        journal = store.journal("board", of=Add)
        journal.put(*(Add(number) for number in range(60_000)))
    script = """
import sys
sys.path.insert(0, sys.argv[2])
import os, go_state as gs, test_replay
with gs.LMDBStore(sys.argv[1]) as store:
    journal = store.journal("board", of=test_replay.Add)
    os.truncate(sys.argv[1], os.path.getsize(sys.argv[1]) // 2)
    try:
        gs.verify(test_replay.board, journal)
    except gs.errors.Corrupt as error:
        print(error.what, flush=True)
    os._exit(0)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script, path, Path(__file__).parent], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "the file is cut short" in ran.stdout


@pytest.mark.slow
def test_a_recorded_run_becomes_a_test(journal: Journal[Add], tmp_path: Path) -> None:
    """The written test passes with the program that was recorded, and fails with one that does something else."""
    source = Path(__file__).read_text().split("@pytest.fixture")[0]
    for name, changed in (("same", source), ("other", source.replace("model.total + msg.by", "model.total - msg.by"))):
        (tmp_path / f"{name}.py").write_text(changed)
        gs.to_test(board, journal, tmp_path / f"test_{name}.py", of=f"{name}:board")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"test_{name}.py"]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == (0 if name == "same" else 1), ran.stdout


def test_a_recorded_run_names_nothing_that_is_private(journal: Journal[Add], tmp_path: Path) -> None:
    """The file lies in somebody's repository for years: it imports the program, and what gs.testing offers."""
    gs.to_test(board, journal, tmp_path / "test_it.py", of="some.where:board")
    imported = [line for line in (tmp_path / "test_it.py").read_text().splitlines() if "import" in line]
    assert imported == ["from some.where import board", "from go_state.testing import Recording"]


def test_a_recorded_run_outlives_a_new_schema() -> None:
    """What was recorded under an older schema goes through the program's migrations."""
    recording = gs.testing.Recording(
        journal="j",
        schema=1,
        first='{"sum":1,"names":[]}',
        last='{"sum":3,"names":[]}',
        messages=[(0, 1.0, '["Add",{"more":2}]')],
    )
    renamed = gs.Migration(
        model=lambda old: {"total": old["sum"], "names": old["names"]}, message=lambda old: ["Add", {"by": old[1]["more"]}]
    )

    def plain(model: Board, msg: Add) -> gs.Step[Board, Add]:
        return replace(model, total=model.total + msg.by), ()

    program = gs.Program(init, plain, schema=2, migrations={1: renamed})
    assert recording.replay(program) == recording.expected(program) == Board(total=3)


@pytest.mark.parametrize("stored", [3, 1])
def test_a_recorded_run_without_a_way_to_todays_schema_says_so(stored: int) -> None:
    """As of a newer program, or where a migration is missing."""
    recording = gs.testing.Recording(journal="j", schema=stored, first="{}", last="{}", messages=[])
    with pytest.raises(gs.UsageError, match="the recording cannot be read as the program's schema 2"):
        recording.replay(gs.Program(init, update, schema=2))


@pytest.mark.parametrize("of", ["os, sys:board", "import:board", "some.where:class", ".:board", "", 5])
def test_a_recorded_run_imports_only_what_python_can(journal: Journal[Add], tmp_path: Path, of: Any) -> None:
    """What is no module and no name would be written into a file that is run."""
    with pytest.raises(gs.UsageError, match="where the program is found"):
        gs.to_test(board, journal, tmp_path / "test_it.py", of=of)


def test_a_recorded_run_never_takes_the_place_of_its_store(journal: Journal[Add]) -> None:
    """Nor does an export: the store would be emptied."""
    for write in (
        lambda: gs.to_test(board, journal, journal.store.where, of="a:b"),
        lambda: journal.export_to(journal.store.where),
    ):
        with pytest.raises(gs.UsageError, match="a file of the store itself"):
            write()
    assert gs.verify(board, journal).ok


def test_a_recorded_run_outlives_a_second_class_of_messages(journal: Journal[Add], tmp_path: Path) -> None:
    """Each message says what it is, also where there was one class of them."""
    gs.to_test(board, journal, tmp_path / "test_it.py", of="some.where:board")

    def more(model: Board, msg: Add | Board, turn: gs.Turn) -> gs.Step[Board, Add | Board]:
        assert isinstance(msg, Add)
        return replace(model, total=model.total + msg.by), ()

    names: dict[str, Any] = {}
    exec((tmp_path / "test_it.py").read_text().replace("from some.where import board", ""), names)
    assert names["RECORDING"].replay(gs.Program(init, more)).total == gs.replay(board, journal).total
