"""The transactions of an LMDB file: each waits while the file is being exchanged, and begins only on the file that is at the path.

    transaction ──▶ InUse: it counts as open ──▶ Place: the file is still the one that was opened ──▶ LMDB ──▶ committed, or undone

Every write transaction is opened, filled and committed in one call, because LMDB binds it to its thread, and is always synced:
LMDB's no-sync flags are never used.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from go_state.core.errors import Corrupt, StoreReplaced, StoreUnavailable
from go_state.storage.backends.lmdb.errors import in_our_words
from go_state.storage.backends.lmdb.file import Identity, identity, identity_of, seen
from go_state.storage.records.backend import Transaction

if TYPE_CHECKING:
    import lmdb

_PATIENCE = 60.0  # seconds for the transactions that are open to end: none takes long, but one of a stopped thread never ends


class Place:
    """The path of a store and of LMDB's lock file beside it, with what lay there when the store was opened."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock_path = f"{path}-lock"  # LMDB's own, beside the file
        self._size = 0  # that the file had; LMDB never makes it smaller
        self._files: tuple[Identity | None, Identity | None] | None = None

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Note which files are at the path before LMDB opens them, for the length of the block.

        Another process may put another file there while LMDB opens the one before. The file that is noted stays open for the block,
        so that no file that comes after it can be given its inode and pass for it.
        """
        self._size, self._files = 0, (None, identity(self._lock_path))
        try:
            held = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # there is none yet, or LMDB says what is wrong with it
            yield
            return
        try:
            self._files = identity_of(held), self._files[1]
            yield
        finally:
            os.close(held)

    def is_unchanged(self) -> bool:
        """Return whether the files that were there before they were opened are there still: LMDB has opened these."""
        return self._files == (identity(self.path), identity(self._lock_path))

    def look(self) -> Identity | None:
        """Return which file is at the path; `Corrupt` if the file that was opened has become smaller.

        LMDB would read beyond its end, and the system would end the process.
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

    def check_readable(self) -> None:
        """Raise `StoreReplaced` if another file is at the path: what is read would be of the past."""
        found = self.look()
        if self._files is not None and found != self._files[0]:
            raise self.replaced("nothing was read")

    def check_writable(self) -> None:
        """Raise `StoreReplaced` if another file is at the path: what is written to the one that was opened would be lost."""
        had = self._size  # before the next line: the file may grow meanwhile
        try:
            file, lock = os.stat(self.path), os.stat(self._lock_path)
        except OSError:
            raise self.replaced("nothing was written") from None
        if ((file.st_dev, file.st_ino), (lock.st_dev, lock.st_ino)) != self._files:
            raise self.replaced("nothing was written")
        if file.st_size < had:
            self.look()  # raises that it is cut short
        self._size = file.st_size

    def replaced(self, what: str) -> StoreReplaced:
        """Return the error of a store that has to be opened again."""
        return StoreReplaced(
            f"{self.path}, or {self._lock_path}, was replaced or removed while the store was open, as when it is compacted, and "
            f"{what}: open the store again"
        )

    def has(self, path: str) -> bool:
        """Return whether the path is one of the two files, under whatever name."""
        return identity(path) in (self._files or ())


class InUse:
    """Knows which transactions are open. Each waits while the file is being exchanged, or is about to be.

    A transaction that a thread opens beside another of its own does not wait: who is about to exchange the file waits for that one.
    What ends is ended a second time if Ctrl-C may have cut the first short: nobody would ever be alone with the file otherwise.
    """

    def __init__(self) -> None:
        # Guards the two below. Entered itself, not through the condition, whose `with` Ctrl-C can leave locked.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._open: dict[object, int] = {}  # the threads of the transactions
        self._exchanging: object = None  # who exchanges the file, or is about to

    @contextmanager
    def by_one(self) -> Iterator[None]:
        """Count a transaction as open for the block."""
        token = object()
        try:
            self.begin(token)
            yield
        finally:
            try:
                self.end(token)
            except BaseException:
                self.end(token)
                raise

    def begin(self, token: object) -> None:
        """Count a transaction as open; `end` is called in any case."""
        thread = threading.get_ident()
        with self._lock:
            while self._exchanging is not None and thread not in self._open.values():
                self._changed.wait()
            self._open[token] = thread

    def end(self, token: object) -> None:
        """Count it as open no longer; done once more if Ctrl-C may have cut it short."""
        with self._lock:
            self._open.pop(token, None)
            if self._exchanging is token:
                self._exchanging = None
                self._changed.notify_all()
            elif not self._open and self._exchanging is not None:  # who waits for the others to end
                self._changed.notify_all()

    @contextmanager
    def by_none(self, where: str) -> Iterator[None]:
        """Keep others from beginning a transaction for the block, which starts once none is open.

        Raises `StoreUnavailable` if one does not end within a minute.
        """
        token = object()
        try:
            self._wait(token, where)
            yield
        finally:
            try:
                self.end(token)
            except BaseException:
                self.end(token)
                raise

    def _wait(self, token: object, where: str) -> None:
        until = time.monotonic() + _PATIENCE
        with self._lock:
            while self._exchanging is not None:
                self._changed.wait()
            self._exchanging = token
            while self._open:
                self._changed.wait(max(until - time.monotonic(), 0))
                if self._open and time.monotonic() >= until:
                    raise StoreUnavailable(
                        f"{where} is in use: a transaction of this process has not ended within {_PATIENCE:g} s"
                    )


