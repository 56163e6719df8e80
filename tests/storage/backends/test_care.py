"""The care of a store: backup beside writers, restore, compaction, reading without writing, and what it says of itself."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lmdb
import postgres_server as servers
import pytest
from postgres_server import PostgresServer

import go_state as gs
from go_state.storage.backends.record_store import RecordStore

postgres_server = servers.postgres_server
ROOT = Path(gs.__file__).parents[1]
KEYS = [f"key {number}" for number in range(50)]


@pytest.fixture(params=["file", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RecordStore]:
    if request.param == "file":
        with gs.LMDBStore(tmp_path / "s.lmdb") as store:
            yield store
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        with gs.PostgresStore(server.dsn, schema=server.fresh_schema()) as postgres:
            yield postgres


def run(script: str, *args: object) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-c", f"import os, sys, go_state as gs\n{script}", *map(str, args)]
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=120)


def write(store: RecordStore, values: dict[str, bytes | None]) -> None:
    """Write whatever the keys held."""
    found = {key: store.load(key) for key in values}
    store.store({key: gs.abc.Write(value, 0 if found[key] is None else found[key].version) for key, value in values.items()})  # type: ignore[union-attr]


@contextmanager
def written_all_the_time(store: RecordStore) -> Iterator[list[int]]:
    """Write a number to all keys at once, and put it into a journal, again and again; give the numbers that are through."""
    done, stop, failed = [0], threading.Event(), list[BaseException]()
    journal = store.journal("numbers", of=int, durability="put")

    def work() -> None:
        try:
            while not stop.is_set():
                journal.put(done[-1] + 1)
                write(store, dict.fromkeys(KEYS, b"%d" % (done[-1] + 1)))
                done.append(done[-1] + 1)
        except BaseException as error:
            failed.append(error)

    write(store, dict.fromkeys(KEYS, b"0"))
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()
    assert not failed
    journal.close()


# -------------------------------------------------------------------- backup and restore


@pytest.mark.slow
def test_a_backup_beside_a_writer_is_the_store_of_one_moment(store: RecordStore, tmp_path: Path) -> None:
    """20 of them: in each all keys have the same number, between what was through before and what had begun after; and so restored."""
    with written_all_the_time(store) as done:
        for number in range(20):
            path, before = tmp_path / f"backup {number}", done[-1]
            store.backup(path)
            after = done[-1] + 1
            while done[-1] < before + 2:  # it is written meanwhile, however slow the disk is
                time.sleep(0.001)
            with gs.LMDBStore(path, readonly=True) as backup, gs.LMDBStore(tmp_path / f"restored {number}") as restored:
                (value,) = {stored.data for key, stored in backup.snapshots() if key in KEYS}
                messages = [each.message for each in backup.journal("numbers", of=int).read()]
                assert before <= int(value) <= after
                assert messages in (list(range(1, int(value) + 1)), list(range(1, int(value) + 2)))
                restored.restore_from(backup)
                assert {key: each.data for key, each in restored.snapshots()} == {
                    key: each.data for key, each in backup.snapshots()
                }
                assert [each.message for each in restored.journal("numbers", of=int).read()] == messages


def test_a_backup_overwrites_nothing(store: RecordStore, tmp_path: Path) -> None:
    """No file, no link, and not the store itself; what cannot be written leaves nothing."""
    (tmp_path / "there").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("there", "link", *(["s.lmdb"] if isinstance(store, gs.LMDBStore) else [])):
        with pytest.raises(gs.UsageError, match="nothing is overwritten"):
            store.backup(tmp_path / name)
    with pytest.raises(gs.UsageError, match="is not a folder"):
        store.backup(tmp_path / "no" / "folder")
    assert (tmp_path / "there").read_text() == "mine"
    assert not [each for each in tmp_path.iterdir() if "partial" in each.name]


def test_a_restored_store_is_the_backup_and_no_version_comes_back(store: RecordStore, tmp_path: Path) -> None:
    """What was written since is gone; who has a version from before the restore gets a Conflict."""
    write(store, {"a": b"1", "b": b"2"})
    store.backup(tmp_path / "backup")
    write(store, {"a": b"3", "c": b"4"})
    stale = store.load("a")
    assert stale is not None
    with gs.LMDBStore(tmp_path / "backup", readonly=True) as backup:
        assert store.restore_from(backup) == 2
    assert {key: each.data for key, each in store.snapshots()} == {"a": b"1", "b": b"2"}
    with pytest.raises(gs.Conflict):
        store.store({"a": gs.abc.Write(b"5", stale.version)})


def test_a_backup_goes_on_counting_where_its_store_was(store: RecordStore, tmp_path: Path) -> None:
    """LMDB numbers a compacted copy from 1 again, and a key would have a version twice."""
    for number in range(10):
        write(store, {"a": b"%d" % number})
    store.backup(tmp_path / "backup")
    stale = store.load("a")
    assert stale is not None
    with gs.LMDBStore(tmp_path / "backup") as backup:
        found = backup.load("a")
        assert found is not None
        for number in range(20):
            write(backup, {"a": b"%d" % number})
            last = backup.load("a")
            assert last is not None
            assert last.version > found.version
            found = last


def test_a_damaged_backup_is_not_restored(store: RecordStore, tmp_path: Path) -> None:
    """One flipped bit in a record, and the store is as it was."""
    write(store, {"a": b"first" * 20})
    store.backup(tmp_path / "backup")
    write(store, {"a": b"second"})
    data = bytearray((tmp_path / "backup").read_bytes())
    data[data.index(b"first" * 20)] ^= 1
    (tmp_path / "backup").write_bytes(data)
    with gs.LMDBStore(tmp_path / "backup", readonly=True) as backup, pytest.raises(gs.errors.Corrupt):
        store.restore_from(backup)
    assert store.load("a").data == b"second"  # type: ignore[union-attr]


def test_a_running_program_keeps_its_store(store: RecordStore, tmp_path: Path) -> None:
    """Nothing is restored under it; its own process may compact, and it goes on."""
    program = gs.reducer(int, lambda model, message: model + message)
    program = gs.Program(program.init, _add, name="sum")
    with gs.start(program, store=store, key="sum") as app:
        assert app.apply(1, timeout=30) == 1
        store.backup(tmp_path / "backup")
        with gs.LMDBStore(tmp_path / "backup", readonly=True) as backup, pytest.raises(gs.errors.LeaseHeld):
            store.restore_from(backup)
        store.compact()
        assert app.apply(2, timeout=30) == 3
    with gs.start(program, store=store, key="sum") as app:
        assert app.apply(3, timeout=30) == 6


class Late(gs.LMDBStore):
    """A backup, when the leases of whose target were looked at: something happens right afterwards."""

    def __init__(self, path: Path, then: Callable[[], object]) -> None:
        super().__init__(path, readonly=True)
        self._backend, self._then = self.backend, then
        del self.__dict__["backend"]

    def __getattr__(self, name: str) -> object:
        if name != "backend":
            raise AttributeError(name)
        self.__dict__["backend"] = self._backend
        self._then()
        return self._backend


@pytest.mark.processes
def test_a_program_that_begins_during_a_restore_writes_nothing(store: RecordStore, tmp_path: Path) -> None:
    """It has read what is gone: its next write raises, and the store is the backup, whole."""
    program = gs.Program(lambda: (0, ()), _add, name="sum")
    with gs.start(program, store=store, key="sum") as app:
        app.send(1)
    store.backup(tmp_path / "backup")
    with gs.start(program, store=store, key="sum") as app:
        app.send(*range(10))
    began: list[gs.App[int, int]] = []

    def begin() -> None:
        began.append(gs.start(program, store=store, key="sum"))
        assert began[0].apply(5, timeout=30) == 51

    with Late(tmp_path / "backup", begin) as backup:
        store.restore_from(backup)
    with pytest.raises(gs.GoStateError) as raised, began[0] as app:
        app.apply(5, timeout=30)
    assert isinstance(raised.value.__cause__, gs.errors.LeaseHeld)
    assert gs.verify(program, store.journal("sum", of=int)).ok
    assert gs.replay(program, store.journal("sum", of=int)) == 1


def _add(model: int, message: int) -> gs.Step[int, int]:
    return model + message, ()


# -------------------------------------------------------------------- compaction


@pytest.mark.processes
def test_a_compacted_file_holds_the_same_in_less(tmp_path: Path) -> None:
    """Keys, versions and messages stay, deleted bytes go, and it is written on at once; rights of the file stay as well."""
    path = tmp_path / "s.lmdb"
    with gs.LMDBStore(path) as store:
        write(store, {f"gone {number}": b"secret" * 1000 for number in range(100)})
        write(store, dict.fromkeys([f"gone {number}" for number in range(100)]))
        write(store, dict.fromkeys(KEYS, b"kept"))
        path.chmod(0o640)
        store.journal("j", of=int).put(*range(100))
        store.journal("j").flush()
        before, size = dict(store.snapshots()), path.stat().st_size
        store.compact()
        assert (dict(store.snapshots()), path.stat().st_mode & 0o777) == (before, 0o640)
        assert path.stat().st_size < size / 3
        assert b"secret" not in path.read_bytes()
        write(store, {"more": b"1"})
        assert store.load("more").version > max(each.version for each in before.values())  # type: ignore[union-attr]
        store.journal("j", of=int).put(100)
        assert [each.message for each in store.journal("j", of=int).read()] == list(range(100))
        store.journal("j").flush()
        store.check_damage()
    with gs.LMDBStore(path) as store:
        assert len(list(store.keys())) == len(KEYS) + 2  # a description of the messages' type among them
        assert len(list(store.journal("j", of=int).read())) == 101


OTHER = """
store = gs.LMDBStore(sys.argv[1])
version = store.load("key 1").version
print("open", flush=True)
for line in sys.stdin:
    try:
        if line == "read\\n":
            print(store.load("key 1").data.decode(), flush=True)
        else:
            store.store({"key 1": gs.abc.Write(b"lost", version)})
            print("written", flush=True)
    except gs.errors.StoreReplaced as error:
        print("replaced", flush=True)
