r"""What a rewriting is about to put in the place of blocks and snapshots, under names of its own, and the step in which it counts.

    r/<name>\0b<position>   a block that is to take the place of the one at the position
    r/<name>\0k<position>   a snapshot that is to be a keyframe, or, as the last of them, the newest

So no transaction has user's code in it or holds all that is written in memory. What an interrupted rewriting leaves is in nobody's
way, holds nothing that was to be erased, and is deleted by the next.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator

from go_state.storage.records.backend import Transaction
from go_state.storage.records.keys import key_bytes
from go_state.storage.records.layout import pack, unpack
from go_state.storage.records.models import forget_snapshots, put_snapshot, remember_types, write_beside
from go_state.storage.records.records import SNAPSHOT, Records
from go_state.storage.types.description import Description
from go_state.system.crash_points import reach

_POSITION = struct.Struct(">Q")
_AT_ONCE = 1 << 22  # bytes that are staged in one transaction


class Stage:
    """What is staged of one journal, whose lease is ours."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._backend = records.store.backend
        self._prefix = b"r/" + key_bytes(records.name) + b"\0"
        self._waiting: list[tuple[bytes, bytes]] = []
        self._size = 0

    def clear(self) -> None:
        """Delete what is staged."""
        self._waiting, self._size = [], 0
        with self._backend.transaction() as transaction:
            left = transaction.at_or_before(self._after_all(), 0)
        if left is not None and left[0].startswith(self._prefix):
            with self._backend.transaction(write=True) as transaction:
                transaction.delete_range(self._prefix, self._after_all())

    def _after_all(self) -> bytes:
        return self._prefix + b"\xff"

    def block(self, position: int, data: bytes) -> None:
        """Stage a block."""
        self._add(b"b" + _POSITION.pack(position), data)

    def snapshot(self, position: int, data: bytes) -> None:
        """Stage a snapshot, after those at positions before its own."""
        self._add(b"k" + _POSITION.pack(position), data)

    def _add(self, suffix: bytes, data: bytes) -> None:
        self._waiting.append((self._prefix + suffix, data))
        self._size += len(data)
        if self._size >= _AT_ONCE:
            self._write()

    def _write(self) -> None:
        waiting, self._waiting, self._size = self._waiting, [], 0
        with self._backend.transaction(write=True) as transaction:
            self._records.check_token(transaction)
            for name, data in waiting:
                transaction.put(name, pack(name, transaction.id(), data))
        reach("after-stage")

    def switch(self, types: Description | None, letters: Collection[str], *, has_snapshots: bool) -> None:
        """Make all that is staged count, in one transaction; the snapshots that there were are deleted, and the letters of these keys."""
        self._write()
        reach("before-switch")
        records = self._records
        with self._backend.transaction(write=True) as transaction:
            records.check_token(transaction)
            if types is not None:
                remember_types(transaction, types)
            for key in letters:
                write_beside(transaction, key, None)
            if has_snapshots:
                forget_snapshots(transaction, records.name)
            newest = None
            for kind, position, data in self._staged(transaction):
                if kind == b"b":
                    name = records.prefix + b"b" + _POSITION.pack(position)
                    transaction.put(name, pack(name, transaction.id(), data))
                else:
                    put_snapshot(transaction, records.name, None if newest is None else position, data)
                    newest = position if newest is None else newest
            if has_snapshots:
                cursor = records.prefix + b"c" + SNAPSHOT.encode()
                transaction.put(cursor, pack(cursor, transaction.id(), b"%d" % (newest or 0)))
        reach("after-switch")

    def _staged(self, transaction: Transaction) -> Iterator[tuple[bytes, int, bytes]]:
        """Give what is staged, the last first, and delete it: so one of them is in memory at a time, whatever the backend."""
        while (found := transaction.at_or_before(self._after_all())) is not None and found[0].startswith(self._prefix):
            name, record = found
            data = unpack(self._records.name, name, record).data
            transaction.delete(name)
            suffix = name[len(self._prefix) :]
            yield suffix[:1], int.from_bytes(suffix[1:], "big"), data
