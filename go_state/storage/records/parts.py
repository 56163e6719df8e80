"""A large snapshot in parts: records of a megabyte, each written in a transaction of its own before the record that needs them.

    p/<id><number>   a part; the id, 8 random bytes, is that of one snapshot
    w/<key>          the id of the snapshot of this key that is being written: parts that no record needs yet

So no transaction takes long, and no flush of messages has to wait for one. The record of the snapshot itself, written last, has the
id, the number of parts, and the beginning of the data. What a crash leaves behind is deleted with the key's next snapshot, or with
the key.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import NamedTuple

from go_state.core.errors import Conflict, Corrupt
from go_state.storage.records.backend import Backend, Transaction
from go_state.storage.records.keys import key_bytes
from go_state.storage.records.layout import is_in_parts, pack, unpack
from go_state.system.crash_points import reach

PART = 1 << 20  # bytes: a few milliseconds to write and sync
_ID = 8  # bytes
_INDEX = struct.Struct(f">{_ID}sI")  # what a record in parts begins with: their id, and how many they are


class InParts(NamedTuple):
    """A record's data, all but the beginning of which is stored in parts."""

    id: bytes
    number: int
    begins: bytes

    @property
    def data(self) -> bytes:
        """What the record itself holds."""
        return _INDEX.pack(self.id, self.number) + self.begins


class Parts:
    """Data that is added bit by bit, and is written in parts once there is more of it than one."""

    def __init__(self, backend: Backend, key: str, check: Callable[[Transaction], object]) -> None:
        self._backend = backend
        self._key = key
        self._check = check  # raises, in the transaction of a writer that may no longer write
        self._id = b""  # of nothing, as long as nothing is written
        self._number = 0
        self._left: list[bytes] = []  # not written yet
        self._size = 0  # of what is not written yet

    def add(self, data: bytes) -> None:
        """Append data."""
        self._left.append(data)
        self._size += len(data)
        if self._size >= PART:
            self._write()

    def finish(self, begins: bytes) -> bytes | InParts:
        """Return all of it, behind what it begins with: as bytes, or in parts, which count only once the record itself is written."""
        if not self._id:
            return begins + b"".join(self._left)
        if self._left:
            self._write()
        return InParts(self._id, self._number, begins)

    def _write(self) -> None:
        data, self._left, self._size = b"".join(self._left), [], 0
        with self._backend.transaction(write=True) as transaction:
            self._check(transaction)
            if not self._id:
                self._id = _begin(transaction, self._key)
            else:
                _check_begun(transaction, self._key, self._id)
            name = _part(self._id, self._number)
            transaction.put(name, pack(name, transaction.id(), data))
        reach("after-part")
        self._number += 1


def _begin(transaction: Transaction, key: str) -> bytes:
    """Delete what an interrupted snapshot of the key has left, and return an id for the next."""
    forget_unfinished(transaction, key)
    being_written, new = _being_written(key), os.urandom(_ID)
    transaction.put(being_written, pack(being_written, transaction.id(), new))
    return new


def forget_unfinished(transaction: Transaction, *keys: str) -> None:
    """Delete the parts of interrupted snapshots of the keys."""
    being_written = {_being_written(key): key for key in keys}
    for name, left in transaction.get_many(being_written).items():
        _delete(transaction, unpack(being_written[name], name, left).data)
        transaction.delete(name)


def _check_begun(transaction: Transaction, key: str, part_id: bytes) -> None:
    """Raise `Conflict` unless these are the parts that were begun last: other parts would be found by no record."""
    being_written = _being_written(key)
    record = transaction.get(being_written)
    if record is None or unpack(key, being_written, record).data != part_id:
        raise Conflict(key, 0, transaction.id())


def count(transaction: Transaction, key: str, written: InParts) -> None:
    """Make the parts those of a record that is put in this transaction; `Conflict` if another writer has begun its own."""
    _check_begun(transaction, key, written.id)
    transaction.delete(_being_written(key))


def forget(transaction: Transaction, key: str, name: bytes, record: bytes) -> None:
    """Delete the parts of a record that is deleted or replaced in this transaction."""
    if is_in_parts(record):
        part_id, _ = _INDEX.unpack_from(unpack(key, name, record).data)
        _delete(transaction, part_id)


def joined(transaction: Transaction, key: str, data: bytes) -> bytes:
    """Return the whole data of a record in parts; `Corrupt` if a part is missing or damaged."""
    if len(data) < _INDEX.size:
        raise Corrupt(key, "it does not say where its parts are")
    part_id, number = _INDEX.unpack_from(data)
    found = [unpack(key, name, record).data for name, record in transaction.items(b"p/" + part_id)]
    if len(found) != number:
        raise Corrupt(key, f"{number - len(found)} of its {number} parts are missing")
    return b"".join([data[_INDEX.size :], *found])


def _part(part_id: bytes, number: int) -> bytes:
    return b"p/" + part_id + number.to_bytes(4, "big")


def _being_written(key: str) -> bytes:
    return b"w/" + key_bytes(key)


def _delete(transaction: Transaction, part_id: bytes) -> None:
    first = _part(part_id, 0)
    transaction.delete_range(first, first[:-4] + b"\xff" * 5)