store.close()
with gs.LMDBStore(sys.argv[1]) as store:
    print(store.load("key 1").data.decode(), store.store({"other": gs.abc.Write(b"1", 0)})["other"] > version, flush=True)
"""


@pytest.mark.processes
def test_another_process_never_uses_the_file_that_was_replaced(tmp_path: Path) -> None:
    """It is told at its next read or write, and goes on with the new file once it has opened the store again."""
    path = tmp_path / "s.lmdb"
    with gs.LMDBStore(path) as store:
        write(store, dict.fromkeys(KEYS, b"kept"))
        other = subprocess.Popen(
            [sys.executable, "-c", f"import sys, go_state as gs\n{OTHER}", path],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert other.stdin is not None
        assert other.stdout is not None

        def told() -> str:
            return str(other.stdout.readline())  # type: ignore[union-attr]

        assert told() == "open\n"
        store.compact()
        for number in range(10):  # both share the lock file, in which transactions are counted on
            write(store, {"key 1": b"%d" % number})
            for line in ("read\n", "write\n"):
                other.stdin.write(line)
                other.stdin.flush()
                assert told() == "replaced\n"
        other.stdin.close()
        assert told() == "9 True\n"
        assert other.wait() == 0
        other.stdout.close()
        assert store.load("other") is not None
        store.check_damage()


@pytest.mark.parametrize("exists", [True, False], ids=["exists", "is made"])
def test_a_file_that_is_compacted_while_it_is_opened_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exists: bool
) -> None:
    """What is written into the file that is there no longer would be lost, and nobody told."""
    path = tmp_path / "s.lmdb"
    if exists:
        with gs.LMDBStore(path) as store:
            write(store, {"key 1": b"before"})
    open_file = lmdb.open

    def open_and_exchange(*args: Any, **kwargs: Any) -> lmdb.Environment:
        monkeypatch.setattr("lmdb.open", open_file)
        opened = open_file(*args, **kwargs)
        opened.copy(f"{path}-new", compact=True)  # as another process does
        os.replace(f"{path}-new", path)
        return opened

    monkeypatch.setattr("lmdb.open", open_and_exchange)
    with gs.LMDBStore(path) as store:
        write(store, {"key 2": b"after"})
    with gs.LMDBStore(path) as store:
        assert list(store.keys()) == ["key 1", "key 2"][not exists :]


@pytest.mark.processes
@pytest.mark.slow
def test_many_processes_write_while_the_file_is_compacted(tmp_path: Path) -> None:
    """Each write that was told to be kept is there: 3 writers that open the store again, 30 compactions."""
    path = tmp_path / "s.lmdb"
    gs.LMDBStore(path).close()
    script = """
