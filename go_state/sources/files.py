"""A file of records as a source: opened plain or compressed, counted by record, and known again by its bytes.

Positions are numbers of records. The fingerprint is the length of the file on disk and a hash of all of it, so that a file that
has only grown is the same stream, and one that was changed anywhere is not. So a file is read twice, the second time from the page
cache; SHA-256 takes about half a second a gigabyte.

A plain or .gz file may still be growing, so its last record counts only once its line has ended; see `FileSource`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import closing
from types import TracebackType
from typing import IO, Generic, NamedTuple, Protocol, Self, TypeVar

from go_state.core.errors import BadRecord, SourceChanged, SourceError, UnfinishedRecord, UsageError
from go_state.core.ports import Undecoded
from go_state.sources.contents import Lines, ReadBlock, Section, ShrunkError, UnreadableError, reader_of

Msg = TypeVar("Msg", covariant=True)

_BLOCK = 1 << 20  # bytes


class Records(Protocol[Msg]):
    """How a kind of file is read."""

    def __call__(self, lines: Lines, skip: int, /) -> Iterator[Msg | Undecoded]:
        """Give the records after the first `skip` records, those that are no messages as `Undecoded`.

        Set `lines.complete` and `lines.is_open` at the end.
        """
        ...


class Identity(NamedTuple):
    """Which file was opened, and how many bytes it had then."""

    device: int
    inode: int
    length: int


class FileSource(Generic[Msg]):
    """A file of records; a `Source`. The name under which its position is stored is the file's own, unless one is given.

    `open_once` opens the file for everything that a run asks of it. The port alone has two calls for that, `fingerprint` and `read`,
    between which another file may take the place of this one; so the pass that follows a fingerprint is of the file that was
    described, or refused.

    A last record without a line end may still be growing: it is left for the next pass, with the warning `UnfinishedRecord`.
    `finished=True` says that the file is complete, and the record counts (a .zip is always complete); if the record grows later,
    that raises `SourceChanged`. `finished=False` says that the file grows, and leaves the record without a warning; a .gz that is
    still being written is then read as far as it goes, while otherwise one that is cut short raises `BadRecord`.
    """

    def __init__(
        self, path: str | os.PathLike[str], name: str | None, records: Records[Msg], finished: bool | None = None
    ) -> None:
        self.path = os.fsdecode(path)
        # A file name may hold bytes that no text has; a stored name may not.
        self.name = os.path.basename(self.path).encode(errors="backslashreplace").decode() if name is None else name
        self.records = records
        self.finished = finished
        self.location = os.path.abspath(self.path)  #: the file itself, whatever the current folder becomes
        self._described: Identity | None = None  # what the last fingerprint was of, for the pass that follows it
        if finished not in (None, True, False):
            raise UsageError(f"finished= is True or False, or None for not known, not a {type(finished).__qualname__}")
        if not os.path.isfile(self.location):
            there = "no file" if os.path.exists(self.location) else "not there"  # as a pipe, which can be read but once
            there = "a folder" if os.path.isdir(self.location) else there
            raise SourceError(f"{self.path} is {there}: give the path of a file, plain, .gz or .zip")

    @property
    def compression(self) -> str:
        """How the file is compressed: ".gz", ".zip", or "" if it is plain."""
        suffix = os.path.splitext(self.path)[1].lower()
        return suffix if suffix in (".gz", ".zip") else ""

    def size(self) -> int:
        """Return the length of the file on disk, in bytes."""
        return os.path.getsize(self.location)

    def open_once(self) -> OpenedFile[Msg]:
        """Open the file, to recognise, describe and read the same file, whatever the path names by then."""
        return OpenedFile(self)

    def __iter__(self) -> Iterator[Msg]:
        """Give the messages of the file, from its beginning; `BadRecord` at a record that is not one.

        A run, which decides on such a record by `on_error`, asks for it with `read` instead.
        """
        with closing(self.read()) as reading:
            for message in reading:
                if isinstance(message, Undecoded):
                    raise message.error
                yield message

    def fingerprint(self) -> str:
        """Return the file's length and hash, as "length:hash"."""
        with self.open_once() as opened:
            self._described = opened.identity
            return opened.fingerprint()

    def recognise(self, fingerprint: str) -> None:
        """Raise `SourceChanged` unless the file begins with all that it was when it gave the fingerprint."""
        with self.open_once() as opened:
            opened.recognise(fingerprint)

    def read(self, after: int | None = None) -> FileReading[Msg]:
        """Begin a pass after the first `after` records; one that follows a fingerprint is of the file that was described.

        A record that is no message is given as an `Undecoded` in its place, for runs: for the messages alone iterate over the source.
        """
        described, self._described = self._described, None
        return OpenedFile(self, described).read(after)


