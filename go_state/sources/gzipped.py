"""A .gz file: members one after another. The last one may be cut short if the file is still being written."""

from __future__ import annotations

import zlib
from typing import Protocol

_RAW = 1 << 16  # compressed bytes
_GZIP = 31  # zlib's word for a member with its header, and its length and checksum at its end, both of which it looks at


class Raw(Protocol):
    """What is decompressed."""

    def read(self, size: int, /) -> bytes | None:
        """Return up to `size` bytes, none at the end."""
        ...


class Member(Protocol):
    """The decompressor of one member; zlib's own class has no name."""

    @property
    def eof(self) -> bool:
        """Whether the member has ended."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What follows its end."""
        ...

    @property
    def unconsumed_tail(self) -> bytes:
        """What is not decompressed yet."""
        ...

    def decompress(self, data: bytes, most: int, /) -> bytes:
        """Return up to `most` bytes."""
        ...


class Gunzip:
    """Decompresses a file. The last member has to be whole, unless the file grows: then what was written so far counts."""

    def __init__(self, raw: Raw, *, grows: bool) -> None:
        self._raw = raw
        self._grows = grows
        self._held = b""  # bytes that were read and are not decompressed
        self._member: Member | None = None  # the decompressor of one that has begun and has not ended
        self._padded = False  # whether NULs may follow, which tapes put behind a member

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none at the end. Raises `EOFError` within a member, and `zlib.error` for damaged data."""
        while True:
            data = self._held or self._raw.read(_RAW) or b""
            ended = not data
            if self._member is None:
                self._held = data.lstrip(b"\0") if self._padded else data
                if ended:
                    return b""
                if not self._held:
                    continue
                data, self._member = self._held, zlib.decompressobj(_GZIP)
            block: bytes = self._member.decompress(data, size)
            self._held = self._member.unused_data or self._member.unconsumed_tail
            if self._member.eof:
                self._member, self._padded = None, True
            if block:
                return block
            if ended and self._member is not None:
                return self._end()

    def _end(self) -> bytes:
        if self._grows:
            return b""
        raise EOFError
