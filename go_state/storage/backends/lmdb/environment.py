"""An LMDB file as a backend: transactions over its records, memory-mapped, many readers beside one writer in any process.

Every write transaction is opened, filled and committed in one call, because LMDB binds it to its thread, and is always synced:
LMDB's no-sync flags are never used.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from go_state.core.errors import Corrupt, StoreFull, StoreUnavailable, UsageError
from go_state.storage.backends.lmdb.copying import check_can_exchange, exchange, finish_copy, new_file, published, remove_left
from go_state.storage.backends.lmdb.file import (
    check_before_opening,
    check_whole,
    disk_is_full,
    free_pages,
    room_for,
    why_not_opened,
)
from go_state.storage.backends.lmdb.in_use import InUse
from go_state.storage.backends.lmdb.place import Place
from go_state.storage.records.backend import Space, Transaction

if TYPE_CHECKING:
    import lmdb

    from go_state.storage.records.lease import Lease

_MAX_READERS = 1024  # threads of all processes that may read at once; LMDB's default is 126, a place costs 64 bytes


class LMDBEnvironment:
    """The open file at `path`, and the one at `path-lock`; a `Backend`. See `LMDBStore` for what it is given, and what it raises."""

    def __init__(self, path: str, map_size: int | None, *, readonly: bool = False, create: bool = True) -> None:
        self.path = path
        self.readonly = readonly
        self.environment: lmdb.Environment | None = None  #: LMDB's own, while it is open
        self._map_size = room_for(path) if map_size is None else map_size
        self._in_parent = False
        self._closed = False
        self._own = threading.local()  # of each thread, the transaction that `writes`
        self._place = Place(path)
        self._in_use = InUse()
        check_before_opening(path, create=create and not readonly)
        self._open()

    def _open(self) -> None:
        """Open the file at the path, and open it again if it is another one by then.

        A process that compacts the file puts a new one in its place at any moment; what is written to the one before would be lost.
        """
        while True:
            with self._place.opening():
                try:
                    self._open_what_lies_there()
                except Corrupt:  # or the file that is there now was taken for the one that was opened
                    if self._place.is_unchanged():
                        raise
                else:
                    if self._place.is_unchanged():
                        return
                    self._close_file()

    def _open_what_lies_there(self) -> None:
        import lmdb  # here, and below: a program that stores nothing need not wait for it

        try:
            self.environment = lmdb.open(
                self.path, subdir=False, map_size=self._map_size, max_dbs=0, max_readers=_MAX_READERS, readonly=self.readonly,
                create=not self.readonly,
            )  # fmt: skip
            self.environment.reader_check()  # frees the places of readers that were killed, and the pages they held
            self._check_whole(self.environment)
        except (lmdb.Error, OSError, ValueError, OverflowError) as error:
            self._close_file()
            is_another, room = (
                isinstance(error, lmdb.InvalidError),
                self._map_size if isinstance(error, lmdb.MemoryError) else None,
            )
            raise StoreUnavailable(why_not_opened(self.path, error, is_another=is_another, room=room)) from error
        except Corrupt:
            self._close_file()
            raise

    def _check_whole(self, env: lmdb.Environment) -> None:
        """Raise `Corrupt` if the file is shorter than it says, unless the missing pages are free ones."""
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

    def check_usable(self) -> None:
        """Raise `StoreUnavailable` if the store is closed, or was opened before this process was forked.

        Not while the file is being exchanged: a transaction that begins meanwhile waits for the new one.
        """
        if self._in_parent:
            raise StoreUnavailable(
                f"{self.path} was opened before this process was forked, which LMDB does not survive: open an LMDBStore in the child"
            )
        if self._closed:
            raise StoreUnavailable(f"the store {self.path} is closed: use it inside its `with` block")

    def _usable(self) -> lmdb.Environment:
        """Return LMDB's own, inside of a transaction of `_in_use`."""
        self.check_usable()
        if self.environment is None:  # the file was exchanged, and Ctrl-C, or an error, came before the new one was open
            raise self._place.replaced("nothing was read or written")
        return self.environment

    @property
    def where(self) -> str:
        """The file's path."""
        return self.path

    def check_not_own(self, path: str | os.PathLike[str]) -> None:
        """Raise `UsageError` for the store's file, or the one that locks it, under whatever name."""
        if self._place.has(os.fspath(path)):
            raise UsageError(f"{os.fspath(path)} is a file of the store itself, which it would destroy: give another one")

    def check_damage(self) -> None:
        """Read the whole file in a process of its own, because a damaged page may end the process that reads it."""
        from go_state.storage.backends.lmdb.check import check_file

        self._place.look()
        check_file(self.path)

    def lease(self, journal: str) -> Lease:
        from go_state.storage.backends.lmdb.lease import FileLease

        return FileLease(self.path, journal)

    def follow(self, journal: str, grown: Callable[[], object]) -> Callable[[], object]:
        """Do nothing: LMDB notifies no other process."""
        return _do_nothing

    def after_fork_in_child(self) -> None:
        self.environment, self._in_parent = None, True

    def release(self) -> None:
        """Close the file; a second call is harmless."""
        self._closed = True
        self._close_file()

    def _close_file(self) -> None:
        environment, self.environment = self.environment, None
        if environment is not None:
            environment.close()

    # ------------------------------------------------------------------ transactions

    @contextmanager
    def transaction(self, *, write: bool = False, of: Collection[bytes] | None = None) -> Iterator[Transaction]:
        """Open a transaction for one block; it is committed at the end of the block, or undone by an exception.

        LMDB has one writer at a time, so whoever writes has the whole file to itself, whatever `of` says.
        """
        import lmdb

        if write and (self.readonly or self.environment is None):
            self._check_may_write()
        token = object()
        try:
            # Without a context manager for each of these, which would cost a read as much again.
            try:
                self._in_use.begin(token)
                with self._to_write() if write else self._to_read() as transaction:
                    yield _LMDBTransaction(transaction)
                return
            finally:
                try:
                    if write:
                        self._own.writes = None
                    self._in_use.end(token)
                except BaseException:
                    self._in_use.end(token)
                    raise
        except lmdb.MapResizedError:  # when it begins: another process has given the file a larger map
            pass
        except lmdb.Error as error:
            raise self._failed(error, write) from error
        self._take_over_map()
        with self.transaction(write=write) as again:
            yield again

    def _check_may_write(self) -> None:
        self.check_usable()
        if self.readonly:
            raise StoreUnavailable(f"{self.path} was opened with readonly=True, and nothing was written: open it without")

    def _to_read(self) -> lmdb.Transaction:
        self._place.check_readable()
        return (self.environment or self._usable()).begin()

    def _to_write(self) -> lmdb.Transaction:
        """Begin the file's one write; this thread's last one is ended first, if Ctrl-C has interrupted it before its end."""
        self._place.check_writable()
        if getattr(self._own, "writes", None) is not None:
            self._abort_interrupted()
        transaction = self._own.writes = (self.environment or self._usable()).begin(write=True)
        try:
            # Once more, now that no other process writes: whoever exchanges the file does it as its only writer.
            self._place.check_writable()
        except BaseException:
            transaction.abort()
            raise
        return transaction

    def _take_over_map(self) -> None:
        """Use as large a map as another process has given the file."""
        with self._in_use.by_none(self.path):
            environment = self._usable()
            environment.set_mapsize(0)
            self._map_size = environment.info()["map_size"]

    # ------------------------------------------------------------------ the file as a whole

    def backup(self, path: str) -> None:
        """Write what is committed now into a new file at the path, without free pages, on disk; beside whoever writes."""
        import lmdb

        with published(path) as new:
            try:
                with self._in_use.by_one():
                    environment = self._usable()
                    self._place.check_readable()
                    environment.copy(new, compact=True)
                    number = environment.info()["last_txnid"]  # or that of a later one, which does as well
            except lmdb.Error as error:
                raise self._not_copied(path, error) from error
            finish_copy(new, number)

    def compact(self) -> None:
        """Put a copy without free pages in the file's place, as its only writer; other processes have to open it again.

        The copy goes on with the number of the last transaction, which the lock file has as well: so the two files may have one.
        """
        import lmdb

        self._check_may_write()
        check_can_exchange(self.path)
        with self._in_use.by_none(self.path):
            try:
                with self._to_write() as transaction, new_file(f"{self.path}-compact") as new:
                    remove_left(new)
                    self._usable().copy(new, compact=True)
                    finish_copy(new, transaction.id() - 1, like=self.path)
                    exchange(new, self.path)
            except lmdb.Error as error:
                raise self._not_copied(self.path, error) from error
            finally:
                self._own.writes = None
            self._close_file()
            self._open()

    def sizes(self) -> Iterator[tuple[bytes, int]]:
        """Give every name, in order, with the number of bytes that its record has; the records themselves are not read."""
        with self._in_use.by_one():
            self._place.check_readable()
            with self._usable().begin(buffers=True) as transaction, transaction.cursor() as cursor:
                for name in cursor.iternext(keys=True, values=False):
                    yield bytes(name), len(cursor.value())

    def space(self) -> Space:
        """Return how much room the file takes and has."""
        with self._in_use.by_one(), self._to_read() as transaction:
            info, page = self._usable().info(), self._usable().stat()["psize"]
            free = free_pages(self.path, transaction.id())
            readers = max(self._usable().readers().count("\n") - 1, 0)
        return Space(os.path.getsize(self.path), info["map_size"], (info["last_pgno"] + 1 - free) * page, free * page, readers)

    def _not_copied(self, path: str, error: lmdb.Error) -> StoreFull | StoreUnavailable:
        folder = os.path.dirname(os.path.abspath(path))
        if disk_is_full(folder) or "space" in str(error):
            return StoreFull(f"the disk of {folder} is full: nothing was copied, and the store is as it was; free space on it")
        return StoreUnavailable(f"{self.path} could not be copied to {path} ({error}): the store is as it was")

    # ------------------------------------------------------------------ errors

    def _failed(self, error: lmdb.Error, write: bool) -> Corrupt | StoreFull | StoreUnavailable:
        """Return LMDB's error in our words."""
        import lmdb

        kept = "nothing of this write was kept and nothing stored before is lost"
        match error:
            case lmdb.MapFullError():
                return StoreFull(f"{self.path} is full: {kept}; open it with a map_size above {self._map_size}")
            case lmdb.CorruptedError() | lmdb.PageNotFoundError() | lmdb.PanicError() | lmdb.InvalidError():
                return Corrupt(self.path, f"LMDB cannot follow its pages: {error}")
        if not write:
            return StoreUnavailable(f"{self.path} could not be read: {error}")
        if disk_is_full(os.path.dirname(self.path)):  # LMDB calls it an input/output error
            return StoreFull(f"the disk of {self.path} is full: {kept}; free space on it")
        return StoreUnavailable(f"{self.path} could not be written ({error}): {kept}")

    def _abort_interrupted(self) -> None:
        """End this thread's last write if Ctrl-C has interrupted it before its end: no other write could begin."""
        import lmdb

        with suppress(lmdb.Error):  # it was not interrupted
            self._own.writes.abort()


