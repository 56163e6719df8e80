"""The file of a store: by which names it is known, and that all of it is there."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.core.ports import Write

ROOT = Path(gs.__file__).parents[1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a closed store of about 50 pages."""
    path = tmp_path / "s.lmdb"
    with gs.LMDBStore(path) as store:
        store.store({f"key {number}": Write(b"x" * 1000, 0) for number in range(150)})
        store.journal("j", of=int).put(1)
    return path


def put_elsewhere(path: Path, folder: Path) -> str:
    """Put a message in another process and return what that says."""
    script = """
import sys, go_state as gs
try:
    with gs.LMDBStore(sys.argv[1]) as store:
        store.journal("j", of=int, durability="put").put(2)
except gs.GoStateError as error:
    print(type(error).__name__)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", script, str(path)], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


@pytest.mark.processes
def test_a_store_is_one_by_whatever_name_it_is_opened(path: Path, tmp_path: Path) -> None:
    """A symbolic link leads to the lock and the lease of the file itself."""
    (tmp_path / "current").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(path)
    with gs.LMDBStore(path) as store:
        store.journal("j", of=int).put(1)
        store.journal("j").flush()
        assert put_elsewhere(tmp_path / "link", tmp_path) == "LeaseHeld"
        assert put_elsewhere(tmp_path / "current" / "s.lmdb", tmp_path) == "LeaseHeld"
    assert not (tmp_path / "link-lock").exists()


@pytest.mark.processes
def test_a_store_stays_where_it_was_opened(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that changes its folder keeps its lease, and its errors name the file."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with gs.LMDBStore("s.lmdb") as store:
        monkeypatch.chdir("elsewhere")
        store.journal("j", of=int).put(1)
        store.journal("j").flush()
        store.check_damage()
        assert put_elsewhere(path, tmp_path) == "LeaseHeld"
        assert store.where == str(path)


def test_a_file_with_two_names_is_refused(path: Path, tmp_path: Path) -> None:
    """Each hard link would have a lock of its own, and two writers would not know of each other."""
    (tmp_path / "other").hardlink_to(path)
    for name in (path, tmp_path / "other"):
        with pytest.raises(gs.errors.StoreUnavailable, match="has 2 names"):
            gs.LMDBStore(name)


@pytest.mark.parametrize("which", ["s.lmdb", "s.lmdb-lock"])
@pytest.mark.parametrize("replaced", [True, False], ids=["replaced", "removed"])
def test_what_is_written_to_a_file_that_is_gone_is_refused(path: Path, which: str, replaced: bool) -> None:
    """Nothing that was put into another file than the one at the path is told to be on disk."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("j", of=int, durability="put")
        journal.put(2)
        path.with_name(which).rename(path.with_name("moved"))
        if replaced:
            path.with_name(which).write_bytes(path.with_name("moved").read_bytes())
        with pytest.raises(gs.errors.StoreUnavailable, match="replaced or removed"):
            journal.put(3)


@pytest.mark.parametrize("pages", [2, 10, -1])
def test_a_file_that_is_cut_short_is_refused(path: Path, pages: int) -> None:
    """Pages beyond its end would end the process that reads them, so it is found out when the file is opened."""
    size = path.stat().st_size
    os.truncate(path, pages * 4096 if pages > 0 else size + pages * 4096)
    with pytest.raises((gs.errors.Corrupt, gs.errors.StoreUnavailable), match=r"cut short|is damaged"):
        gs.LMDBStore(path)
    with pytest.raises((gs.errors.Corrupt, gs.errors.StoreUnavailable)):  # the first try has not kept it open
        gs.LMDBStore(path)


@pytest.mark.processes
def test_a_file_that_ends_before_its_free_pages_is_whole(path: Path) -> None:
    """Pages that were taken and given back in one transaction are never written, and nothing is missing."""
    with gs.LMDBStore(path) as store:
        store.store({f"key {number}": Write(None, store.load(f"key {number}").version) for number in range(100)})  # type: ignore[union-attr]
        store.store({"more": Write(b"x", 0)})
        with store.backend.transaction(write=True) as transaction:
            transaction.put(b"s/big", b"x" * 1_000_000)
            transaction.delete(b"s/big")
    with gs.LMDBStore(path) as store:
        assert store.backend.file.environment is not None
        assert path.stat().st_size < (store.backend.file.environment.info()["last_pgno"] + 1) * 4096
        store.check_damage()


def test_an_empty_file_is_not_a_new_store(tmp_path: Path) -> None:
    """A copy that failed leaves one: a program that began anew in it would have forgotten everything without a word."""
    path = tmp_path / "empty"
    path.touch()
    with pytest.raises(gs.errors.Corrupt, match="delete it if a new one is to begin there"):
        gs.LMDBStore(path)
    path.unlink()
    gs.LMDBStore(path).close()


USES = {
    "read": "store.load('key 1')",
    "write": "store.store({'new': gs.abc.Write(b'1', 0)})",
    "put": "store.journal('j', of=int, durability='put').put(1)",
    "check": "store.check_damage()",
}


@pytest.mark.processes
@pytest.mark.parametrize("size", [0, 4096, 40_000])
@pytest.mark.parametrize("use", USES)
def test_a_file_that_is_cut_short_while_it_is_open_ends_nobody(path: Path, use: str, size: int) -> None:
    """LMDB would read where nothing is, by which the system ends the process; nothing more is read or written."""
    script = f"""
import os, sys, go_state as gs
store = gs.LMDBStore(sys.argv[1])
list(store.keys())
os.truncate(sys.argv[1], {size})
try:
    {USES[use]}
except gs.errors.Corrupt:
    print("told")
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", script, path], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "told\n")
    assert path.stat().st_size == size


@pytest.mark.parametrize("path", [3, None, "a\0b"])
def test_what_is_no_path_is_told(path: Any) -> None:
    """As an error of the call."""
    with pytest.raises(gs.UsageError, match="the path of a store is a string"):
        gs.LMDBStore(path)


def test_a_pipe_is_no_store(tmp_path: Path) -> None:
    """Opening one would wait for somebody at its other end."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(gs.errors.StoreUnavailable, match="is not a file"):
        gs.LMDBStore(tmp_path / "pipe")


@pytest.mark.processes
def test_a_process_with_little_address_space_is_told_of_map_size(tmp_path: Path) -> None:
    """A map is address space, of which `ulimit -v` may leave too little."""
    script = (
        "import sys, go_state as gs\ntry: gs.LMDBStore(sys.argv[1])\nexcept gs.errors.StoreUnavailable as error: print(error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "s")],
        cwd=ROOT, capture_output=True, text=True, check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)),
    )  # fmt: skip
    assert "give a smaller map_size" in ran.stdout


def test_damage_is_told_with_advice_that_can_be_followed() -> None:
    """What helps is a backup, or a copy of a closed store."""
    assert "put back a backup of the store, or a copy that was made while no process had it open" in str(
        gs.errors.Corrupt("key", "why")
    )