class OpenFile:
    """LMDB's environment of the file at `path`, as long as it is open, and the transactions in it."""

    def __init__(self, path: str, map_size: int, *, readonly: bool) -> None:
        self.path = path
        self.readonly = readonly
        self.map_size = map_size  #: the most bytes that the file may hold
        self.environment: lmdb.Environment | None = None  #: LMDB's own, while it is open
        self.place = Place(path)
        self.in_use = InUse()
        self._in_parent = False
        self._closed = False
        self._own = threading.local()  # of each thread, the transaction that `writes`

    # ------------------------------------------------------------------ open, or not

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

    def usable(self) -> lmdb.Environment:
        """Return LMDB's own, inside of a transaction of `in_use`."""
        self.check_usable()
        if self.environment is None:  # the file was exchanged, and Ctrl-C, or an error, came before the new one was open
            raise self.place.replaced("nothing was read or written")
        return self.environment

    def after_fork_in_child(self) -> None:
        """Called in a forked child: let go of the parent's file without ending it."""
        self.environment, self._in_parent = None, True

    def release(self) -> None:
        """Close the file for good; a second call is harmless."""
        self._closed = True
        self.close()

    def close(self) -> None:
        """Close the file, which may be opened again."""
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
            self.check_may_write()
        token = object()
        try:
            # Without a context manager for each of these, which would cost a read as much again.
            try:
                self.in_use.begin(token)
                with self.to_write() if write else self.to_read() as transaction:
                    yield LMDBTransaction(transaction)
                return
            finally:
                try:
                    if write:
                        self._own.writes = None
                    self.in_use.end(token)
                except BaseException:
                    self.in_use.end(token)
                    raise
        except lmdb.MapResizedError:  # when it begins: another process has given the file a larger map
            pass
        except lmdb.Error as error:
            raise in_our_words(error, self.path, self.map_size, write=write) from error
        self._take_over_map()
        with self.transaction(write=write) as again:
            yield again

    def check_may_write(self) -> None:
        """Raise `StoreUnavailable` if nothing can be written: the store is closed, or was opened to be read."""
        self.check_usable()
        if self.readonly:
            raise StoreUnavailable(f"{self.path} was opened with readonly=True, and nothing was written: open it without")

    def to_read(self) -> lmdb.Transaction:
        """Begin a read. `in_use` has begun it."""
        self.place.check_readable()
        return (self.environment or self.usable()).begin()

    def to_write(self) -> lmdb.Transaction:
        """Begin the file's one write; this thread's last one is ended first, if Ctrl-C has interrupted it before its end.

        `in_use` has begun it; whoever has it calls `written` at its end.
        """
        self.place.check_writable()
        if getattr(self._own, "writes", None) is not None:
            self._abort_interrupted()
        transaction = self._own.writes = (self.environment or self.usable()).begin(write=True)
        try:
            # Once more, now that no other process writes: whoever exchanges the file does it as its only writer.
            self.place.check_writable()
        except BaseException:
            transaction.abort()
            raise
        return transaction

    def written(self) -> None:
        """Called when this thread's write has ended."""
        self._own.writes = None

    def _take_over_map(self) -> None:
        """Use as large a map as another process has given the file."""
        with self.in_use.by_none(self.path):
            environment = self.usable()
            environment.set_mapsize(0)
            self.map_size = environment.info()["map_size"]

    def _abort_interrupted(self) -> None:
        """End this thread's last write if Ctrl-C has interrupted it before its end: no other write could begin."""
        import lmdb

        with suppress(lmdb.Error):  # it was not interrupted
            self._own.writes.abort()


class LMDBTransaction:
    """A transaction of LMDB. Its buffers are copied, because they end with it."""

    __slots__ = ("_number", "_transaction")

    def __init__(self, transaction: lmdb.Transaction) -> None:
        self._transaction = transaction
        self._number = 0  # 0: not asked for yet

    def id(self) -> int:
        """Return its number."""
        number = self._number = self._number or self._transaction.id()
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
