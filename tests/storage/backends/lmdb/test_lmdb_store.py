"""The store in an LMDB file: the contract, wrong use that teaches, a full file, and forks."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import go_state as gs

ROOT = Path(gs.__file__).parents[1]


class TestLMDBStore(gs.testing.StoreContract):
    """The contract, over an LMDBStore."""

    @pytest.fixture(autouse=True)
    def _paths(self, tmp_path: Path) -> None:
        self._paths: Iterator[Path] = (tmp_path / f"{number}.lmdb" for number in range(100))  # type: ignore[no-redef]

    def make(self) -> gs.LMDBStore:
        return gs.LMDBStore(next(self._paths))  # type: ignore[call-overload]


def run(script: str, *args: object) -> list[str]:
    """Run the script in a process of its own and return the lines it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "import os, sys, go_state as gs\n" + script, *map(str, args)],
        capture_output=True, text=True, cwd=ROOT, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_what_was_stored_is_there_after_reopening(tmp_path: Path) -> None:
    """A closed file holds what was stored and its versions, and goes on counting them."""
    with gs.LMDBStore(tmp_path / "s") as store:
        first = store.store({"k": gs.abc.Write(b"1", 0)})["k"]
    with gs.LMDBStore(tmp_path / "s") as store:
        assert store.load("k") == gs.abc.Stored(b"1", first)
        assert store.store({"k": gs.abc.Write(b"2", first)})["k"] > first


@pytest.mark.parametrize("other", ["s", "../{name}/s", "link"])
def test_a_second_store_on_one_file_is_refused(tmp_path: Path, other: str) -> None:
    """A process that opens a file twice, by whatever path, is told to share the store; the first one still works."""
    with gs.LMDBStore(tmp_path / "s") as store:
        (tmp_path / "link").symlink_to(tmp_path / "s")
        with pytest.raises(gs.errors.StoreUnavailable, match="already open in this process"):
            gs.LMDBStore(tmp_path / other.format(name=tmp_path.name))
        store.store({"k": gs.abc.Write(b"1", 0)})


@pytest.mark.parametrize(
    ("path", "text"), [("", "folder"), ("missing/s", "make it first"), ("garbage", "no LMDB file"), ("short", "no LMDB file")]
)
def test_a_path_that_is_no_store_is_refused(tmp_path: Path, path: str, text: str) -> None:
    """A folder, a missing folder and a file of something else each raise StoreUnavailable that says so."""
    (tmp_path / "garbage").write_bytes(b"garbage " * 2000)
    (tmp_path / "short").write_bytes(b"x")
    with pytest.raises(gs.errors.StoreUnavailable, match=text):
        gs.LMDBStore(tmp_path / path)


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    """A file without permission raises StoreUnavailable; root, who may read everything, tries as nobody."""
    gs.LMDBStore(tmp_path / "s").close()
    (tmp_path / "s").chmod(0)
    tmp_path.chmod(0o755)  # the folder is not what is refused
    script = """
import os, go_state as gs
gs.LMDBStore("mine").close()  # imports all of it before it is nobody, who may not read the checkout
StoreUnavailable = gs.errors.StoreUnavailable
if os.geteuid() == 0:
    os.setuid(65534)
try:
    gs.LMDBStore("s")
except StoreUnavailable as error:
    print(error)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert "cannot be opened" in ended.stdout, ended.stderr


def test_a_lease_that_may_not_be_taken_says_so(tmp_path: Path) -> None:
    """Where the folder or the lock file cannot be written, the error names the file and what it is for."""
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("j", of=int)
        for number in "0123456789abcdef":
            (tmp_path / f"s-owners-{number}").mkdir()
        with pytest.raises(gs.errors.StoreUnavailable, match=r"the lease .*s-owners-. cannot be taken"):
            journal.put(1)


def fill(store: gs.LMDBStore) -> dict[str, int]:
    """Write until the store is full and return the versions of what it took."""
    versions: dict[str, int] = {}
    with contextlib.suppress(gs.errors.StoreFull):
        for number in range(1000):
            count = gs.abc.Write(b"%d" % number, versions.get("n", 0))
            versions |= store.store({f"{number}": gs.abc.Write(b"x" * 3000, 0), "n": count})
    return versions


def held(store: gs.LMDBStore) -> dict[str, int]:
    return {key: record.version for key in list(store.keys()) if (record := store.load(key))}


def test_a_full_store_loses_nothing_and_goes_on_when_larger(tmp_path: Path) -> None:
    """StoreFull undoes its write alone; what was stored is there, and a larger map takes the write."""
    with gs.LMDBStore(tmp_path / "s", map_size=1 << 17) as store:
        versions = fill(store)
        assert 1 < len(versions) < 1000
        with pytest.raises(gs.errors.StoreFull, match="map_size"):
            store.store({"new": gs.abc.Write(b"x" * 200_000, 0), "n": gs.abc.Write(None, versions["n"])})
        assert held(store) == versions
    with gs.LMDBStore(tmp_path / "s", map_size=1 << 22) as store:
        assert held(store) == versions
        store.store({"n": gs.abc.Write(b"x" * 100_000, versions["n"])})


def test_a_full_store_ends_an_aggregate_where_it_was(tmp_path: Path) -> None:
    """An aggregate that finds the store full keeps the models and position of its last save, and goes on with a larger map."""
    (source := tmp_path / "n.jsonl").write_text("".join(f'"{"x" * 500}"\n' for _ in range(300)))
    with gs.LMDBStore(tmp_path / "s", map_size=1 << 18) as store, pytest.raises(gs.errors.StoreFull):
        gs.aggregate(_join, gs.sources.JSONLines(source), store=store, key="k", snapshots=gs.Snapshots(every=10))
    with gs.LMDBStore(tmp_path / "s", map_size=1 << 24) as store:
        result = gs.aggregate(_join, gs.sources.JSONLines(source), store=store, key="k")
        assert (result.model, result.position) == ("x" * 150_000, 300)
        assert 0 < result.processed < 300


def _add(model: str, msg: str) -> str:
    return model + msg


_join: gs.Program[str, str] = gs.reducer(str, _add)


def test_a_closed_store_is_refused(tmp_path: Path) -> None:
    """After close every use says that the store is closed."""
    store = gs.LMDBStore(tmp_path / "s")
    store.close()
    uses: tuple[Any, ...] = (lambda: store.load("k"), lambda: store.store({}), lambda: store.keys())
    for use in uses:
        with pytest.raises(gs.errors.StoreUnavailable, match="closed"):
            use()


def test_keys_too_long_are_refused_by_an_aggregate(tmp_path: Path) -> None:
    """A key that no store can hold raises InvalidKey, for a single key at once and for a key function at the message."""
    with gs.LMDBStore(tmp_path / "s") as store:
        with pytest.raises(gs.errors.InvalidKey, match="480"):
            gs.aggregate(_join, ["a"], store=store, key="x" * 481)
        with pytest.raises(gs.errors.InvalidKey, match="480"):
            gs.aggregate(_join, ["a", "b" * 481], store=store, key=lambda msg: msg)
        assert list(store.keys()) == []


FORK = """
store = gs.LMDBStore(sys.argv[1])
store.store({"k": gs.abc.Write(b"1", 0)})
if (child := os.fork()) == 0:
    for use in (lambda: store.load("k"), lambda: store.store({}), lambda: store.keys()):
        try:
            print("used", use())
        except gs.errors.StoreUnavailable as error:
            print("refused", "forked" in str(error))
    %s
    with gs.LMDBStore(sys.argv[1]) as anew:
        print(anew.load("k").data, anew.store({"child": gs.abc.Write(b"2", 0)}))
    sys.stdout.flush()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(store.load("child").data, store.store({"parent": gs.abc.Write(b"3", 0)}))
