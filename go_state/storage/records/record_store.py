r"""What every store of records is: models behind a version fence, journals, and the snapshots that were kept of their programs.

    s/<key>                  a model, or a program's newest snapshot
    k/<key>\0<position>      a snapshot that was kept of a journalled program besides the newest
    j/<name>\0...            a journal; see `records.py`
    p/<id>..., w/<key>       parts of snapshots that are large; see `parts.py`

A backend says how a transaction is opened and who may write a journal. Records have the frame of `frames.py`; the version of one is
the number of the transaction that wrote it, so a key never has one twice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from go_state.core.errors import Conflict, Corrupt, UsageError
from go_state.core.ports import Stored, Write
from go_state.storage.records.frames import is_in_parts, pack, unpack
from go_state.storage.records.keys import key_bytes
from go_state.storage.records.process import let_go_of_all
from go_state.storage.records.transaction import Transaction
from go_state.storage.snapshots.parts import InParts, count, forget, forget_unfinished, joined
from go_state.system.forks import share

if TYPE_CHECKING:
    from go_state.storage.journal.journal import Journal
    from go_state.storage.journal.writer import Durability
    from go_state.storage.records.lease import IfHeld, Lease
    from go_state.storage.records.records import Snapshot
    from go_state.storage.types.description import Description

Msg = TypeVar("Msg")

_JOURNALS = b"j/"
_PREFIX = b"s/"  # it also makes the empty key one that LMDB takes


class RecordStore:
    """A store whose backend keeps records in the order of their names; see `LMDBStore` and `PostgresStore`."""

    def __init__(self) -> None:
        self._journals: dict[str, Journal[Any]] = {}
        share(self)

    # ------------------------------------------------------------------ what a backend says

    @property
    def where(self) -> str:
        """What it is called in messages: the file's path, or the database. It holds no secret."""
        raise NotImplementedError

    def check_usable(self) -> None:
        """Raise `StoreUnavailable` when the store is closed, or another process has opened it."""
        raise NotImplementedError

    def check_not_own(self, path: str | os.PathLike[str]) -> None:
        """Raise `UsageError` for a file that is the store's own: who writes another into its place destroys it."""

    def check_damage(self) -> None:
        """Read everything; `Corrupt` for the first record that is damaged."""
        for key, what in self._damaged():
            raise Corrupt(key, what)

    def _transaction(self, *, write: bool = False) -> AbstractContextManager[Transaction]:
        """Open a transaction for one call; it is committed at the end of the block, or undone by an exception."""
        raise NotImplementedError

    def _lease(self, journal: str) -> Lease:
        raise NotImplementedError

    def _follow(self, journal: str, grown: Callable[[], object]) -> Callable[[], object]:
        """Have `grown` called, where the backend can, when another process has written to the journal; return what ends that."""
        return _do_nothing

    def _release(self) -> None:
        """Let go of the file or the connections; a second time is harmless."""
        raise NotImplementedError

    def forget_parent(self) -> None:
        """In a forked child: let go of what is the parent's, without ending it."""
        for journal in self._journals.values():
            journal.leave_to_parent()
        let_go_of_all()

    # ------------------------------------------------------------------ models

    def load(self, key: str) -> Stored | None:
        """Return what the key holds, or None; `Corrupt` when the record's bytes are not as they were written."""
        name = _PREFIX + key_bytes(key)
        with self._transaction() as transaction:
            record = transaction.get(name)
            return None if record is None else _whole(transaction, key, name, record)

    def store(self, writes: Mapping[str, Write]) -> Mapping[str, int]:
        """Make all writes or none, on disk, and return the new versions (0 for a deleted key).

        Raises `Conflict` when a key is not at the version its write names, and `StoreFull`; then nothing was written.
        """
        names = {key: _PREFIX + key_bytes(key) for key in writes}
        with self._transaction(write=True) as transaction:
            version = transaction.id()
            for key, write in writes.items():
                self._write(transaction, key, names[key], write)
        return {key: 0 if write.data is None else version for key, write in writes.items()}

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Give the keys with this prefix, in the order of their bytes."""
        start = _PREFIX + key_bytes(prefix)
        with self._transaction() as transaction:
            return iter([name[len(_PREFIX) :].decode() for name in transaction.names(start)])

    # ------------------------------------------------------------------ journals

    @overload
    def journal(
        self, name: str, of: type[Msg], *, durability: Durability | None = None, lease: IfHeld | None = None
    ) -> Journal[Msg]: ...
    @overload
    def journal(
        self, name: str, of: Any = None, *, durability: Durability | None = None, lease: IfHeld | None = None
    ) -> Journal[Any]: ...

    def journal(
        self, name: str, of: Any = None, *, durability: Durability | None = None, lease: IfHeld | None = None
    ) -> Journal[Any]:
        """Return the journal of this name: a `Buffer` that outlives the process. See `Journal`.

        `of` is the type of its messages, without which it can be read but not written. While it is open a store has one journal
        of a name. `durability` says when messages are committed to disk: "group", the default, or "put". Its first write takes the
        lease, and raises `LeaseHeld` when another process has it, or waits for it with `lease="wait"`.
        """
        found = self.journal_unread(name, durability=durability, lease=lease)
        found.lease.look()
        if of is not None:
            found.kind.set(of)
        return found

    def journal_unread(self, name: str, *, durability: Durability | None = None, lease: IfHeld | None = None) -> Journal[Any]:
        """Return the journal of this name without a look at the disk: it reads what it has to know when its lease is taken."""
        from go_state.storage.journal.journal import (
            Journal,  # here, and what it needs: a store without one need not wait for them
        )
        from go_state.storage.records.records import Records

        self.check_usable()
        found = self._journals.get(name)
        if found is not None and found.closed and found.is_read:
            raise UsageError(f"the journal {name!r} is closed, and its readers are not done: wait for them, or close them")
        if found is None or found.closed:
            how = durability or "group", lease or "fail"
            found = self._journals[name] = Journal(
                Records(self, name),
                self._lease(name),
                *how,
                before=None if found is None else found.writer.finish,
                let_go=self.let_go,
            )
        elif durability is not None and durability != found.durability:
            raise UsageError(f"the journal {name!r} is open already, with durability={found.durability!r}: close it first")
        return found

    def let_go(self, journal: Journal[Any]) -> None:
        """Forget a journal that was closed and has nothing more to do: a store may see any number of them."""
        if self._journals.get(journal.name) is journal:
            del self._journals[journal.name]

    def journal_names(self) -> list[str]:
        """Return the names of the journals in the store, in the order of their bytes.

        A name ends at the first NUL, and what follows may be any bytes, those of a position among them. The records of a journal
        lie together, so one is looked at of each journal, from the last on.
        """
        names: list[str] = []
        before = _JOURNALS + b"\xff"  # no UTF-8 has this byte
        with self._transaction() as transaction:
            while (found := transaction.at_or_before(before, 0)) is not None and found[0].startswith(_JOURNALS):
                name = found[0][len(_JOURNALS) :].partition(b"\0")[0]
                before = _JOURNALS + name + b"\0"  # no record is called so: in each, its kind follows
                if transaction.get(before + b"m") is not None:
                    names.append(name.decode())
        return names[::-1]

    def keyframes(self, key: str) -> list[int]:
        """Return the positions of the snapshots that were kept of a journalled program besides the newest, oldest first."""
        with self._transaction() as transaction:
            return [_position_in(name, key) for name in transaction.names(_keyframes(key))] if "\0" not in key else []

    def load_keyframe(self, key: str, position: int) -> Stored | None:
        """Return the snapshot that was kept of the model before the message at the position, or None."""
        name = _keyframe(key, position)
        with self._transaction() as transaction:
            record = transaction.get(name)
            return None if record is None else _whole(transaction, key, name, record)

    def restore(self, key: str, position: int) -> None:
        """Make a keyframe of a journalled program its newest snapshot; those after it go, damaged or not."""
        name, keyframe, prefix = _PREFIX + key_bytes(key), _keyframe(key, position), _keyframes(key)
        with self._transaction(write=True) as transaction:
            record = transaction.get(keyframe)
            if record is None:
                there = [_position_in(each, key) for each in transaction.names(prefix)]
                raise UsageError(f"no snapshot of {key!r} was kept at position {position}: there are {there}")
            _delete(transaction, key, name)
            data = unpack(key, keyframe, record).data
            transaction.put(name, pack(name, transaction.id(), data, in_parts=is_in_parts(record)))
            transaction.delete(keyframe)  # its parts are those of the newest now
            for each in transaction.names(prefix):
                if each > keyframe:
                    _delete(transaction, key, each)

    def _keep_snapshot(self, transaction: Transaction, snapshot: Snapshot) -> None:
        """Write a snapshot inside a journal's transaction; the one it replaces becomes a keyframe, and the oldest of them go."""
        key, name = snapshot.key, _PREFIX + key_bytes(snapshot.key)
        record = self._fenced(transaction, key, name, snapshot.version)
        keeps = snapshot.keep > 1 or snapshot.needed < snapshot.position
        if record is not None and snapshot.replaces is not None and keeps:
            keyframe, old = _keyframe(key, snapshot.replaces), unpack(key, name, record)
            _delete(transaction, key, keyframe)  # one of an earlier revision at the same position
            transaction.put(keyframe, pack(keyframe, old.version, old.data, in_parts=is_in_parts(record)))
        elif record is not None:
            forget(transaction, key, name, record)
        if isinstance(snapshot.data, InParts):
            count(transaction, key, snapshot.data)
            transaction.put(name, pack(name, transaction.id(), snapshot.data.data, in_parts=True))
        else:
            forget_unfinished(transaction, key)
            transaction.put(name, pack(name, transaction.id(), snapshot.data))
        kept = transaction.names(_keyframes(key))
        too_many = kept[: max(len(kept) - (snapshot.keep - 1), 0)]
        leads_there = [keyframe for keyframe in kept if keyframe <= _keyframe(key, snapshot.needed)][-1:]
        for keyframe in too_many:
            if snapshot.position <= snapshot.needed or keyframe not in leads_there:
                _delete(transaction, key, keyframe)

    def _remember(self, transaction: Transaction, types: Description) -> None:
        """Put the description of types into the store, unless it is there, inside a journal's transaction."""
        name = _PREFIX + key_bytes(types.key)
        if transaction.get(name) is None:
            transaction.put(name, pack(name, transaction.id(), types.data))

    def _write(self, transaction: Transaction, key: str, name: bytes, write: Write) -> None:
        """Make one write, behind its fence."""
        record = self._fenced(transaction, key, name, write.version)
        if record is not None:
            forget(transaction, key, name, record)
        if write.data is None:
            forget_unfinished(transaction, key)
            transaction.delete(name)
        else:
            transaction.put(name, pack(name, transaction.id(), write.data))

    @staticmethod
    def _fenced(transaction: Transaction, key: str, name: bytes, version: int) -> bytes | None:
        """Return the record that is to be replaced; `Conflict` where it is not of the version expected."""
        record = transaction.get(name)
        found = 0 if record is None else unpack(key, name, record).version
        if found != version:
            raise Conflict(key, version, found)
        return record

    def _damaged(self) -> Iterator[tuple[str, str]]:
        """Read every record and give the names of those that are damaged, and what is wrong with them."""
        with self._transaction() as transaction:
            for name, record in transaction.items(b""):
                try:
                    _whole(transaction, ascii(name)[2:-1], name, record)
                except Corrupt as error:
                    yield error.key, error.what

    # ------------------------------------------------------------------ ending

    def close(self) -> None:
        """Close the journals, with all that was put on disk, and let go of the store; a second call is harmless."""
        try:
            with ExitStack() as ends:  # each is ended, also where another fails
                for journal in list(self._journals.values()):
                    ends.callback(journal.end)
        finally:
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _whole(transaction: Transaction, key: str, name: bytes, record: bytes) -> Stored:
    """Return what the record holds, with the parts that it may lie in."""
    stored = unpack(key, name, record)
    return Stored(joined(transaction, key, stored.data), stored.version) if is_in_parts(record) else stored


def _delete(transaction: Transaction, key: str, name: bytes) -> None:
    """Delete a record, damaged or not, and its parts."""
    record = transaction.get(name)
    if record is not None:
        with suppress(Corrupt):  # then nobody knows its parts
            forget(transaction, key, name, record)
    transaction.delete(name)


def _keyframes(key: str) -> bytes:
    """Return how the names of a program's kept snapshots begin. Its journal's name has no NUL, so no other program's begin so."""
    return b"k/" + key_bytes(key) + b"\0"


def _keyframe(key: str, position: int) -> bytes:
    if not isinstance(position, int) or not 0 <= position < 1 << 64:
        raise UsageError(f"the position of a snapshot is a whole number from 0, not {position!r}")
    return _keyframes(key) + position.to_bytes(8, "big")


def _position_in(name: bytes, key: str) -> int:
    return int.from_bytes(name.removeprefix(_keyframes(key)), "big")


def _do_nothing() -> None:
    """End nothing."""
