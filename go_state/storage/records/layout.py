"""The bytes of records: the frame that every one has, and the blocks of a journal, messages that were written together.

The frame is the record's version (8 bytes), a checksum over key, version and data (4 bytes), and its data. The version's highest bit
says that the data is continued in parts, which are records of their own: see `parts.py`.

A block is `{"at":[[count,microseconds],...],"records":[...]}` after a line with the number of its records, that of their schema,
the digest of their types and, if there are any, the number of those that were emptied: JSON that a person can read, under one
checksum. A message that was emptied has its place and its time, and `null` instead of its contents, which no message is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar
from zlib import crc32

from go_state.core.errors import Corrupt
from go_state.core.ports import Stored

Part = TypeVar("Part")

_FRAME = struct.Struct(">QI")
FRAME_BYTES = _FRAME.size

_IN_PARTS = 1 << 63

EMPTIED = b"null"  # the record of a message that was emptied
BLOCK = 1024  # records: a position is found by decoding one block, which takes about 1 ms


# ------------------------------------------------------------------ frames


def pack(name: bytes, version: int, data: bytes, *, in_parts: bool = False) -> bytes:
    """Return the record for the key."""
    written = version | _IN_PARTS if in_parts else version
    return _FRAME.pack(written, crc32(data, crc32(b"%b%d" % (name, written)))) + data


def is_in_parts(record: bytes) -> bool:
    """Return whether the record's data is continued in parts."""
    return record[:1] >= b"\x80"


def version_in(beginning: bytes) -> int:
    """Return the version that a record says it has, of which no checksum is looked at; -1 if it is too short for any."""
    return _FRAME.unpack_from(beginning)[0] & ~_IN_PARTS if len(beginning) >= _FRAME.size else -1


def unpack(key: str, name: bytes, record: bytes) -> Stored:
    """Return what the record holds; `Corrupt`, which names `key`, unless every bit is as it was written."""
    if len(record) < _FRAME.size:
        raise Corrupt(key, f"the record is {len(record)} bytes long, too short for any")
    version, checksum = _FRAME.unpack_from(record)
    data = record[_FRAME.size :]
    if checksum != crc32(data, crc32(b"%b%d" % (name, version))):
        raise Corrupt(key, "the record's checksum does not match")
    return Stored(data, version & ~_IN_PARTS)


# ------------------------------------------------------------------ blocks


class Times(NamedTuple):
    """When `number` messages, one after the other, were put: microseconds since 1970, UTC."""

    number: int
    at: int


def split(times: Sequence[Times], count: int) -> tuple[list[Times], list[Times]]:
    """Return the times of the first `count` messages, and of the others."""
    if len(times) == 1 and times[0].number == count:
        return list(times), []
    first: list[Times] = []
    for index, (number, at) in enumerate(times):
        if number >= count:
            rest = [Times(number - count, at)] if number > count else []
            return [*first, Times(count, at)] if count else first, [*rest, *times[index + 1 :]]
        first.append(Times(number, at))
        count -= number
    return first, []


def after(times: Sequence[Times], count: int) -> list[Times]:
    """Return the times of the messages after the first `count`."""
    return split(times, count)[1]


def merged(times: Sequence[int]) -> list[Times]:
    """Return runs of the times (nanoseconds): messages put within a millisecond of a run's first share its time."""
    if len(times) == 1:
        return [Times(1, times[0] // 1000)]
    runs, first, number = [], times[0], 0
    for at in times:
        if at - first >= 1_000_000 or at < first:
            runs.append(Times(number, first // 1000))
            first, number = at, 0
        number += 1
    runs.append(Times(number, first // 1000))
    return runs


class Block(NamedTuple):
    """Messages that were written together.

    `first` is the position of the first of them, `types` the digest of the types that they had (see `description.py`), `data` their
    JSON with their times, and `emptied` how many of them were emptied.
    """

    journal: str
    first: int
    number: int
    schema: int
    types: str
    data: bytes
    emptied: int = 0

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
            yield self._part_of(position, [record])

    def without_emptied(self) -> Iterator[Block]:
        """Give the messages between those that were emptied as blocks of their own, without times."""
        first, run, records = self.first, list[bytes](), self.records()
        if records.count(EMPTIED) != self.emptied:
            raise self.damaged(f"{records.count(EMPTIED)} of its messages are empty, and it says {self.emptied}")
        for position, record in enumerate(records, self.first):
            if record != EMPTIED:
                first = first if run else position
                run.append(record)
            elif run:
                yield self._part_of(first, run)
                run = []
        if run:
            yield self._part_of(first, run)

    def _part_of(self, first: int, records: Sequence[bytes]) -> Block:
        data = b'{"at":[],"records":[%b]}' % b",".join(records)
        emptied = records.count(EMPTIED) if self.emptied else 0  # in a block that has none, null is no message
        return self._replace(first=first, number=len(records), data=data, emptied=emptied)

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


def pack_block(schema: int, types: bytes, times: Iterable[Times], records: Sequence[bytes]) -> bytes:
    """Return the data of a block."""
    emptied = records.count(EMPTIED)
    head = b"%d %d %b" % (len(records), schema, types)
    at = b",".join(map(b"[%d,%d]".__mod__, times))
    return b'%b\n{"at":[%b],"records":[%b]}' % (head + b" %d" % emptied if emptied else head, at, b",".join(records))


def pack_blocks(
    first: int, schema: int, types: bytes, times: Sequence[Times], messages: Sequence[bytes]
) -> list[tuple[int, bytes]]:
    """Return the data of the blocks that hold the messages from position `first` on, each with the position of its first message."""
    if len(messages) <= BLOCK:
        return [(first, pack_block(schema, types, times, messages))]
    blocks = list[tuple[int, bytes]]()
    for offset in range(0, len(messages), BLOCK):
        some = messages[offset : offset + BLOCK]
        own, times = split(times, len(some))
        blocks.append((first + offset, pack_block(schema, types, own, some)))
    return blocks


def unpack_block(journal: str, first: int, data: bytes) -> Block:
    """Return the block that was written so; `ValueError` if its first line cannot be read."""
    head, _, body = data.partition(b"\n")
    number, schema, types, *emptied = head.split(b" ")
    return Block(journal, first, int(number), int(schema), types.decode(), body, *map(int, emptied))
