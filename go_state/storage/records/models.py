r"""Models behind a version fence, and the snapshots that were kept of journalled programs, as they lie in a store.

    s/<key>                  a model, or a program's newest snapshot
    k/<key>\0<position>      a snapshot that was kept of a journalled program besides the newest: a keyframe
    p/<id>..., w/<key>       parts of snapshots that are large; see `parts.py`

Records have the frame of `layout.py`. The version of a record is the number of the transaction that wrote it, so that a key never
has the same version twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from go_state.core.errors import Conflict, Corrupt, UsageError
from go_state.core.ports import Stored, Write
from go_state.storage.records.backend import Backend, Transaction
from go_state.storage.records.keys import key_bytes
from go_state.storage.records.layout import is_in_parts, pack, unpack, version_in
from go_state.storage.records.parts import InParts, count, forget, forget_unfinished, joined
from go_state.storage.records.writes.entry import Snapshot

if TYPE_CHECKING:
    from go_state.storage.types.description import Description

_AT_ONCE, _MOST = 1000, 1 << 22  # records, and bytes of them, that are read in one transaction
_PREFIX = b"s/"  # it also makes the empty key one that LMDB takes


def model_name(key: str) -> bytes:
    """Return the name of the record that holds the model under the key; `InvalidKey` for what cannot be a key."""
    return _PREFIX + key_bytes(key)


class Rewrite(NamedTuple):
    """A program's snapshots, to be replaced: the newest, the version that it must still have, and keyframes by position."""

    key: str
    newest: bytes
    version: int
    keyframes: Mapping[int, bytes]


