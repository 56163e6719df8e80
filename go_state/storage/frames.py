"""The frame of every record in a store file: its version (8 bytes), a checksum over key, version and data (4 bytes), its data."""

from __future__ import annotations

import struct
from zlib import crc32

from go_state.core.errors import Corrupt
from go_state.core.ports import Stored

_FRAME = struct.Struct(">QI")
FRAME_BYTES = _FRAME.size


def pack(name: bytes, version: int, data: bytes) -> bytes:
    """Return the record for the key."""
    return _FRAME.pack(version, _checksum(name, version, data)) + data


def unpack(key: str, name: bytes, record: bytes) -> Stored:
    """Return what the record holds; `Corrupt`, which names `key`, unless every bit is as it was written."""
    if len(record) < _FRAME.size:
        raise Corrupt(key, f"the record is {len(record)} bytes long, too short for any")
    version, checksum = _FRAME.unpack_from(record)
    data = record[_FRAME.size :]
    if checksum != _checksum(name, version, data):
        raise Corrupt(key, "the record's checksum does not match")
    return Stored(data, version)


def _checksum(name: bytes, version: int, data: bytes) -> int:
    return crc32(data, crc32(b"%d" % version, crc32(name)))
