"""The frame of every record in a store file: its version (8 bytes), a checksum over key, version and data (4 bytes), its data.

The version's highest bit says that the data is continued in parts, which are records of their own: see `parts.py`.
"""

from __future__ import annotations

import struct
from zlib import crc32

from go_state.core.errors import Corrupt
from go_state.core.ports import Stored

_FRAME = struct.Struct(">QI")
FRAME_BYTES = _FRAME.size

_IN_PARTS = 1 << 63


def pack(name: bytes, version: int, data: bytes, *, in_parts: bool = False) -> bytes:
    """Return the record for the key."""
    written = version | _IN_PARTS if in_parts else version
    return _FRAME.pack(written, crc32(data, crc32(b"%d" % written, crc32(name)))) + data


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
    if checksum != crc32(data, crc32(b"%d" % version, crc32(name))):
        raise Corrupt(key, "the record's checksum does not match")
    return Stored(data, version & ~_IN_PARTS)