number, kept = 0, 0
while not os.path.exists(sys.argv[1] + "-end"):
    with gs.LMDBStore(sys.argv[1]) as store:
        try:
            while not os.path.exists(sys.argv[1] + "-end"):
                store.store({f"{sys.argv[2]} {number}": gs.abc.Write(b"x" * 500, 0)})
                kept, number = kept + 1, number + 1
        except gs.errors.StoreReplaced:
            pass
print(kept)
"""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", f"import os, sys, go_state as gs\n{script}", path, str(number)],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
        )
        for number in range(3)
    ]  # fmt: skip
    with gs.LMDBStore(path) as store:
        for _ in range(30):
            had = len(list(store.keys()))
            while len(list(store.keys())) < had + 5:
                time.sleep(0.001)
            store.compact()
    (tmp_path / "s.lmdb-end").touch()
    kept = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    with gs.LMDBStore(path) as store:
        assert [len(list(store.keys(f"{number} "))) for number in range(3)] == kept
        store.check_damage()


def test_threads_go_on_while_the_file_is_compacted(tmp_path: Path) -> None:
    """Their transactions wait, and none fails."""
    with gs.LMDBStore(tmp_path / "s.lmdb") as store, written_all_the_time(store) as done:
        for _ in range(10):
            had = done[-1]
            store.compact()
            while done[-1] == had:
                time.sleep(0.001)


def test_a_write_that_begins_while_the_file_is_exchanged_waits_for_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is not closed for it, though no file is open at that moment."""
    open_file, failed = lmdb.open, list[Exception]()

    def write_too() -> None:
        try:
            store.store({"key 2": gs.abc.Write(b"kept", 0)})
        except Exception as error:
            failed.append(error)

    def open_slowly(*args: Any, **kwargs: Any) -> lmdb.Environment:
        writer.start()
        writer.join(0.1)  # it waits, so this takes as long; one that does not wait has failed by then
        return open_file(*args, **kwargs)

    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        writer = threading.Thread(target=write_too)
        monkeypatch.setattr("lmdb.open", open_slowly)
        store.compact()
        writer.join()
        assert (failed, list(store.keys())) == ([], ["key 2"])


