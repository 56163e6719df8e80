"""A file of records as a source: opened plain or compressed, counted by record, and known again by its bytes.

Positions are numbers of records. The fingerprint is the length of the file as it lies on disk and a hash of it all, so that a
file that has only grown is the same stream, and one that was changed anywhere is not. To read a file is to read it twice, the
second time from the page cache; SHA-256 takes about half a second a gigabyte.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from typing import IO, Any, Generic, Protocol, TypeVar

from go_state.core.errors import BadRecord, SourceChanged, SourceError

Msg = TypeVar("Msg", covariant=True)

_BLOCK = 1 << 20  # bytes
_BROKEN = (EOFError, OSError, zlib.error)  # what gzip and zipfile raise for damaged or truncated data


class Records(Protocol[Msg]):
    """How a kind of file is read: `parse` gives the records of open lines, of which `skip` were read before."""

    def __call__(self, lines: Iterator[str], skip: int, /) -> Iterator[Msg]:
        """Give the records that follow the first `skip`."""
        ...


class FileSource(Generic[Msg]):
    """A file of records; a `Source`. The name under which its position is stored is the file's own, unless one is given."""

    def __init__(self, path: str | os.PathLike[str], name: str | None, records: Records[Msg]) -> None:
        self.path = os.fspath(path)
        self.name = os.path.basename(self.path) if name is None else name
        self._records = records
        if not os.path.isfile(self.path):
            there = "a folder" if os.path.isdir(self.path) else "not there"
            raise SourceError(f"{self.path} is {there}: give the path of a file, plain, .gz or .zip")

    def size(self) -> int:
        """Return the length of the file on disk, in bytes."""
        return os.path.getsize(self.path)

    def fingerprint(self) -> str:
        """Return the file's length and hash, as "length:hash"."""
        with open(self.path, "rb") as file:
            digest, length = _hash(file, self.size())
        return f"{length}:{digest}"

    def recognise(self, fingerprint: str) -> None:
        """Raise `SourceChanged` unless the file begins with all that it was when it gave the fingerprint."""
        length, _, expected = fingerprint.partition(":")
        if self.size() < int(length):
            raise SourceChanged(self.name, f"it is {self.size()} bytes long and was {length}")
        with open(self.path, "rb") as file:
            digest, _ = _hash(file, int(length))
        if digest != expected:
            raise SourceChanged(self.name, f"its first {length} bytes are not what they were")

    def read(self, after: int | None = None) -> FileReading[Msg]:
        """Begin a pass after so many records."""
        return FileReading(self, self._records, after or 0)


class FileReading(Generic[Msg]):
    """One pass through a file. `position` is the number of records given, those before the pass included."""

    def __init__(self, source: FileSource[Msg], records: Records[Msg], after: int) -> None:
        self.position = after
        self._source = source
        self._records = records
        self._raw: IO[bytes] = open(source.path, "rb")  # noqa: SIM115  - closed by close()
        self._text: IO[str] | None = None

    def bytes_read(self) -> int:
        """Return how far the pass is in the file on disk, in bytes; a little ahead of the records given."""
        return self._source.size() if self._raw.closed else self._raw.tell()

    def __iter__(self) -> Iterator[Msg]:
        try:
            for record in self._records(self._lines(), self.position):
                self.position += 1
                yield record
        except UnicodeDecodeError as error:
            raise BadRecord(
                self._source.name, self.position + 1, f"it is not UTF-8 ({error.reason}): save the file as UTF-8"
            ) from error
        except _BROKEN as error:
            raise BadRecord(
                self._source.name, self.position + 1, f"the file cannot be decompressed up to it: {error}"
            ) from error
        finally:
            self.close()

    def _lines(self) -> Iterator[str]:
        import io

        stream = _decompressed(self._raw, self._source)
        self._text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        return self._text

    def close(self) -> None:
        """Close the file."""
        if self._text is not None:
            self._text.close()
        self._raw.close()


def _decompressed(raw: IO[bytes], source: FileSource[object]) -> Any:  # what TextIOWrapper takes
    match os.path.splitext(source.path)[1]:
        case ".gz":
            import gzip

            return gzip.GzipFile(fileobj=raw)
        case ".zip":
            return _only_member(raw, source)
    return raw


def _only_member(raw: IO[bytes], source: FileSource[object]) -> IO[bytes]:
    import zipfile

    try:
        archive = zipfile.ZipFile(raw)
    except zipfile.BadZipFile as error:
        raise SourceError(f"{source.path} is no zip file: {error}") from error
    members = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    if len(members) != 1:
        raise SourceError(
            f"{source.path} holds {len(members)} files and a source is one of them: unpack it and give the path of one"
        )
    return archive.open(members[0])


def _hash(file: IO[bytes], length: int) -> tuple[str, int]:
    """Return the hash of the next `length` bytes, or of as many as there are, and how many those were."""
    import hashlib

    digest, left = hashlib.sha256(), length
    while left and (block := file.read(min(left, _BLOCK))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest(), length - left
