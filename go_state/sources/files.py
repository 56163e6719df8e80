"""A file of records as a source: opened plain or compressed, counted by record, and known again by its bytes.

Positions are numbers of records. The fingerprint is the length of the file as it lies on disk and a hash of it all, so that a
file that has only grown is the same stream, and one that was changed anywhere is not. To read a file is to read it twice, the
second time from the page cache; SHA-256 takes about half a second a gigabyte.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import IO, Any, Generic, Protocol, TypeVar

from go_state.core.errors import BadRecord, SourceChanged, SourceError

Msg = TypeVar("Msg", covariant=True)

_BLOCK = 1 << 20  # bytes


class Records(Protocol[Msg]):
    """How a kind of file is read."""

    def __call__(self, lines: Iterator[bytes], skip: int, /) -> Iterator[Msg]:
        """Give the records of the lines that follow the first `skip` records."""
        ...


class FileSource(Generic[Msg]):
    """A file of records; a `Source`. The name under which its position is stored is the file's own, unless one is given."""

    def __init__(self, path: str | os.PathLike[str], name: str | None, records: Records[Msg]) -> None:
        self.path = os.fspath(path)
        # A file name may hold bytes that no text has; a stored name may not.
        self.name = os.path.basename(self.path).encode(errors="backslashreplace").decode() if name is None else name
        self._records = records
        self._length: int | None = None  # of what the fingerprint describes, for the pass that follows it
        if not os.path.isfile(self.path):
            there = "a folder" if os.path.isdir(self.path) else "not there"
            raise SourceError(f"{self.path} is {there}: give the path of a file, plain, .gz or .zip")

    @property
    def compression(self) -> str:
        """How the file is compressed: ".gz", ".zip", or "" for a plain one."""
        suffix = os.path.splitext(self.path)[1].lower()
        return suffix if suffix in (".gz", ".zip") else ""

    def size(self) -> int:
        """Return the length of the file on disk, in bytes."""
        return os.path.getsize(self.path)

    def fingerprint(self) -> str:
        """Return the file's length and hash, as "length:hash"."""
        with open(self.path, "rb") as file:
            digest, length, _ = _hash(file, self.size())
        self._length = length
        return f"{length}:{digest}"

    def recognise(self, fingerprint: str) -> None:
        """Raise `SourceChanged` unless the file begins with all that it was when it gave the fingerprint."""
        stored, _, expected = fingerprint.partition(":")
        if not stored.isdecimal():
            raise SourceChanged(self.name, "what was read under this name was no file")
        length, size = int(stored), self.size()
        if size < length:
            raise SourceChanged(self.name, f"it is {size} bytes long and was {length}")
        with open(self.path, "rb") as file:
            digest, _, last = _hash(file, length)
        if digest != expected:
            raise SourceChanged(self.name, f"its first {length} bytes are not what they were")
        if size > length > 0 and last != b"\n" and not self.compression:
            raise SourceChanged(self.name, "its last line had no end when it was read, and has grown since")

    def read(self, after: int | None = None) -> FileReading[Msg]:
        """Begin a pass after so many records."""
        described, self._length = self._length, None
        return FileReading(self, self._records, after or 0, self.size() if described is None else described)


class FileReading(Generic[Msg]):
    """One pass through a file. `position` is the number of records given, those before the pass included.

    A plain file is read to the length that its fingerprint describes: what is written meanwhile may be half a line, and is for
    the next pass.
    """

    def __init__(self, source: FileSource[Msg], records: Records[Msg], after: int, length: int) -> None:
        self._length = length
        self.position = after
        self._source = source
        self._records = records
        self._file: IO[bytes] = open(source.path, "rb")  # noqa: SIM115  - closed by close()

    def bytes_read(self) -> int:
        """Return how far the pass is in the file on disk, in bytes; a little ahead of the records given."""
        return self._source.size() if self._file.closed else self._file.tell()

    def __iter__(self) -> Iterator[Msg]:
        try:
            for record in self._records(_lines(self._file, self._source, self._length), self.position):
                self.position += 1
                yield record
        except UnicodeDecodeError as error:
            why = f"it is not UTF-8 ({error.reason}): save the file as UTF-8"
            raise BadRecord(self._source.path, self.position + 1, why) from error
        except Exception as error:
            if not _is_damage(error):
                raise
            why = f"the file cannot be decompressed up to it ({error}): is it whole?"
            raise BadRecord(self._source.path, self.position + 1, why) from error
        finally:
            self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _lines(file: IO[bytes], source: FileSource[object], length: int) -> Iterator[bytes]:
    """Give the file's lines, without a byte order mark, up to its length."""
    left: float = math.inf if source.compression else length
    first = True
    for line in _decompressed(file, source):
        left -= len(line)
        if left < 0:
            return
        yield line.removeprefix(b"\xef\xbb\xbf") if first else line
        first = False


def _decompressed(file: IO[bytes], source: FileSource[object]) -> Any:  # a readable binary file, of one of three classes
    match source.compression:
        case ".gz":
            import gzip

            return gzip.GzipFile(fileobj=file)
        case ".zip":
            return _only_member(file, source)
    return file


def _only_member(file: IO[bytes], source: FileSource[object]) -> IO[bytes]:
    import zipfile

    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise SourceError(f"{source.path} is no zip file: {error}") from error
    members = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if len(members) != 1:
        raise SourceError(
            f"{source.path} holds {len(members)} files and a source is one of them: unpack it and give the path of one"
        )
    return archive.open(members[0])


def _is_damage(error: Exception) -> bool:
    """Tell whether gzip or zipfile has found the compressed data damaged or cut short."""
    import gzip
    import zipfile
    import zlib

    return isinstance(error, (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error))


def _hash(file: IO[bytes], length: int) -> tuple[str, int, bytes]:
    """Return the hash of the next `length` bytes, or of as many as there are, how many those were, and the last of them."""
    import hashlib

    digest, left, last = hashlib.sha256(), length, b""
    while left and (block := file.read(min(left, _BLOCK))):
        digest.update(block)
        left -= len(block)
        last = block[-1:]
    return digest.hexdigest(), length - left, last
