"""The ports of this folder: what a backend gives a store of records, and what a journal sees of its store."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol, TypeVar

from go_state.core.ports import Store, Stored
from go_state.storage.records.lease import Lease

T = TypeVar("T")


class Transaction(Protocol):
    """One transaction over records in the order of their names, which are up to 511 bytes long.

    A writing transaction has the store to itself, or the records that it was opened for; a reading one sees no later writes.
    """

    def id(self) -> int:
        """Return the number of a writing transaction, greater than that of every one before."""
        ...

    def get(self, name: bytes) -> bytes | None:
        """Return the record of that name, or None."""
        ...

    def beginning(self, name: bytes) -> bytes | None:
        """Return the record, or no more than the beginning of it in which its version is; None if there is none."""
        ...

    def get_many(self, names: Collection[bytes]) -> dict[bytes, bytes]:
        """Return those of the records that there are, by name."""
        ...

    def at_or_before(self, name: bytes, most: int | None = None) -> tuple[bytes, bytes] | None:
        """Return the last name that is not after this one, with its record, or the record's first `most` bytes."""
        ...

    def names(self, prefix: bytes) -> list[bytes]:
        """Return the names that begin with the prefix, in order."""
        ...

    def items(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Give the names that begin with the prefix, in order, from the name `start` on, with their records."""
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


class Space(NamedTuple):
    """How many bytes a store takes, and has: `bytes` on disk, of which `used` hold records and `free` are to be used again.

    `map_size` is the most that it may have, and `readers` are the threads of all processes that have read it and are still there;
    None where a backend has no such thing.
    """

    bytes: int
    map_size: int | None
    used: int | None
    free: int | None
    readers: int | None


class Backend(Protocol):
    """Where the records of a store are: a file, a database."""

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

    def sizes(self) -> Iterator[tuple[bytes, int]]:
        """Give every name, in order, with the number of bytes that its record has, as of one moment; to be read to its end."""
        ...

    def space(self) -> Space:
        """Return how many bytes the store takes, and has."""
        ...

    def compact(self) -> None:
        """Give back the room of what was deleted, so that nothing of it is left."""
        ...

    def backup(self, path: str) -> None:
        """Write all that is committed at one moment into a new LMDB file; `UsageError` if something is at the path."""
        ...

    def transaction(self, *, write: bool = False, of: Collection[bytes] | None = None) -> AbstractContextManager[Transaction]:
        """Open a transaction for one block; it is committed at the end of the block, or undone by an exception.

        One that writes has the store to itself. With `of` it has the records of these names to itself, whether they exist or not,
        and others may be written beside it, if the backend can: then it relies on nothing that a writer without these names changes.
        """
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
    """What writes for several journals in one transaction; see `Together`. Each job has a result of its own."""

    def write(self, job: Any, /) -> None:
        """Write a job, with what others write now."""
        ...

    def write_all(self, jobs: Sequence[Any], /) -> None:
        """Write jobs together."""
        ...

    def take_steps(self, steps: Generator[Any, None, T], /) -> T:
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
        """Where the records are."""
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