class _LMDBTransaction:
    """A transaction of LMDB. Its buffers are copied, because they end with it."""

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

    def beginning(self, name: bytes) -> bytes | None:
        """Return the record: it is in memory as a whole."""
        return self.get(name)

    def get_many(self, names: Collection[bytes]) -> dict[bytes, bytes]:
        """Return those of the records that there are, by name."""
        get = self._transaction.get
        return {name: bytes(found) for name in names if (found := get(name)) is not None}

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

    def items(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Give the names that begin with the prefix, in order, from the name `start` on, with their records."""
        with self._transaction.cursor() as cursor:
            if cursor.set_range(max(prefix, start)):
                for each, record in cursor:
                    name = bytes(each)
                    if not name.startswith(prefix):
                        return
                    yield name, bytes(record)

    def put(self, name: bytes, record: bytes) -> None:
        """Write the record."""
        self._transaction.put(name, record)

    def delete(self, name: bytes) -> None:
        """Delete the record, if there is one."""
        self._transaction.delete(name)

    def delete_range(self, first: bytes, end: bytes) -> None:
        """Delete the records from the name `first` on to before the name `end`."""
        with self._transaction.cursor() as cursor:
            found = cursor.set_range(first)
            while found and bytes(cursor.key()) < end:
                found = cursor.delete()

    def announce(self, journal: str) -> None:
        """Do nothing: LMDB notifies no other process."""


def _do_nothing() -> None:
    """End nothing."""
