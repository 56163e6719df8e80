"""Blocks: messages of a journal that were written together, as they lie in a store; and what one write adds to a journal.

A block is `{"at":[[count,microseconds],...],"records":[...]}` after a line with the number of its records, that of their schema
and the digest of their types: JSON that a person can read, under one checksum.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from go_state.core.errors import Corrupt
from go_state.storage.records.parts import InParts
from go_state.storage.records.times import Times, split
from go_state.storage.records.writes.wakes import WakeRecord

if TYPE_CHECKING:
    from go_state.storage.types.description import Description

Part = TypeVar("Part")

BLOCK = 1024  # records: a position is found by decoding one block, which takes about 1 ms


class Block(NamedTuple):
    """Messages that were written together.

    `first` is the position of the first of them, `types` the digest of the types that they had (see `description.py`), and `data`
    their JSON with their times.
    """

    journal: str
    first: int
    number: int
    schema: int
    types: str
    data: bytes

    @property
    def end(self) -> int:
        """The position after the last."""
        return self.first + self.number

    def records(self) -> list[bytes]:
        """Return the JSON of each message."""
        import msgspec

        records = [bytes(each) for each in self._part("records", list[msgspec.Raw])]
        if len(records) != self.number:
            raise self.damaged(f"it holds {len(records)} messages and says {self.number}")
        return records

    def each(self) -> Iterator[Block]:
        """Give each message as a block of its own, without its time."""
        for position, record in enumerate(self.records(), self.first):
            yield self._replace(first=position, number=1, data=b'{"at":[],"records":[%b]}' % record)

    def _part(self, name: str, kind: type[Part]) -> Part:
        import msgspec

        from go_state.storage.codec.depth import with_room

        try:
            found = with_room(msgspec.json.Decoder(dict[str, msgspec.Raw]).decode, self.data)[name]
            part: Part = with_room(msgspec.json.Decoder(kind).decode, found)
            return part
        except (ValueError, KeyError, RecursionError) as error:
            raise self.damaged(f"its {name} cannot be read: {type(error).__name__}") from None

    def damaged(self, why: str) -> Corrupt:
        """Return the error for a block that is damaged, and why it is thought to be."""
        return Corrupt(self.journal, f"the messages from position {self.first} on: {why}", position=self.first)

    def holds(self, position: int) -> bool:
        """Return whether the message at the position is one of them."""
        return self.first <= position < self.end

    def times(self) -> list[Times]:
        """Return when its messages were put."""
        times = [Times(*run) for run in self._part("at", list[tuple[int, int]])]
        if sum(run.number for run in times) != self.number:
            raise self.damaged("its times are not those of its messages")
        return times


class Entry(NamedTuple):
    """What one transaction writes: messages from position `first` on, and what changes with them."""

    first: int = 0
    schema: int = 1
    messages: Sequence[bytes] = ()
    times: Sequence[Times] = ()
    cursors: Mapping[str, int] = MappingProxyType({})
    set_aside: Mapping[int, str] = MappingProxyType({})
    snapshot: Snapshot | None = None
    types: Description | None = None
    under_way: Sequence[str] | None = None  # None: as it was
    wake: WakeRecord | None = None  # when the program is to be woken; None: as it was


class Snapshot(NamedTuple):
    """A snapshot to write, of the model before the message at `position`.

    `version` and `replaces` are the version and the position of the snapshot that it replaces; `keep` is how many snapshots to
    retain, this one included; one at or before the position `needed` is retained in any case.
    """

    key: str
    position: int
    data: bytes | InParts
    version: int
    replaces: int | None
    keep: int
    needed: int


def pack_blocks(first: int, entry: Entry) -> Iterator[tuple[int, bytes]]:
    """Give the data of the entry's blocks, each with the position of its first message."""
    types = b"" if entry.types is None else entry.types.digest.encode()
    times = entry.times
    for offset in range(0, len(entry.messages), BLOCK):
        messages = entry.messages[offset : offset + BLOCK]
        own, times = split(times, len(messages))
        at = b",".join(b"[%d,%d]" % run for run in own)
        head = b"%d %d %b" % (len(messages), entry.schema, types)
        yield first + offset, b'%b\n{"at":[%b],"records":[%b]}' % (head, at, b",".join(messages))


def unpack_block(journal: str, first: int, data: bytes) -> Block:
    """Return the block that was written so; `ValueError` if its first line cannot be read."""
    head, _, body = data.partition(b"\n")
    number, schema, types = head.split(b" ")
    return Block(journal, first, int(number), int(schema), types.decode(), body)