class OpenedFile(Generic[Msg]):
    """A file that was opened once: what it recognises, describes and reads is the same file, up to the length that it has now.

    If it was `described` before, it is read up to the length that it had then; `SourceChanged` if that was another file.
    """

    def __init__(self, source: FileSource[Msg], described: Identity | None = None) -> None:
        import hashlib

        self.name = source.name
        self.source = source
        try:
            self.file: IO[bytes] = open(source.location, "rb")  # noqa: SIM115  - closed by close(), or by the reading that takes it over
        except OSError as error:
            raise SourceError(f"{source.path} cannot be opened: {error.strerror}") from error
        found = os.fstat(self.file.fileno())
        self.identity = Identity(found.st_dev, found.st_ino, found.st_size)
        self.length = found.st_size if described is None else described.length
        if described is not None and (described[:2] != self.identity[:2] or described.length > found.st_size):
            self.file.close()
            raise SourceChanged(self.name, "another file has taken its place since it was recognised")
        self.finished = bool(source.finished)  # or whether the fingerprint says so of a file of this length
        self._hashed = 0
        self._digest = hashlib.sha256()

    def fingerprint(self) -> str:
        """Return the file's length and hash, and whether its last record counts without a line end."""
        return f"{self.length}:{self._hash(self.length)}{':finished' if self.finished else ''}"

    def recognise(self, fingerprint: str) -> None:
        """Raise `SourceChanged` unless the file begins with all that it was when it gave the fingerprint."""
        stored, _, rest = fingerprint.partition(":")
        expected, _, finished = rest.partition(":")
        if not stored.isdecimal():
            raise SourceChanged(self.name, "what was read under this name was no file")
        length = int(stored)
        if self.length < length:
            raise SourceChanged(self.name, f"it is {self.length} bytes long and was {length}")
        if self._hash(length) != expected:
            raise SourceChanged(self.name, f"its first {length} bytes are not what they were")
        if not finished:
            return
        following = b"" if self.length == length else self._first_after(length)
        if not following:
            self.finished = True  # also if this run does not say so: its last record was counted
        elif following not in b"\r\n":
            raise SourceChanged(
                self.name,
                f"its last record had no line end when it was read, as finished=True allows, and has grown since byte {length}",
                "what was counted of that record cannot be taken back: cut the file off there and give what follows as a file of "
                "its own, or read it all again into another store, without finished=True",
            )

    def _hash(self, length: int) -> str:
        """Return the hash of the first `length` bytes; what was hashed for a shorter length is not read again."""
        import hashlib

        if self._hashed > length:
            self._hashed, self._digest = 0, hashlib.sha256()
        self.file.seek(self._hashed)
        while self._hashed < length:
            try:
                block = self.file.read(min(length - self._hashed, _BLOCK))
            except OSError as error:
                raise SourceError(f"{self.source.path} cannot be read: {error.strerror}") from error
            if not block:
                raise self.shrunk()
            self._digest.update(block)
            self._hashed += len(block)
        return self._digest.hexdigest()

    def _first_after(self, length: int) -> bytes:
        """Return the first byte, decompressed, that follows the first `length` bytes; a line end if those end with one."""
        try:
            before, last = 0, b"\n"
            read = self.reader(Section(self.file, length))
            while block := read(_BLOCK):
                before, last = before + len(block), block[-1:]
            if last in b"\r\n":
                return last
            read, left = self.reader(Section(self.file, self.length)), before
            while left and (block := read(min(left, _BLOCK))):
                left -= len(block)
            return read(1)
        except ShrunkError:
            raise self.shrunk() from None
        except Exception as error:
            raise SourceError(f"{self.source.path} cannot be read on ({type(error).__qualname__}): is it whole?") from None

    def reader(self, section: Section) -> ReadBlock:
        """Return what reads a section of the file, decompressed."""
        source = self.source
        return reader_of(section, source.path, source.compression, grows=source.finished is False)

    def shrunk(self) -> SourceChanged:
        """Return the error of a file that ends before the length that it had when it was opened."""
        return SourceChanged(self.name, "it became shorter while it was being read")

    def read(self, after: int | None = None) -> FileReading[Msg]:
        """Begin a pass after the first `after` records; the file is closed at its end."""
        return FileReading(self, after or 0)

    def close(self) -> None:
        """Close the file; a second call is harmless."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class FileReading(Generic[Msg]):
    """One pass through a file. `position` is the number of records given, those before the pass included.

    It ends at the length that the file had when it was opened: what is written meanwhile is for the next pass. `unfinished` is
    the number of a last record that was left for the next pass, once the pass has come to it.
    """

    def __init__(self, opened: OpenedFile[Msg], after: int) -> None:
        self.position = after
        self.unfinished: int | None = None
        self._opened = opened
        self._path = opened.source.path
        self._section = Section(opened.file, opened.length)

    def bytes_read(self) -> int:
        """Return how far the pass is in the file on disk, in bytes; a little ahead of the records given."""
        return self._opened.length if self._opened.file.closed else self._section.tell()

    def __iter__(self) -> Iterator[Msg | Undecoded]:
        try:
            source = self._opened.source
            lines = Lines(self._opened.reader(self._section), finished=self._opened.finished or source.compression == ".zip")
            for record in source.records(lines, self.position):
                self.position += 1
                yield record
            self._look_at_end(lines)
        except UnreadableError as error:
            raise BadRecord(self._path, self.position + 1, str(error)) from None
        except ShrunkError:
            raise self._opened.shrunk() from None
        finally:
            self.close()

    def _look_at_end(self, lines: Lines) -> None:
        """Note a last record that was left, and warn of it, unless it was counted before, in a file that was said to be finished."""
        left = bool(lines.is_open or lines.rest.strip())
        if lines.complete + left < self.position:
            raise SourceChanged(self._opened.name, f"it has {lines.complete} records, and {self.position} of it were counted")
        if not left or lines.complete < self.position:
            return
        self.unfinished = lines.complete + 1
        if self._opened.source.finished is None:
            warnings.warn(UnfinishedRecord(self._path, self.unfinished), stacklevel=2)

    def close(self) -> None:
        """Close the file."""
        self._opened.close()
