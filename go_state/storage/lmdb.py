"""A store in one LMDB file: memory-mapped, transactional, readable by many processes while one writes.

The version of a record, whose frame is in `frames.py`, is the number of the LMDB transaction that wrote it, so a key never has one
twice. Every write transaction is opened, filled and committed in one call, because LMDB binds it to its thread, and always synced:
LMDB's no-sync flags are never used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from go_state.core.errors import Conflict, Corrupt, StoreFull, StoreUnavailable, UsageError
from go_state.core.ports import Stored, Write
from go_state.storage.frames import pack, unpack
from go_state.storage.keys import key_bytes

if TYPE_CHECKING:
    import lmdb

    from go_state.storage.description import Description
    from go_state.storage.journal import Journal
    from go_state.storage.journal_writing import Durability
    from go_state.storage.lease import Owner
    from go_state.storage.records import Snapshot

_MAP_SIZE = 1 << 36  # 64 GiB of address space, not of disk: the file grows as it is filled. Set once, because two processes
# that resize a map at the same time have corrupted files (py-lmdb issue 269).
_MAX_READERS = 1024  # threads of all processes that may read at once; LMDB's default is 126, a place costs 64 bytes
_LITTLE = 1 << 20  # bytes free on a disk that count as none when a write has failed
_PREFIX = b"s/"  # of snapshots, before other kinds of records join them; it also makes the empty key one that LMDB takes
_OPEN: WeakSet[LMDBStore] = WeakSet()  # of this process; see _forget_parents


def _forget_parents() -> None:
    """Let go of the environments that a forked child inherits: LMDB would take the files for open in the child."""
    for store in _OPEN:
        store._env = None
        for journal in store._journals.values():
            journal._forget_parent()


os.register_at_fork(after_in_child=_forget_parents)


class LMDBStore:
    """A store in the LMDB file at `path` (and `path-lock` beside it), made if it is missing.

    `map_size` is the most it may ever hold, in bytes. One process opens a file once and shares the store between its threads;
    other processes open it for themselves. After a fork the child opens its own.

    Raises `StoreUnavailable` when the file cannot be opened, `StoreFull` when it or the disk is, `Corrupt` for damaged records.
    """

    def __init__(self, path: str | os.PathLike[str], *, map_size: int = _MAP_SIZE) -> None:
        if not isinstance(map_size, int) or map_size < 1:
            raise UsageError(f"map_size is the most bytes the store may ever hold, not {map_size!r}")
        import lmdb  # here, and below: a program that stores nothing need not wait for it

        self.path = os.fspath(path)
        self._map_size = map_size
        self._pid = os.getpid()
        self._env: lmdb.Environment | None = None
        self._journals: dict[str, Journal[Any]] = {}
        try:
            self._env = lmdb.open(self.path, subdir=False, map_size=map_size, max_dbs=0, max_readers=_MAX_READERS)
            self._env.reader_check()  # frees the places of readers that were killed, and the pages they held
            _OPEN.add(self)
        except (lmdb.Error, OSError, ValueError, OverflowError) as error:
            raise StoreUnavailable(self._why_not(error)) from error

    def load(self, key: str) -> Stored | None:
        """Return what the key holds, or None; `Corrupt` when the record's bytes are not as they were written."""
        name = _PREFIX + key_bytes(key)
        with self._transaction() as transaction:
            record = transaction.get(name)
        return None if record is None else unpack(key, name, bytes(record))

    def store(self, writes: Mapping[str, Write]) -> Mapping[str, int]:
        """Make all writes or none, synced to disk, and return the new versions (0 for a deleted key).

        Raises `Conflict` when a key is not at the version its write names, and `StoreFull`; then nothing was written.
        """
        names = {key: _PREFIX + key_bytes(key) for key in writes}
        with self._transaction(write=True) as transaction:
            version = transaction.id()
            for key, write in writes.items():
                self._write(transaction, key, names[key], write)
        return {key: 0 if write.data is None else version for key, write in writes.items()}

    # ------------------------------------------------------------------ journals

    def journal(
        self, name: str, of: Any = None, *, durability: Durability | None = None, owner: Owner | None = None
    ) -> Journal[Any]:
        """Return the journal of this name: a `Buffer` that outlives the process. See `Journal`.

        `of` is the type of its messages, without which it can be read but not written. While it is open a store has one journal
        of a name. `durability` says when messages are committed to disk: "group", the default, or "put". Its first write takes the
        lease, and raises `Owned` when another process has it, or waits for it with `owner="wait"`.
        """
        from go_state.storage.journal import Journal  # here, and what it needs: a store without one need not wait for them
        from go_state.storage.lease import Lease
        from go_state.storage.records import Records

        found = self._journals.get(name)
        if found is not None and found.closed and found.is_read:
            raise UsageError(f"the journal {name!r} is closed, and its readers are not done: wait for them, or close them")
        if found is None or found.closed:
            how = durability or "group", owner or "fail"
            found = self._journals[name] = Journal(Records(self, name), Lease(self.path, name), *how)
        elif durability is not None and durability != found.durability:
            raise UsageError(f"the journal {name!r} is open already, with durability={found.durability!r}: close it first")
        if of is not None:
            found.give_type(of)
        return found

    def journal_names(self) -> list[str]:
        """Return the names of the journals in the store."""
        with self._transaction() as transaction, transaction.cursor() as cursor:
            return [name[2:-2].decode() for name in _names(cursor, b"j/") if name.endswith(b"\0m")]

    def keyframes(self, key: str) -> list[int]:
        """Return the positions of the snapshots that were kept of a journalled program besides the newest, oldest first."""
        prefix = b"k/" + key_bytes(key) + b"\0"
        with self._transaction() as transaction, transaction.cursor() as cursor:
            return [int.from_bytes(name[len(prefix) :], "big") for name in _names(cursor, prefix)]

    def load_keyframe(self, key: str, position: int) -> Stored | None:
        """Return the snapshot that was kept of the model before the message at the position, or None."""
        name = _keyframe(key, position)
        with self._transaction() as transaction:
            record = transaction.get(name)
        return None if record is None else unpack(key, name, bytes(record))

    def restore(self, key: str, position: int) -> None:
        """Make a keyframe of a journalled program its newest snapshot; those after it go, damaged or not."""
        name, keyframe, prefix = _PREFIX + key_bytes(key), _keyframe(key, position), b"k/" + key_bytes(key) + b"\0"
        with self._transaction(write=True) as transaction:
            record = transaction.get(keyframe)
            if record is None:
                raise UsageError(f"no snapshot of {key!r} was kept at position {position}: there are {self.keyframes(key)}")
            data = unpack(key, keyframe, bytes(record)).data
            transaction.put(name, pack(name, transaction.id(), data))
            with transaction.cursor() as cursor:
                for each in _names(cursor, prefix):
                    if each >= keyframe:
                        transaction.delete(each)

    def _keep_snapshot(self, transaction: lmdb.Transaction, snapshot: Snapshot) -> None:
        """Write a snapshot inside a journal's transaction; the one it replaces becomes a keyframe, and the oldest of them go."""
        key, name = snapshot.key, _PREFIX + key_bytes(snapshot.key)
        old = self._write(transaction, key, name, snapshot.write)
        keeps = snapshot.keep > 1 or snapshot.needed < snapshot.position
        if snapshot.replaces is not None and old is not None and keeps:
            keyframe = _keyframe(key, snapshot.replaces)
            transaction.put(keyframe, pack(keyframe, old.version, old.data))
        with transaction.cursor() as cursor:
            kept = _names(cursor, b"k/" + key_bytes(key) + b"\0")
        too_many = kept[: max(len(kept) - (snapshot.keep - 1), 0)]
        leads_there = [keyframe for keyframe in kept if keyframe <= _keyframe(key, snapshot.needed)][-1:]
        for keyframe in too_many:
            if snapshot.position <= snapshot.needed or keyframe not in leads_there:
                transaction.delete(keyframe)

    def _remember(self, transaction: lmdb.Transaction, types: Description) -> None:
        """Put the description of types into the store, unless it is there, inside a journal's transaction."""
        name = _PREFIX + key_bytes(types.key)
        if transaction.get(name) is None:
            transaction.put(name, pack(name, transaction.id(), types.data))

    def _write(self, transaction: lmdb.Transaction, key: str, name: bytes, write: Write) -> Stored | None:
        """Make one write, behind its fence, and return what it replaces."""
        record = transaction.get(name)
        old = None if record is None else unpack(key, name, bytes(record))
        found = 0 if old is None else old.version
        if found != write.version:
            raise Conflict(key, write.version, found)
        if write.data is None:
            transaction.delete(name)
        else:
            transaction.put(name, pack(name, transaction.id(), write.data))
        return old

    def _damaged(self) -> Iterator[tuple[str, str]]:
        """Read every record of the file and give the names of those that are damaged, and what is wrong with them."""
        with self._transaction() as transaction, transaction.cursor() as cursor:
            for each, record in cursor:
                name = bytes(each)
                try:
                    unpack(ascii(name)[2:-1], name, bytes(record))
                except Corrupt as error:
                    yield error.key, error.what

    def check_usable(self) -> None:
        """Raise `StoreUnavailable` when the store is closed, or another process has opened it."""
        if os.getpid() != self._pid:
            raise StoreUnavailable(
                f"{self.path} was opened before this process was forked, which LMDB does not survive: open an LMDBStore in the child"
            )
        if self._env is None:
            raise StoreUnavailable(f"the store {self.path} is closed: use it inside its `with` block")

    # ------------------------------------------------------------------ keys

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Give the keys with this prefix, in the order of their bytes."""
        start = _PREFIX + key_bytes(prefix)
        with self._transaction() as transaction, transaction.cursor() as cursor:
            return iter([name[len(_PREFIX) :].decode() for name in _names(cursor, start)])

    def close(self) -> None:
        """Close the journals, with all that was put on disk, and release the file; a second call is harmless."""
        try:
            with ExitStack() as ends:  # each is ended, also where another fails
                for journal in self._journals.values():
                    ends.callback(journal._end)
        finally:
            env, self._env = self._env, None
            if env is not None:
                env.close()

    # ------------------------------------------------------------------

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Iterator[lmdb.Transaction]:
        """Open a transaction for one call; it is committed at the end of the block, or undone by an exception."""
        import lmdb

        self.check_usable()
        assert self._env is not None  # or it would not be usable
        try:
            with self._env.begin(write=write) as transaction:
                yield transaction
        except lmdb.MapFullError as error:
            raise StoreFull(
                f"{self.path} is full: nothing of this write was kept and nothing stored before is lost; open it with a "
                f"map_size above {self._map_size}"
            ) from error
        except (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.PanicError, lmdb.InvalidError) as error:
            raise Corrupt(self.path, f"LMDB cannot follow its pages: {error}") from error
        except lmdb.Error as error:
            if not write:
                raise StoreUnavailable(f"{self.path} could not be read: {error}") from error
            kept = "nothing of this write was kept and nothing stored before is lost"
            if self._disk_is_full():  # LMDB calls it an input/output error
                raise StoreFull(f"the disk of {self.path} is full: {kept}; free space on it") from error
            raise StoreUnavailable(f"{self.path} could not be written ({error}): {kept}") from error

    def _disk_is_full(self) -> bool:
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize < _LITTLE

    def _why_not(self, error: Exception) -> str:
        import lmdb

        path, folder = self.path, os.path.dirname(os.path.abspath(self.path))
        if isinstance(error, lmdb.InvalidError):
            return f"{path} is no LMDB file, or is damaged ({error}): give another path, or restore it from a backup"
        if "already open" in str(error):
            return f"{path} is already open in this process: open it once and hand the store to whoever needs it"
        if os.path.isdir(path):
            return f"{path} is a folder: an LMDBStore is one file in it, such as {path}/state.lmdb"
        if "denied" not in str(error) and not os.path.isdir(folder):
            return f"{folder} is no folder: make it first"
        return f"{path} cannot be opened ({error}): check that it and {path}-lock can be read and written"

    def __enter__(self) -> LMDBStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _names(cursor: lmdb.Cursor, prefix: bytes) -> list[bytes]:
    """Return the names that begin with the prefix, in order."""
    found: list[bytes] = []
    if cursor.set_range(prefix):
        for each in cursor.iternext(keys=True, values=False):
            name = bytes(each)
            if not name.startswith(prefix):
                break
            found.append(name)
    return found


def _keyframe(key: str, position: int) -> bytes:
    return b"k/" + key_bytes(key) + b"\0" + position.to_bytes(8, "big")
