"""A store in one LMDB file: memory-mapped, transactional, readable by many processes while one writes.

Every write transaction is opened, filled and committed in one call, because LMDB binds it to its thread, and always synced:
LMDB's no-sync flags are never used.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from go_state.core.errors import Corrupt, StoreFull, StoreUnavailable, UsageError
from go_state.storage.backends.lmdb_file import Identity, check_before_opening, check_whole, identity, real_path, seen
from go_state.storage.records.record_store import RecordStore
from go_state.storage.records.transaction import Transaction

if TYPE_CHECKING:
    import lmdb

    from go_state.storage.records.lease import Lease

_MAP_SIZE = 1 << 36  # 64 GiB of address space, not of disk: the file grows as it is filled. Set once, because two processes
# that resize a map at the same time have corrupted files (py-lmdb issue 269).
_MAX_READERS = 1024  # threads of all processes that may read at once; LMDB's default is 126, a place costs 64 bytes
_LITTLE = 1 << 20  # bytes free on a disk that count as none when a write has failed


class LMDBStore(RecordStore):
    """A store in the LMDB file at `path` (and `path-lock` beside it), made if it is missing.

    `map_size` is the most it may ever hold, in bytes. One process opens a file once and shares the store between its threads;
    other processes open it for themselves. After a fork the child opens its own. Symbolic links to the file are followed when it is
    opened, so that it is one store by whatever name; hard links to it are refused. Copy the file while no process has it open: a
    copy that is made beside a writer has parts of several transactions.

    Raises `StoreUnavailable` when the file cannot be opened, or is no longer the one that was opened, `StoreFull` when it or the
    disk is full, and `Corrupt` for a file that is cut short or empty, and for damaged records.
    """

    def __init__(self, path: str | os.PathLike[str], *, map_size: int = _MAP_SIZE) -> None:
        if not isinstance(map_size, int) or map_size < 1:
            raise UsageError(f"map_size is the most bytes the store may ever hold, not {map_size!r}")
        import lmdb  # here, and below: a program that stores nothing need not wait for it

        super().__init__()
        self.path = real_path(path)  # what locks it lies beside it, whatever it is called
        self._map_size = map_size
        self._pid = os.getpid()
        self._own = threading.local()  # of each thread, the transaction that `writes`
        self._env: lmdb.Environment | None = None
        check_before_opening(self.path)
        try:
            self._env = lmdb.open(self.path, subdir=False, map_size=map_size, max_dbs=0, max_readers=_MAX_READERS)
            self._env.reader_check()  # frees the places of readers that were killed, and the pages they held
            self._check_whole(self._env)
        except (lmdb.Error, OSError, ValueError, OverflowError) as error:
            self._release()
            raise StoreUnavailable(self._why_not(error)) from error
        except Corrupt:
            self._release()
            raise
        self._size = 0  # that the file had; LMDB never makes it smaller
        self._files: tuple[Identity | None, Identity | None] | None = None
        self._files = self._identities()  # two openings that cross with a replacement find different ones from here on

    def _check_whole(self, env: lmdb.Environment) -> None:
        """Raise `Corrupt` when the file is shorter than it says, unless what it lacks is free."""
        for tries_left in (2, 1, 0):  # beside a writer the list of free pages may have moved on before it was read
            with env.begin() as transaction:
                said = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
                if os.path.getsize(self.path) >= said:
                    return
                try:
                    check_whole(self.path, transaction.id())
                    return
                except Corrupt:
                    if not tries_left:
                        raise

    def _identities(self) -> tuple[Identity | None, Identity | None]:
        return self._identity(), identity(f"{self.path}-lock")

    def _identity(self) -> Identity | None:
        """Return which file lies at the path; `Corrupt` where the one that was opened has become smaller.

        LMDB would read where nothing is, which the system answers by ending the process.
        """
        had = self._size  # before the next line: the file may grow meanwhile
        found, size = seen(self.path)
        if self._files is None or found == self._files[0]:
            if size < had:
                raise Corrupt(
                    self.path, f"the file is cut short: it has {size:,} bytes, and had {had:,} when it was opened, or since"
                )
            self._size = size
        return found

    def _check_in_place(self) -> None:
        """Raise `StoreUnavailable` when another file lies at the path: what is written to the one that was opened would be lost."""
        if self._identities() != self._files:
            raise StoreUnavailable(
                f"{self.path}, or {self.path}-lock, was replaced or removed while the store was open, and nothing was written: "
                f"open the store again"
            )

    def check_usable(self) -> None:
        """Raise `StoreUnavailable` when the store is closed, or another process has opened it."""
        if os.getpid() != self._pid:
            raise StoreUnavailable(
                f"{self.path} was opened before this process was forked, which LMDB does not survive: open an LMDBStore in the child"
            )
        if self._env is None:
            raise StoreUnavailable(f"the store {self.path} is closed: use it inside its `with` block")

    @property
    def where(self) -> str:
        """The file's path."""
        return self.path

    def check_not_own(self, path: str | os.PathLike[str]) -> None:
        """Raise `UsageError` for the store's file, or the one that locks it, by whatever name."""
        if identity(os.fspath(path)) in (self._files or ()):
            raise UsageError(f"{os.fspath(path)} is a file of the store itself, which it would destroy: give another one")

    def check_damage(self) -> None:
        """Read the whole file, in a process of its own, which a damaged page may end."""
        from go_state.storage.backends.check import check_file

        self._identity()
        check_file(self)

    def _lease(self, journal: str) -> Lease:
        from go_state.storage.records.lease import FileLease

        return FileLease(self.path, journal)

    def after_fork_in_child(self) -> None:
        self._env = None
        super().after_fork_in_child()

    def _release(self) -> None:
        env, self._env = self._env, None
        if env is not None:
            env.close()

    @contextmanager
    def _transaction(self, *, write: bool = False) -> Iterator[Transaction]:
        """Open a transaction for one call; it is committed at the end of the block, or undone by an exception."""
        import lmdb

        self.check_usable()
        assert self._env is not None  # or it would not be usable
        if write:
            self._check_in_place()
            self._abort_interrupted()
        else:
            self._identity()
        try:
            with self._env.begin(write=write) as transaction:
                if not write:
                    yield _LMDBTransaction(transaction)
                    return
                self._own.writes = transaction
                try:
                    yield _LMDBTransaction(transaction)
                finally:
                    self._own.writes = None
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

    def _abort_interrupted(self) -> None:
        """End this thread's last write, which Ctrl-C has kept from its end if it has not come there: no other could begin."""
        import lmdb

        last = getattr(self._own, "writes", None)
        if last is not None:
            with suppress(lmdb.Error):  # it has come to its end
                last.abort()

    def _disk_is_full(self) -> bool:
        from shutil import disk_usage

        return disk_usage(os.path.dirname(self.path) or ".").free < _LITTLE

    def _why_not(self, error: Exception) -> str:
        import lmdb

        path, folder = self.path, os.path.dirname(os.path.abspath(self.path))
        if isinstance(error, lmdb.InvalidError):
            whole = "a copy that was made while no process had it open"
            return f"{path} is no LMDB file, or is damaged ({error}): give another path, or put back {whole}"
        if isinstance(error, lmdb.MemoryError):
            return (
                f"{path} cannot be opened, because a process may not have {self._map_size} bytes of address space here "
                f"(see ulimit -v): give a smaller map_size, which is the most that the store may ever hold"
            )
        if "already open" in str(error):
            return f"{path} is already open in this process: open it once and hand the store to whoever needs it"
        if os.path.isdir(path):
            return f"{path} is a folder: an LMDBStore is one file in it, such as {path}/state.lmdb"
        if "denied" not in str(error) and not os.path.isdir(folder):
            return f"{folder} is no folder: make it first"
        return f"{path} cannot be opened ({error}): check that it and {path}-lock can be read and written"