@pytest.mark.processes
def test_a_full_disk_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    """Neither a backup nor a compaction leaves half a file, and the store goes on."""
    script = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = gs.LMDBStore("s")
for number in range(200):
    store.store({str(number): gs.abc.Write(b"x" * 20_000, 0)})
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
for fn in (store.compact, lambda: store.backup("backup")):
    try:
        fn()
    except gs.errors.StoreError as error:
        print(type(error).__name__, "the store is as it was" in str(error))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(len(list(store.keys())), store.store({"again": gs.abc.Write(b"y", 0)})["again"] > 200, sorted(os.listdir()))
"""
    ended = run(f"os.chdir({str(tmp_path)!r})\n{script}")
    assert ended.stdout == "StoreUnavailable True\nStoreUnavailable True\n200 True ['s', 's-lock']\n", ended.stderr


# -------------------------------------------------------------------- reading, and what is made


@pytest.mark.processes
def test_a_store_that_is_only_read_is_not_written(tmp_path: Path) -> None:
    """Reads see what others write; a write is told what to do, and no file is made."""
    path = tmp_path / "s.lmdb"
    with pytest.raises(gs.errors.StoreUnavailable, match="there is no store at"):
        gs.LMDBStore(path, readonly=True)
    with pytest.raises(gs.errors.StoreUnavailable, match="none was made"):
        gs.LMDBStore(path, create=False)
    assert list(tmp_path.iterdir()) == []
    with gs.LMDBStore(path, create=True) as store:
        store.journal("j", of=int).put(1, 2)
    data = path.read_bytes()
    with gs.LMDBStore(path, readonly=True) as store:
        journal = store.journal("j", of=int)
        assert [each.message for each in journal.read()] == [1, 2]
        with pytest.raises(gs.errors.StoreUnavailable, match="readonly=True"):
            journal.put(3)
        with pytest.raises(gs.errors.StoreUnavailable, match="readonly=True"):
            store.store({"a": gs.abc.Write(b"1", 0)})
        with pytest.raises(gs.errors.StoreUnavailable, match="readonly=True"):
            store.compact()
        assert store.info().journals == 1
        store.check_damage()
        store.backup(tmp_path / "backup")
        with suppress(gs.errors.StoreUnavailable):  # closing a journal writes what was put, and cannot here
            journal.close()
    assert path.read_bytes() == data


@pytest.mark.processes
def test_a_read_only_file_system_is_read(tmp_path: Path) -> None:
    """No lock file can be made there, and none is needed: nobody writes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with gs.LMDBStore(folder / "s") as store:
        write(store, {"a": b"1"})
    (folder / "s-lock").unlink()
    inside = f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder} && exec {sys.executable} -c"
    script = "import sys, go_state as gs\nwith gs.LMDBStore(sys.argv[1], readonly=True) as store: print(store.load('a').data, store.info().keys)"
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", f'{inside} "$0" "$1"', script, str(folder / "s")]
    ran = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "b'1' 1\n"), ran.stderr