store.close()
"""
FORKED = ["refused True"] * 3 + ["b'1' {'child': 2}", "b'2' {'parent': 3}"]


@pytest.mark.slow
@pytest.mark.parametrize("between", ["store.close()", "pass"], ids=["closed first", "left as it was"])
def test_a_forked_child_opens_its_own(tmp_path: Path, between: str) -> None:
    """In a forked child the parent's store says so, the child opens its own, and the parent's still works afterwards."""
    assert run(FORK % between, tmp_path / "s") == FORKED


@pytest.mark.slow
def test_killed_readers_do_not_fill_the_lock_file(tmp_path: Path) -> None:
    """Two hundred processes that were killed with the file open leave room for another."""
    script = """
for number in range(200):
    if (child := os.fork()) == 0:
        gs.LMDBStore(sys.argv[1]).load("k")
        os.kill(os.getpid(), 9)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1]), number
print("done")
"""
    with gs.LMDBStore(tmp_path / "s") as store:
        store.store({"k": gs.abc.Write(b"1", 0)})
        assert run(script, tmp_path / "s") == ["done"]
        assert store.load("k") is not None


@pytest.mark.parametrize("size", [-1, 0, 1])
def test_a_map_size_that_makes_no_sense_is_refused_or_grown(tmp_path: Path, size: int) -> None:
    """A map_size of nothing is a go_state error, or LMDB's own least size."""
    with contextlib.suppress(gs.GoStateError):
        gs.LMDBStore(tmp_path / "s", map_size=size).close()


@pytest.mark.processes
def test_a_disk_that_takes_no_more_loses_nothing(tmp_path: Path) -> None:
    """A write that the disk refuses raises a clear error; what was stored is there, and the store goes on once there is room."""
    script = """
import resource, signal, go_state as gs
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store, stored = gs.LMDBStore("s"), {}
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
try:
    for number in range(1000):
        stored.update(store.store({str(number): gs.abc.Write(b"x" * 20_000, 0)}))
except gs.errors.StoreError as error:
    print(type(error).__name__, "nothing stored before is lost" in str(error))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(len(stored) > 10, all(store.load(key) == gs.abc.Stored(b"x" * 20_000, version) for key, version in stored.items()))
print(sorted(store.keys()) == sorted(stored), store.store({"again": gs.abc.Write(b"y" * 20_000, 0)})["again"] > 0)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.stdout == "StoreUnavailable True\nTrue True\nTrue True\n", ended.stderr
