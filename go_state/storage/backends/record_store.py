"""What every store of records is, whatever its backend: models behind a version fence, keyframes, and journals."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, overload

from go_state.core.ports import Stored, Write
from go_state.storage.backends.contents import StoreInfo, copy_all, info
from go_state.storage.backends.journals import Journals
from go_state.storage.records.backend import Backend
from go_state.storage.records.models import Models, Rewrite
from go_state.storage.records.writes.together import Together
from go_state.system.forks import at_fork

if TYPE_CHECKING:
    from go_state.storage.journal.commit.writer import Durability
    from go_state.storage.journal.journal import Journal, SomeJournal
    from go_state.storage.records.lease import IfHeld
    from go_state.storage.types.annotations import TypeForm

Msg = TypeVar("Msg")


class RecordStore:
    """A store whose backend keeps records in the order of their names; see `LMDBStore` and `PostgresStore`.

    `backend`, `together` and `journals` are the runtime's way in: transactions, leases, writes that share a sync, and the journals that are
    open.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.together = Together(backend)
        self.journals = Journals(self)
        self._models = Models(backend)
        at_fork(self)

    # ------------------------------------------------------------------ models

    def load(self, key: str) -> Stored | None:
        """Return what the key holds, or None; `Corrupt` if the record's bytes are not as they were written."""
        return self._models.load(key)

    def load_many(self, keys: Iterable[str]) -> Mapping[str, Stored]:
        """Return what the keys hold, as it was at one moment; keys that hold nothing are left out."""
        return self._models.load_many(keys)

    def store(self, writes: Mapping[str, Write]) -> Mapping[str, int]:
        """Make all writes or none, on disk, and return the new versions (0 for a deleted key).

        Raises `Conflict` if a key is not at the version its write names, and `StoreFull`; then nothing was written.
        """
        return self._models.store(writes)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Give the keys with this prefix, in the order of their bytes."""
        return self._models.keys(prefix)

    def page(self, prefix: str, after: str, limit: int) -> list[tuple[str, Stored]]:
        """Return up to `limit` keys with the prefix that come after the key `after`, in order, and what they hold."""
        return self._models.page(prefix, after, limit)

    def snapshots(self, prefix: str = "") -> Iterator[tuple[str, Stored]]:
        """Give the keys with this prefix and what each holds, in the order of their bytes; `Corrupt` for one that is damaged.

        They are read some at a time: what is written meanwhile may be among them or not.
        """
        return self._models.items(prefix)

    def keyframes(self, key: str) -> list[int]:
        """Return the positions of the snapshots that were kept of a journalled program besides the newest, oldest first."""
        return self._models.keyframes(key)

    def load_keyframe(self, key: str, position: int) -> Stored | None:
        """Return the snapshot that was kept of the model before the message at the position, or None."""
        return self._models.load_keyframe(key, position)

    def rewrite_snapshots(self, rewrites: Iterable[Rewrite]) -> None:
        """Replace snapshots of journalled programs by these `rewrites`, all of them or none, on disk; `Conflict` if one is not
        at the version expected.
        """
        self._models.rewrite(rewrites)

    def restore(self, key: str, position: int) -> None:
        """Make the keyframe at `position` of a journalled program its newest snapshot; those after it are deleted, damaged or
        not.
        """
        self._models.restore(key, position)

    # ------------------------------------------------------------------ journals

    @overload
    def journal(
        self, name: str, of: type[Msg], *, durability: Durability | None = None, lease: IfHeld | None = None
    ) -> Journal[Msg]: ...
    @overload
    def journal(
        self, name: str, of: TypeForm = None, *, durability: Durability | None = None, lease: IfHeld | None = None
    ) -> SomeJournal: ...

    def journal(
        self, name: str, of: TypeForm = None, *, durability: Durability | None = None, lease: IfHeld | None = None
    ) -> SomeJournal:
        """Return the journal of this name: a `Buffer` that outlives the process. See `Journal`.

        `of` is the type of its messages, without which it can be read but not written. A store has one open journal of a name.
        `durability` says when messages are committed to disk: "group", the default, or "put". Its first write takes the lease,
        and raises `LeaseHeld` if another process has it, or waits for it with `lease="wait"`.
        """
        found = self.journal_unread(name, durability=durability, lease=lease)
        found.lease.look()
        if of is not None:
            found.kind.set(of)
        return found

    def journal_unread(self, name: str, *, durability: Durability | None = None, lease: IfHeld | None = None) -> SomeJournal:
        """Return the journal of this name, as `journal` does, without reading the disk: it reads what it has to know when its
        lease is taken.
        """
        return self.journals.open(name, durability, lease)

    def journal_names(self) -> list[str]:
        """Return the names of the journals in the store, in the order of their bytes."""
        return self.journals.names()

    def forget(self, key: str) -> bool:
        """Delete all that is stored under a key: the model, its kept snapshots and its journal; return whether there was something.

        It is one transaction. Raises `LeaseHeld` if a program writes the journal.
        """
        return self.journals.forget(key)

    # ------------------------------------------------------------------ the store as a whole

    def info(self) -> StoreInfo:
        """Return what the store holds and the room that it takes; see `StoreInfo`. It takes a second for a million keys."""
        return info(self.backend)

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Write all that is committed at one moment into a new LMDB file, whole and on disk, beside programs that go on writing.

        The file is a store: open it as an `LMDBStore`, or give that to `restore_from`. Raises `UsageError` if something lies at the
        path, and `StoreFull` if the disk is full; then there is no file. If the process is killed, `<path>.partial-…` may be left.
        """
        self.backend.backup(os.fspath(path))

    def restore_from(self, backup: RecordStore) -> int:
        """Put all that another store holds in the place of what this one holds, or nothing; return how many records it is.

        It is one transaction: whoever reads sees the one or the other. Raises `LeaseHeld` if a program of this store runs, and
        `Corrupt` if the backup is damaged. A program that begins meanwhile gets `LeaseHeld` at its next write.
        """
        self.journals.check_not_written(self.journal_names())
        return copy_all(backup.backend, self.backend)

    def compact(self) -> None:
        """Give back the room of what was deleted, so that nothing of it is left in the file or table.

        A file is written anew beside itself, and takes its own place; who writes waits, and other processes, which get
        `StoreUnavailable`, have to open it again. In Postgres it is VACUUM FULL, for which the role has to own the table. Raises
        `LeaseHeld` if a program of this store runs in another process.
        """
        self.journals.check_not_written(name for name in self.journal_names() if not self.journals.writes(name))
        self.backend.compact()

    # ------------------------------------------------------------------ the store itself

    @property
    def where(self) -> str:
        """What it is called in messages: the file's path, or the database. It holds no secret."""
        return self.backend.where

    def check_usable(self) -> None:
        """Raise `StoreUnavailable` if the store is closed, or was opened before this process was forked."""
        self.backend.check_usable()

    def check_not_own(self, path: str | os.PathLike[str]) -> None:
        """Raise `UsageError` if the file at `path` is one of the store itself: writing something else in its place would
        destroy the store.
        """
        self.backend.check_not_own(path)

    def check_damage(self) -> None:
        """Read everything; `Corrupt` for the first record that is damaged."""
        self.backend.check_damage()

    def after_fork_in_child(self) -> None:
        """Called in a forked child: let go of what is the parent's, without ending it."""
        self.backend.after_fork_in_child()  # first: what the journals give back from here on is not the parent's
        self.together.after_fork_in_child()
        self.journals.leave_to_parent()

    def close(self) -> None:
        """Close the journals, with everything that was put on disk, and the store itself; a second call is harmless."""
        try:
            self.journals.end()
        finally:
            self.backend.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