@pytest.mark.processes
def test_a_larger_map_of_another_process_is_taken_over(tmp_path: Path) -> None:
    """Who has opened the file with little room reads and writes on once another has made more of it."""
    path = tmp_path / "s.lmdb"
    with gs.LMDBStore(path, map_size=1 << 18) as store:
        write(store, {"a": b"1"})
        grown = run(
            "with gs.LMDBStore(sys.argv[1], map_size=1 << 24) as store:\n"
            "    store.store({str(number): gs.abc.Write(b'x' * 10_000, 0) for number in range(200)})",
            path,
        )
        assert grown.returncode == 0, grown.stderr
        assert len(list(store.keys())) == 201
        write(store, {"a": b"2" * 100_000})
        info = store.info()
        assert (info.map_size, info.room) == (1 << 24, (1 << 24) - (info.used or 0))


def test_a_store_says_what_it_holds(store: RecordStore) -> None:
    """Keys, snapshots that were kept, journals and the largest of them, and its size."""
    empty = store.info()
    assert (empty.keys, empty.keyframes, empty.journals, empty.largest) == (0, 0, 0, ())
    write(store, {"a": b"x" * 1000, "b": b"y" * 3_000_000})
    program = gs.Program(lambda: (0, ()), _add, name="sum")
    for name in ("large", "small"):
        with gs.start(program, store=store, key=name, snapshots=gs.Snapshots(every=10, keep=3)) as app:
            for number in range(500 if name == "large" else 1):
                app.send(number)
    info = store.info()
    assert (info.journals, [each.name for each in info.largest]) == (2, ["large", "small"])
    assert info.keyframes >= 2
    assert {"a", "b", "large", "small"} <= set(store.keys())
    assert info.keys == len(list(store.keys()))
    assert info.keys_bytes > 3_001_000
    assert info.bytes > 3_000_000 or info.map_size is None  # Postgres compresses
    assert sum(each.bytes for each in info.largest) == info.journals_bytes


