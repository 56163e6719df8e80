"""The ports of this folder: what a backend gives a store of records, and what a journal sees of its store."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from go_state.core.ports import Store, Stored
from go_state.storage.records.lease import Lease

T = TypeVar("T")


class Transaction(Protocol):
    """One transaction over records in the order of their names, which are up to 511 bytes long.

    A writing transaction has the store to itself; a reading one sees no later writes.
    """

    def id(self) -> int:
        """Return the number of a writing transaction, greater than that of every one before."""
        ...

    def get(self, name: bytes) -> bytes | None:
        """Return the record of that name, or None."""
        ...

    def at_or_before(self, name: bytes, most: int | None = None) -> tuple[bytes, bytes] | None:
        """Return the last name that is not after this one, with its record, or the record's first `most` bytes."""
        ...

    def names(self, prefix: bytes) -> list[bytes]:
        """Return the names that begin with the prefix, in order."""
        ...

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Give the names that begin with the prefix, in order, with their records."""
        ...

    def put(self, name: bytes, record: bytes) -> None:
        """Write the record."""
        ...

    def delete(self, name: bytes) -> None:
        """Delete the record, if there is one."""
        ...

    def delete_range(self, first: bytes, end: bytes) -> None:
        """Delete the records from the name `first` on to before the name `end`."""
        ...

    def announce(self, journal: str) -> None:
        """Notify readers in other processes, if the backend can, that the journal has grown, once this is committed."""
        ...


class Backend(Protocol):
    """Where the records of a store lie: a file, a database."""

    @property
    def where(self) -> str:
        """What it is called in messages: the file's path, or the database. It holds no secret."""
        ...

    def check_usable(self) -> None:
        """Raise `StoreUnavailable` if the store is closed, or was opened before this process was forked."""
        ...

    def check_not_own(self, path: str | os.PathLike[str]) -> None:
        """Raise `UsageError` for a file of the store itself: writing something else in its place would destroy the store."""
        ...

    def check_damage(self) -> None:
        """Read everything; `Corrupt` for the first record that is damaged."""
        ...

    def transaction(self, *, write: bool = False) -> AbstractContextManager[Transaction]:
        """Open a transaction for one block; it is committed at the end of the block, or undone by an exception."""
        ...

    def lease(self, journal: str) -> Lease:
        """Return the lease of the journal, not yet acquired."""
        ...

    def follow(self, journal: str, grown: Callable[[], object]) -> Callable[[], object]:
        """Call `grown`, if the backend can, whenever another process has written to the journal; return what ends that."""
        ...

    def release(self) -> None:
        """Close the file or the connections; a second call is harmless."""
        ...

    def after_fork_in_child(self) -> None:
        """Called in a forked child: let go of the parent's file or connections, without ending them."""
        ...


class SharedWrites(Protocol):
    """What writes for several journals in one transaction; see `Together`. Any: of jobs, each has a result of its own."""

    def write(self, job: Any, /) -> None:
        """Write a job, with what others write now."""
        ...

    def write_all(self, jobs: Sequence[Any], /) -> None:
        """Write jobs together."""
        ...

    def through(self, steps: Generator[Any, None, T], /) -> T:
        """Take steps, write what they yield, and return what they return."""
        ...


class OpenJournals(Protocol):
    """The journals of a store that are open."""

    def let_go(self, name: str, journal: object) -> None:
        """Called when the journal of this name was closed and has nothing more to do."""
        ...


class JournalStore(Store, Protocol):
    """A store with journals, as a journal and the tools that read it see it; `RecordStore` is one."""

    @property
    def backend(self) -> Backend:
        """Where the records lie."""
        ...

    @property
    def together(self) -> SharedWrites:
        """What writes for several journals in one transaction."""
        ...

    @property
    def journals(self) -> OpenJournals:
        """The journals that are open."""
        ...

    @property
    def where(self) -> str:
        """What it is called in messages."""
        ...

    def check_usable(self) -> None:
        """Raise `StoreUnavailable` if the store is closed, or was opened before this process was forked."""
        ...

    def check_not_own(self, path: str | os.PathLike[str]) -> None:
        """Raise `UsageError` for a file of the store itself."""
        ...

    def check_damage(self) -> None:
        """Read everything; `Corrupt` for the first record that is damaged."""
        ...

    def keyframes(self, key: str) -> list[int]:
        """Return the positions of the snapshots that were kept of a journalled program besides the newest, oldest first."""
        ...

    def load_keyframe(self, key: str, position: int) -> Stored | None:
        """Return the snapshot that was kept of the model before the message at the position, or None."""
        ...

    def restore(self, key: str, position: int) -> None:
        """Make a keyframe the newest snapshot; those after it are deleted."""
        ...