class Models:
    """The models and keyframes of one store. Each method is a transaction of its own."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def load(self, key: str) -> Stored | None:
        """Return the model under the key, or None; `Corrupt` if its bytes are not as they were written."""
        return self._loaded(key, model_name(key))

    def load_keyframe(self, key: str, position: int) -> Stored | None:
        """Return the keyframe at the position, or None."""
        return self._loaded(key, _keyframe(key, position))

    def _loaded(self, key: str, name: bytes) -> Stored | None:
        with self._backend.transaction() as transaction:
            record = transaction.get(name)
            return None if record is None else _whole(transaction, key, name, record)

    def load_many(self, keys: Iterable[str]) -> dict[str, Stored]:
        """Return the models that there are under the keys, as they were at one moment; `Corrupt` for the first that is damaged."""
        names = {key: model_name(key) for key in keys}
        with self._backend.transaction() as transaction:
            found = transaction.get_many(names.values())
            return {key: _whole(transaction, key, name, found[name]) for key, name in names.items() if name in found}

    def store(self, writes: Mapping[str, Write]) -> Mapping[str, int]:
        """Make all writes or none and return the new versions, 0 for a deleted key. Raises `Conflict` and `StoreFull`."""
        names = {key: model_name(key) for key in writes}
        with self._backend.transaction(write=True, of=names.values()) as transaction:
            version = transaction.id()
            for key, write in writes.items():
                _write(transaction, key, names[key], write)
            deleted = [key for key, write in writes.items() if write.data is None]
            if deleted:
                forget_unfinished(transaction, *deleted)
        return {key: 0 if write.data is None else version for key, write in writes.items()}

    def keys(self, prefix: str) -> Iterator[str]:
        """Give the keys with this prefix, in the order of their bytes."""
        start = _PREFIX + key_bytes(prefix)
        with self._backend.transaction() as transaction:
            return iter([name[len(_PREFIX) :].decode() for name in transaction.names(start)])

    def page(self, prefix: str, after: str, limit: int) -> list[tuple[str, Stored]]:
        """Return up to `limit` keys with the prefix that come after the key, in order, and what they hold."""
        start = _PREFIX + key_bytes(prefix)
        following = _PREFIX + key_bytes(after) + b"\0" if after else b""
        found: list[tuple[str, Stored]] = []
        with self._backend.transaction() as transaction:
            for name, record in islice(transaction.items(start, following), limit):
                key = name[len(_PREFIX) :].decode()
                found.append((key, _whole(transaction, key, name, record)))
        return found

    def items(self, prefix: str) -> Iterator[tuple[str, Stored]]:
        """Give the keys with this prefix and what they hold, some in each transaction: none is open while they are used."""
        start, since = _PREFIX + key_bytes(prefix), b""
        while True:
            found: list[tuple[str, Stored]] = []
            size = 0
            with self._backend.transaction() as transaction:
                for name, record in transaction.items(start, since):
                    key = name[len(_PREFIX) :].decode()
                    found.append((key, _whole(transaction, key, name, record)))
                    since, size = name + b"\0", size + len(found[-1][1].data)
                    if len(found) == _AT_ONCE or size > _MOST:
                        break
            yield from found
            if not found:
                return

    def keyframes(self, key: str) -> list[int]:
        """Return the positions of a program's keyframes, oldest first."""
        if "\0" in key:  # no journal has such a name
            self._backend.check_usable()
            return []
        with self._backend.transaction() as transaction:
            return [_position_in(name, key) for name in transaction.names(_keyframes(key))]

    def rewrite(self, rewrites: Iterable[Rewrite]) -> None:
        """Replace snapshots, all of them or none; `Conflict` if a newest one is not of the version expected.

        Keyframes that a program has let go of meanwhile stay away.
        """
        with self._backend.transaction(write=True) as transaction:
            for key, newest, version, keyframes in rewrites:
                _write(transaction, key, _PREFIX + key_bytes(key), Write(newest, version))
                for position, data in keyframes.items():
                    name = _keyframe(key, position)
                    if transaction.get(name) is not None:
                        _delete(transaction, key, name)
                        transaction.put(name, pack(name, transaction.id(), data))

    def restore(self, key: str, position: int) -> None:
        """Make a keyframe the newest snapshot; those after it are deleted, damaged or not."""
        name, keyframe, prefix = model_name(key), _keyframe(key, position), _keyframes(key)
        with self._backend.transaction(write=True) as transaction:
            record = transaction.get(keyframe)
            if record is None:
                there = [_position_in(each, key) for each in transaction.names(prefix)]
                raise UsageError(f"no snapshot of {key!r} was kept at position {position}: there are {there}")
            _delete(transaction, key, name)
            data = unpack(key, keyframe, record).data
            transaction.put(name, pack(name, transaction.id(), data, in_parts=is_in_parts(record)))
            transaction.delete(keyframe)  # its parts are the newest snapshot's now
            for each in transaction.names(prefix):
                if each > keyframe:
                    _delete(transaction, key, each)


# -------------------------------------------------------------------- inside a transaction of a journal


def keep_snapshot(transaction: Transaction, snapshot: Snapshot) -> None:
    """Write a snapshot; the one it replaces becomes a keyframe, and the oldest keyframes are deleted."""
    key, name = snapshot.key, model_name(snapshot.key)
    record = _fenced(transaction, key, name, snapshot.version)
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
    _delete_oldest(transaction, snapshot)


def forget_snapshots(transaction: Transaction, key: str) -> None:
    """Delete every snapshot of a journalled program, damaged or not, with their parts, those of an unfinished one included."""
    for each in [_PREFIX + key_bytes(key), *transaction.names(_keyframes(key))]:
        _delete(transaction, key, each)
    forget_unfinished(transaction, key)


def forget_all(transaction: Transaction, key: str) -> bool:
    """Delete every record of a key: model, keyframes, journal, what is unfinished; return whether there was one that counts."""
    journal = b"j/" + key_bytes(key) + b"\0"
    ranges = [journal, b"r/" + journal[2:]] if "\0" not in key else []
    there = bool(transaction.get(_PREFIX + key_bytes(key)))
    for first in ranges:
        last = transaction.at_or_before(first + b"\xff", 0)
        there = there or (last is not None and last[0].startswith(first))
        transaction.delete_range(first, first + b"\xff")
    forget_snapshots(transaction, key)
    return there