def test_snapshots_are_given_in_order_however_many(store: RecordStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some in each transaction: each once, the large ones whole, also if they are written meanwhile."""
    monkeypatch.setattr("go_state.storage.records.models._AT_ONCE", 7)
    keys = sorted(f"{number:03}" for number in range(100))
    write(store, {key: key.encode() for key in keys})
    found = []
    for key, stored in store.snapshots():
        found.append((key, stored.data))
        write(store, {key: b"changed"})
    assert found == [(key, key.encode()) for key in keys]
    assert [key for key, _ in store.snapshots("05")] == [f"05{number}" for number in range(10)]


@pytest.mark.slow
@pytest.mark.processes
def test_a_store_of_many_keys_is_looked_at_in_little_memory(tmp_path: Path) -> None:
    """Lists and counts keep no row: 200,000 keys, and no more memory than for 2,000."""
    script = """
import io, contextlib
with gs.LMDBStore(sys.argv[1]) as store:
    number = int(sys.argv[2])
    for first in range(0, number, 1000):
        store.store({f"key {each:09}": gs.abc.Write(b"go_state" + b"x" * 100, 0) for each in range(first, first + 1000)})
    count = sum(1 for _ in store.snapshots())
    assert count == number == store.info().keys
print([line for line in open("/proc/self/status") if line.startswith("RssAnon")][0].split()[1])
"""
    few, many = (int(run(script, tmp_path / str(number), number).stdout) for number in (2_000, 200_000))
    assert many < few + 12_000  # KB; a list of their names alone would be 20,000


def test_compacting_beside_an_open_transaction_says_that_deleted_records_are_kept(postgres_server: PostgresServer) -> None:
    """The server keeps what such a transaction may still see, and whoever has erased something has to know."""
    import psycopg

    with gs.PostgresStore(postgres_server.dsn, schema=postgres_server.fresh_schema()) as store:
        write(store, {"a": b"secret"})
        with psycopg.connect(postgres_server.dsn) as connection:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            connection.execute("SELECT 1 FROM pg_class")
            write(store, {"a": None})
            with pytest.raises(gs.errors.StoreUnavailable, match=r"deleted records are still in it.*pg_stat_activity"):
                store.compact()
        store.compact()


def test_compacting_by_a_role_that_does_not_own_the_table_says_so(postgres_server: PostgresServer) -> None:
    """The server only warns, and leaves everything as it was."""
    import psycopg

    schema = postgres_server.fresh_schema()
    with gs.PostgresStore(postgres_server.dsn, schema=schema) as store:
        write(store, {"a": b"1"})
    role = f"reader_{schema}"
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'x'".encode())
        connection.execute(f'GRANT USAGE ON SCHEMA "{schema}" TO "{role}"'.encode())
        for what in ("TABLES", "SEQUENCES"):
            connection.execute(f'GRANT ALL ON ALL {what} IN SCHEMA "{schema}" TO "{role}"'.encode())
    dsn = psycopg.conninfo.make_conninfo(postgres_server.dsn, user=role, password="x")
    with (
        gs.PostgresStore(dsn, schema=schema) as store,
        pytest.raises(gs.errors.StoreUnavailable, match=r"not compacted \(.+\): the role has to own the table"),
    ):
        store.compact()


def test_a_lease_that_could_not_be_used_is_given_back(tmp_path: Path) -> None:
    """A store that is only read takes no journal over, and whoever has tried does not seem to run from then on."""
    program = gs.Program(lambda: (0, ()), _add, name="sum")
    with gs.LMDBStore(tmp_path / "s.lmdb") as store, gs.start(program, store=store, key="sum") as app:
        app.send(1)
    with gs.LMDBStore(tmp_path / "s.lmdb", readonly=True) as store:
        for _ in range(2):
            with pytest.raises(gs.errors.StoreUnavailable, match="readonly=True"):
                gs.history.rewrite(program, store.journal("sum"), lambda _: None)
            with pytest.raises(gs.errors.StoreUnavailable, match="readonly=True"):
                gs.history.forget(store, "sum")
            with pytest.raises(gs.errors.StoreUnavailable, match="readonly=True"):
                store.compact()
