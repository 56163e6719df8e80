"""kill -9 of who compacts a file: it is the old or the new, with every record as it was, and what is left beside it harms nobody."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import lmdb
import pytest

import go_state as gs

pytestmark = [pytest.mark.processes, pytest.mark.slow]

MESSAGES = 4000
PARTS = 6  # of the copy, after each of which somebody is killed


@dataclass(frozen=True)
class Said:
    text: str


def update(model: int, msg: Said) -> gs.Step[int, Said]:
    return model + 1, ()


def divide(model: int, msg: int) -> gs.Step[int, int]:
    return model + 1 // (msg % 100), ()


program: gs.Program[int, Said] = gs.Program(lambda: (0, ()), update, name="room")
counts: gs.Program[int, int] = gs.Program(lambda: (0, ()), divide)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a program's journal and snapshots, models, dead letters, and as much again that was deleted."""
    path = tmp_path_factory.mktemp("whole") / "rooms.lmdb"
    with gs.LMDBStore(path) as store:
        with gs.start(program, store=store, key="room", snapshots=gs.Snapshots(every=500, keep=5)) as app:
            app.send(*(Said(f"{number} " * 500) for number in range(MESSAGES)))
        gs.aggregate(counts, range(500), store=store, key=str, on_error=gs.SetAside(gs.DeadLetters(store, "night")))
        gone = store.journal("gone", of=Said)
        gone.put(*(Said(f"{number} " * 500) for number in range(MESSAGES)))
        gone.close()
        store.forget("gone")
    return path


def records(path: Path) -> dict[bytes, bytes]:
    with (
        lmdb.open(str(path), subdir=False, readonly=True, lock=False) as file,
        file.begin() as transaction,
        transaction.cursor() as cursor,
    ):
        return dict(cursor)


def compact(path: Path) -> None:
    with gs.LMDBStore(path) as store:
        store.compact()


def forked(fn: Callable[[], object]) -> int:
    process = os.fork()
    if not process:
        try:
            fn()
        finally:
            os._exit(0)
    return process


def check(path: Path, was: dict[bytes, bytes]) -> None:
    """The store has what it had, can be written, and can be compacted; nothing is left beside it then."""
    assert records(path) == was
    with gs.LMDBStore(path) as store:
        store.check_damage()
        version = store.load("7").version  # type: ignore[union-attr]
        store.store({"7": gs.abc.Write(store.load("7").data, version)})  # type: ignore[union-attr]
        assert store.load("7").version > version  # type: ignore[union-attr]
        with gs.start(program, store=store, key="room") as app:
            assert app.apply(Said("one more"), timeout=30) == MESSAGES + 1
        store.compact()
        assert len(list(store.journal("room", of=Said).read())) == MESSAGES + 1
        assert len(gs.DeadLetters(store, "night")) == 5
    assert {each.name for each in path.parent.iterdir() if "owner" not in each.name} == {path.name, f"{path.name}-lock"}


def test_a_kill_at_any_part_of_the_copy_leaves_the_old_file(whole: Path, tmp_path: Path) -> None:
    """The copy is cut short; whoever opens the store does not look at it, and who compacts it begins anew."""
    was, cut_short = records(whole), 0
    for part in range(PARTS):
        folder = tmp_path / str(part)
        folder.mkdir()
        path = Path(shutil.copy(whole, folder))
        copied, enough = Path(f"{path}-compact"), whole.stat().st_size // 2 * part // PARTS
        process = forked(lambda path=path: compact(path))  # type: ignore[misc]  # each its own
        while not os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            with suppress(FileNotFoundError):
                if copied.stat().st_size >= enough:
                    break
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        cut_short += copied.exists()
        check(path, was)
    assert cut_short


@pytest.mark.parametrize("point", ["before-exchange", "after-exchange"])
def test_who_has_the_store_open_meanwhile_loses_nothing(whole: Path, tmp_path: Path, point: str) -> None:
    """Before the exchange they go on with the old file, after it they are told to open it again; what they write is in the file then."""
    path, was = Path(shutil.copy(whole, tmp_path)), records(whole)

    def dies() -> None:
        gs.testing.crash_at(point)
        compact(path)

    with gs.LMDBStore(path) as store:
        assert store.load("7") is not None
        assert os.waitstatus_to_exitcode(os.waitpid(forked(dies), 0)[1]) == -signal.SIGKILL
        if point == "before-exchange":
            store.store({"new": gs.abc.Write(b"{}", 0)})
        else:
            with pytest.raises(gs.errors.StoreReplaced):
                store.store({"new": gs.abc.Write(b"{}", 0)})
    with gs.LMDBStore(path) as store:
        assert (store.load("new") is not None) is (point == "before-exchange")
        if point == "before-exchange":
            store.store({"new": gs.abc.Write(None, store.load("new").version)})  # type: ignore[union-attr]
    assert records(path) == was
    compact(path)
    assert records(path) == was