def put_snapshot(transaction: Transaction, key: str, keyframe: int | None, data: bytes) -> None:
    """Write the newest snapshot of a journalled program, or the keyframe at a position."""
    name = _PREFIX + key_bytes(key) if keyframe is None else _keyframe(key, keyframe)
    transaction.put(name, pack(name, transaction.id(), data))


def _delete_oldest(transaction: Transaction, snapshot: Snapshot) -> None:
    """Delete the keyframes beyond the number to keep, but for the last one that leads to the position that is needed."""
    key = snapshot.key
    kept = transaction.names(_keyframes(key))
    too_many = kept[: max(len(kept) - (snapshot.keep - 1), 0)]
    leads_there = [keyframe for keyframe in kept if keyframe <= _keyframe(key, snapshot.needed)][-1:]
    for keyframe in too_many:
        if snapshot.position <= snapshot.needed or keyframe not in leads_there:
            _delete(transaction, key, keyframe)


def write_beside(transaction: Transaction, key: str, data: bytes | None) -> None:
    """Write a key, or delete it, whatever it holds: one that nobody else writes, such as a letter of the journal's own."""
    name = _PREFIX + key_bytes(key)
    if data is None:
        transaction.delete(name)
    else:
        transaction.put(name, pack(name, transaction.id(), data))


def remember_types(transaction: Transaction, types: Description) -> None:
    """Put the description of types into the store, unless it has it."""
    name = model_name(types.key)
    if transaction.get(name) is None:
        transaction.put(name, pack(name, transaction.id(), types.data))


def damaged(backend: Backend) -> Iterator[Corrupt]:
    """Read every record of the store and give the errors of those that are damaged."""
    with backend.transaction() as transaction:
        for name, record in transaction.items(b""):
            try:
                _whole(transaction, ascii(name)[2:-1], name, record)
            except Corrupt as error:
                yield error


# -------------------------------------------------------------------- one record


def _write(transaction: Transaction, key: str, name: bytes, write: Write) -> None:
    """Make one write, behind its fence.

    Of what is replaced only the version is read, unless it is not the one expected: then its record may be damaged instead.
    """
    beginning = transaction.beginning(name)
    found = 0 if beginning is None else version_in(beginning)
    if found != write.version or (beginning is not None and is_in_parts(beginning)):
        record = _fenced(transaction, key, name, write.version)
        if record is not None:
            forget(transaction, key, name, record)
    if write.data is None:
        transaction.delete(name)
    else:
        transaction.put(name, pack(name, transaction.id(), write.data))


def _fenced(transaction: Transaction, key: str, name: bytes, version: int) -> bytes | None:
    """Return the record that is to be replaced; `Conflict` if it is not of the version expected."""
    record = transaction.get(name)
    found = 0 if record is None else unpack(key, name, record).version
    if found != version:
        raise Conflict(key, version, found)
    return record


def _whole(transaction: Transaction, key: str, name: bytes, record: bytes) -> Stored:
    """Return what the record holds, joined from its parts if it has some."""
    stored = unpack(key, name, record)
    return Stored(joined(transaction, key, stored.data), stored.version) if is_in_parts(record) else stored


def _delete(transaction: Transaction, key: str, name: bytes) -> None:
    """Delete a record, damaged or not, and its parts."""
    record = transaction.get(name)
    if record is not None:
        with suppress(Corrupt):  # then its parts are not known
            forget(transaction, key, name, record)
    transaction.delete(name)


def _keyframes(key: str) -> bytes:
    """Return how the names of a program's keyframes begin. A journal's name has no NUL, so no other program's begin so."""
    return b"k/" + key_bytes(key) + b"\0"


def _keyframe(key: str, position: int) -> bytes:
    if not isinstance(position, int) or not 0 <= position < 1 << 64:
        raise UsageError(f"the position of a snapshot is a whole number from 0, not {position!r}")
    return _keyframes(key) + position.to_bytes(8, "big")


def _position_in(name: bytes, key: str) -> int:
    return int.from_bytes(name.removeprefix(_keyframes(key)), "big")