class _LMDBTransaction:
    """A transaction of LMDB, whose buffers are copied: they are gone with it."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: lmdb.Transaction) -> None:
        self._transaction = transaction

    def id(self) -> int:
        """Return its number."""
        number: int = self._transaction.id()
        return number

    def get(self, name: bytes) -> bytes | None:
        """Return the record of that name, or None."""
        found = self._transaction.get(name)
        return None if found is None else bytes(found)

    def at_or_before(self, name: bytes, most: int | None = None) -> tuple[bytes, bytes] | None:
        """Return the last name that is not after this one, with the beginning of its record."""
        with self._transaction.cursor() as cursor:
            found = cursor.set_range(name)
            if not (found and bytes(cursor.key()) == name):
                found = cursor.prev() if found else cursor.last()
            return (bytes(cursor.key()), bytes(cursor.value()[:most])) if found else None

    def names(self, prefix: bytes) -> list[bytes]:
        """Return the names that begin with the prefix, in order."""
        found: list[bytes] = []
        with self._transaction.cursor() as cursor:
            if cursor.set_range(prefix):
                for each in cursor.iternext(keys=True, values=False):
                    name = bytes(each)
                    if not name.startswith(prefix):
                        break
                    found.append(name)
        return found

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Give the names that begin with the prefix, in order, with their records."""
        with self._transaction.cursor() as cursor:
            if cursor.set_range(prefix):
                for each, record in cursor:
                    name = bytes(each)
                    if not name.startswith(prefix):
                        return
                    yield name, bytes(record)

    def put(self, name: bytes, record: bytes) -> None:
        """Write the record."""
        self._transaction.put(name, record)

    def delete(self, name: bytes) -> None:
        """Delete the record, if it is there."""
        self._transaction.delete(name)

    def delete_range(self, first: bytes, end: bytes) -> None:
        """Delete the records from the name `first` on to before the name `end`."""
        with self._transaction.cursor() as cursor:
            found = cursor.set_range(first)
            while found and bytes(cursor.key()) < end:
                found = cursor.delete()

    def announce(self, journal: str) -> None:
        """Tell nobody: LMDB cannot."""
