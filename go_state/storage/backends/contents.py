"""All that a store holds: counted, or taken over from another store.

Both read every record in one transaction, in the order of their names, and keep none of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from go_state.storage.records.backend import Backend, Transaction
from go_state.storage.records.layout import is_in_parts, pack, unpack
from go_state.storage.records.records import RESTORED

_NAMED = 20  # of many journals this many are described one by one
_AT_ONCE = 1000  # records that are kept before they are sent
_ALL = b"\x01", b"\xff"  # no name begins with either
_REWRITING = b"r/"  # how the names of what an interrupted rewriting has left begin


class JournalSize(NamedTuple):
    """A journal by its size: its name, how many records it has, and how many bytes they take."""

    name: str
    records: int
    bytes: int


class StoreInfo(NamedTuple):
    """What a store holds, and the room that it takes.

    `bytes` is its size on disk, of which `used` hold records and `free` are to be used again; `map_size` is the most that a file may
    have, and `room` how much of that is left; `readers` are the threads of all processes that have read the file and are still there.
    Those are None where a backend has no such thing. `keys` counts models and newest snapshots, `keyframes` the snapshots that were
    kept besides, `journals` the journals, and `largest` are the largest of those.
    """

    where: str
    bytes: int
    used: int | None
    free: int | None
    map_size: int | None
    room: int | None
    readers: int | None
    keys: int
    keys_bytes: int
    keyframes: int
    keyframes_bytes: int
    journals: int
    journals_bytes: int
    largest: tuple[JournalSize, ...]


def info(backend: Backend) -> StoreInfo:
    """Return what the store holds; no record is read, but for its size."""
    counted, space = _Counted(), backend.space()
    for name, size in backend.sizes():
        counted.add(name, size)
    counted.end_journal()
    room = None if space.map_size is None or space.used is None else space.map_size - space.used
    return StoreInfo(
        backend.where, space.bytes, space.used, space.free, space.map_size, room, space.readers,
        counted.number(b"s/"), counted.size(b"s/") + counted.size(b"p/"), counted.number(b"k/"), counted.size(b"k/"),
        counted.journals, counted.size(b"j/"), tuple(counted.largest),
    )  # fmt: skip


class _Counted:
    def __init__(self) -> None:
        self._kinds: dict[bytes, tuple[int, int]] = {}
        self._journal, self._records, self._bytes = b"", 0, 0  # the one that is being counted
        self.journals = 0
        self.largest: list[JournalSize] = []

    def add(self, name: bytes, size: int) -> None:
        kind = name[:2]
        number, total = self._kinds.get(kind, (0, 0))
        self._kinds[kind] = number + 1, total + size
        if kind == b"j/":
            journal = name.partition(b"\0")[0]
            if journal != self._journal:
                self.end_journal()
                self._journal = journal
            self._records, self._bytes = self._records + 1, self._bytes + size

    def end_journal(self) -> None:
        """Called when the records of a journal, which lie together, are all counted."""
        if self._records:
            self.journals += 1
            self.largest.append(JournalSize(self._journal[2:].decode(errors="replace"), self._records, self._bytes))
            self.largest = sorted(self.largest, key=lambda each: -each.bytes)[:_NAMED]
        self._records = self._bytes = 0

    def number(self, kind: bytes) -> int:
        return self._kinds.get(kind, (0, 0))[0]

    def size(self, kind: bytes) -> int:
        return self._kinds.get(kind, (0, 0))[1]


def copy_all(source: Backend, target: Backend) -> int:
    """Put all that the source holds at one moment in the place of what the target holds, in one transaction; return the records' number.

    Every record gets the target's next version, which none of its keys has had; and who has taken a lease of the target meanwhile has
    it no longer, because what it has read is not there any more. Raises `Corrupt` for a record that is damaged.
    """
    with source.transaction() as reads, target.transaction(write=True) as writes:
        version, number = writes.id(), 0
        writes.delete_range(*_ALL)
        for number, (name, record) in enumerate(_records(reads), 1):
            data = unpack(ascii(name)[2:-1], name, record).data
            writes.put(name, pack(name, version, data, in_parts=is_in_parts(record)))
            if not number % _AT_ONCE:
                writes.names(_REWRITING)  # a question, before which Postgres is sent what was put so far
        writes.put(RESTORED, pack(RESTORED, version, os.urandom(16)))
    return number


def _records(transaction: Transaction) -> Iterator[tuple[bytes, bytes]]:
    """Give every record that counts."""
    for name, record in transaction.items(b""):
        if not name.startswith(_REWRITING) and name != RESTORED:
            yield name, record
