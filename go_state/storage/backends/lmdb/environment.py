"""An LMDB file as a backend: how it is opened, and what is done with it as a whole. Its transactions are in `transactions.py`.

It is mapped into memory, and read by many beside one writer in any process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from go_state.core.errors import Corrupt, StoreUnavailable, UsageError
from go_state.storage.backends.lmdb.copying import check_can_exchange, exchange, finish_copy, new_file, published, remove_left
from go_state.storage.backends.lmdb.errors import not_copied, why_not_opened
from go_state.storage.backends.lmdb.file import check_before_opening, check_whole, free_pages, room_for
from go_state.storage.backends.lmdb.leases.byte_locks import LeaseLocks, is_possible
from go_state.storage.backends.lmdb.transactions import OpenFile
from go_state.storage.records.backend import Space

if TYPE_CHECKING:
    import lmdb

    from go_state.storage.records.lease import Lease

_MAX_READERS = 1024  # threads of all processes that may read at once; LMDB's default is 126, a place costs 64 bytes


class LMDBEnvironment:
    """The open file at `path`, and the one at `path-lock`; a `Backend`. See `LMDBStore` for what it is given, and what it raises."""

    def __init__(self, path: str, map_size: int | None, *, readonly: bool = False, create: bool = True) -> None:
        self.path = path
        check_before_opening(path, create=create and not readonly)
        self.file = OpenFile(path, room_for(path) if map_size is None else map_size, readonly=readonly)  #: what is open
        self._locks = LeaseLocks(path) if is_possible() else None
        self._open()
        self.transaction = self.file.transaction  #: as a `Backend` has it, without a call in between
        self.check_usable = self.file.check_usable

    def _open(self) -> None:
        """Open the file at the path, and open it again if it is another one by then.

        A process that compacts the file puts a new one in its place at any moment; what is written to the one before would be lost.
        """
        while True:
            with self.file.place.opening():
                try:
                    self._open_what_lies_there()
                except Corrupt:  # or the file that is there now was taken for the one that was opened
                    if self.file.place.is_unchanged():
                        raise
                else:
                    if self.file.place.is_unchanged():
                        return
                    self.file.close()

    def _open_what_lies_there(self) -> None:
        import lmdb  # here, and below: a program that stores nothing need not wait for it

        try:
            self.file.environment = lmdb.open(
                self.path, subdir=False, map_size=self.file.map_size, max_dbs=0, max_readers=_MAX_READERS, readonly=self.file.readonly,
                create=not self.file.readonly,
            )  # fmt: skip
            self.file.environment.reader_check()  # frees the places of readers that were killed, and the pages they held
            self._check_whole(self.file.environment)
        except (lmdb.Error, OSError, ValueError, OverflowError) as error:
            self.file.close()
            is_another, room = (
                isinstance(error, lmdb.InvalidError),
                self.file.map_size if isinstance(error, lmdb.MemoryError) else None,
            )
            raise StoreUnavailable(why_not_opened(self.path, error, is_another=is_another, room=room)) from error
        except Corrupt:
            self.file.close()
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

    @property
    def where(self) -> str:
        """The file's path."""
        return self.path

    def check_not_own(self, path: str | os.PathLike[str]) -> None:
        """Raise `UsageError` for the store's file, or the one that locks it, under whatever name."""
        if self.file.place.has(os.fspath(path)):
            raise UsageError(f"{os.fspath(path)} is a file of the store itself, which it would destroy: give another one")

    def check_damage(self) -> None:
        """Read the whole file in a process of its own, because a damaged page may end the process that reads it."""
        from go_state.storage.backends.lmdb.check import check_file

        self.file.place.look()
        check_file(self.path)

    def lease(self, journal: str) -> Lease:
        if self._locks is not None:
            return self._locks.lease(journal)
        from go_state.storage.backends.lmdb.leases.file_lease import FileLease

        return FileLease(self.path, journal)

    def follow(self, journal: str, grown: Callable[[], object]) -> Callable[[], object]:
        """Do nothing: LMDB notifies no other process."""
        return _do_nothing

    def after_fork_in_child(self) -> None:
        self.file.after_fork_in_child()
        if self._locks is not None:
            self._locks.after_fork_in_child()

    def release(self) -> None:
        """Close the file; a second call is harmless."""
        self.file.release()

    # ------------------------------------------------------------------ the file as a whole

    def backup(self, path: str) -> None:
        """Write what is committed now into a new file at the path, without free pages, on disk; beside whoever writes."""
        import lmdb

        with published(path) as new:
            try:
                with self.file.in_use.by_one():
                    environment = self.file.usable()
                    self.file.place.check_readable()
                    environment.copy(new, compact=True)
                    number = environment.info()["last_txnid"]  # or that of a later one, which does as well
            except lmdb.Error as error:
                raise not_copied(error, self.path, path) from error
            finish_copy(new, number)

    def compact(self) -> None:
        """Put a copy without free pages in the file's place, as its only writer; other processes have to open it again.

        The copy goes on with the number of the last transaction, which the lock file has as well: so the two files may have one.
        """
        import lmdb

        self.file.check_may_write()
        check_can_exchange(self.path)
        with self.file.in_use.by_none(self.path):
            try:
                with self.file.to_write() as transaction, new_file(f"{self.path}-compact") as new:
                    remove_left(new)
                    self.file.usable().copy(new, compact=True)
                    finish_copy(new, transaction.id() - 1, like=self.path)
                    exchange(new, self.path)
            except lmdb.Error as error:
                raise not_copied(error, self.path, self.path) from error
            finally:
                self.file.written()
            self.file.close()
            self._open()

    def sizes(self) -> Iterator[tuple[bytes, int]]:
        """Give every name, in order, with the number of bytes that its record has; the records themselves are not read."""
        with self.file.in_use.by_one():
            self.file.place.check_readable()
            with self.file.usable().begin(buffers=True) as transaction, transaction.cursor() as cursor:
                for name in cursor.iternext(keys=True, values=False):
                    yield bytes(name), len(cursor.value())

    def space(self) -> Space:
        """Return how much room the file takes and has."""
        with self.file.in_use.by_one(), self.file.to_read() as transaction:
            info, page = self.file.usable().info(), self.file.usable().stat()["psize"]
            free = free_pages(self.path, transaction.id())
            readers = max(self.file.usable().readers().count("\n") - 1, 0)
        return Space(os.path.getsize(self.path), info["map_size"], (info["last_pgno"] + 1 - free) * page, free * page, readers)


def _do_nothing() -> None:
    """End nothing."""
