"""What a file holds: the bytes that it had when it was opened, decompressed, and cut into lines.

Everything is read through one open file, never again by its path, and no further than the file's length when it was opened:
what is written meanwhile may be half a line, or half a compressed block, and is for the next pass.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import IO, TYPE_CHECKING

from go_state.core.errors import SourceError
from go_state.sources.gzipped import Gunzip

if TYPE_CHECKING:
    import zipfile

    from _typeshed import WriteableBuffer

_BLOCK = 1 << 18  # bytes; a block is cut into lines at once, which costs a third of reading line by line
_ENDS = (b"\n", b"\r")
_MARK = b"\xef\xbb\xbf"  # the byte order mark that some editors put in front of UTF-8
_LITTER = ("thumbs.db", "desktop.ini")  # what Windows leaves in folders; what macOS leaves is hidden

ReadBlock = Callable[[int], bytes]
"""Returns up to the given number of bytes, fewer if that is simpler, and none at the end."""


class UnreadableError(Exception):
    """The file gives no more bytes, though it has not come to its end; the text says why and what to do."""


class ShrunkError(Exception):
    """The file ends before the length that it had when it was opened."""


class Section(io.RawIOBase):
    """The first `length` bytes of an open file, as a file of its own; closing it leaves the file open."""

    def __init__(self, file: IO[bytes], length: int) -> None:
        super().__init__()
        self._file = file
        self._length = length
        self._at = file.seek(0)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can be read in any order, as zip files are."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read into the buffer and return how many bytes that were."""
        view = memoryview(buffer).cast("B")
        data = self._file.read(min(len(view), max(self._length - self._at, 0)))
        if not data and len(view) and self._at < self._length:
            raise ShrunkError
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place in the section."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence]
        if start + offset < 0:
            raise OSError("there is nothing before the beginning of a file")  # as files do, which zipfile counts on
        self._at = self._file.seek(start + offset)
        return self._at

    def tell(self) -> int:
        """Return the place in the section."""
        return self._at


class Lines:
    """The lines of a file, each with its end, that of any system, and without a byte order mark; to be iterated once.

    What follows the last line end is a line only if the file is finished. The reader of records sets `complete` to the number of
    records that have ended, and `is_open` if one had begun and not ended when the lines ended.
    """

    def __init__(self, read: ReadBlock, *, finished: bool) -> None:
        self.finished = finished
        self.rest = b""  #: what was held back, because it may still grow
        self.exhausted = False  #: whether a line was asked for when there were no more
        self.complete = 0  #: how many records have ended
        self.is_open = False  #: whether a record was begun and has not ended
        self._read = read

    def __iter__(self) -> Iterator[bytes]:
        return chain.from_iterable(self._runs())

    def _runs(self) -> Iterator[list[bytes]]:
        parts: list[bytes] = []  # of a line that has not ended; kept apart, since joining them at each block would be quadratic
        first = True
        while block := self._next_block():
            parts.append(block)
            if b"\n" not in block and b"\r" not in block:
                continue
            lines = b"".join(parts).splitlines(keepends=True)
            # A "\r" at the end of a block may be half of a "\r\n".
            parts = [] if lines[-1].endswith(b"\n") else [lines.pop()]
            if first and lines:
                lines[0] = lines[0].removeprefix(_MARK)
                first = False
            yield lines
        lines = (b"".join(parts).removeprefix(_MARK) if first else b"".join(parts)).splitlines(keepends=True)
        if lines and not self.finished and not lines[-1].endswith(_ENDS):
            self.rest = lines.pop()
        yield lines
        self.exhausted = True

    def _next_block(self) -> bytes:
        try:
            return self._read(_BLOCK)
        except (UnreadableError, ShrunkError):
            raise
        # What decompressors raise for damaged bytes is not written down anywhere, and may quote them.
        except Exception as error:
            raise UnreadableError(_why_unreadable(error)) from None


def reader_of(section: Section, path: str, compression: str, *, grows: bool) -> ReadBlock:
    """Return the function that reads the section's contents, decompressed; `SourceError` for an archive that cannot be opened.

    A .gz file that grows is read as far as it goes, also if it ends in the middle of a compressed block.
    """
    if compression == ".gz":
        return Gunzip(section, grows=grows).read
    if compression == ".zip":
        return _only_member(section, path).read1
    return section.read


def _only_member(section: Section, path: str) -> zipfile.ZipExtFile:
    import zipfile

    try:
        archive = zipfile.ZipFile(section)
        names = [name for name in archive.namelist() if not name.endswith("/")]
        members = [name for name in names if not _is_litter(name)] if len(names) > 1 else names
        if len(members) == 1:
            member = archive.open(members[0])
            assert isinstance(member, zipfile.ZipExtFile)  # as it always is for reading
            return member
    except ShrunkError:
        raise
    except Exception as error:  # zipfile raises half a dozen kinds for archives that are damaged, or made by newer programs
        raise SourceError(f"{path} cannot be opened as a zip file: {_why_no_archive(error)}") from None
    raise SourceError(f"{path} holds {len(members)} files and a source is one of them: unpack it and give the path of one")


def _is_litter(name: str) -> bool:
    """Return whether a member of a zip file was put there by a desktop for itself."""
    folder, _, base = name.rpartition("/")
    return "__MACOSX" in folder.split("/") or base.startswith(".") or base.lower() in _LITTER


def _why_no_archive(error: Exception) -> str:
    if isinstance(error, NotImplementedError):
        return "it is compressed in a way that Python does not read, such as Deflate64: unpack it and give the path of the file"
    if isinstance(error, RuntimeError):
        return "it is encrypted: unpack it with its password and give the path of the file"
    if isinstance(error, OSError) and error.strerror:
        return f"the disk says {error.strerror!r}"
    return f"it is damaged, cut short or no zip file ({type(error).__qualname__}): get it again from where it came"


def _why_unreadable(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "the compressed data ends in the middle of it: is the file whole?"
    if isinstance(error, OSError) and error.strerror:
        return f"the file cannot be read ({error.strerror}): look to the disk, and run again"
    if isinstance(error, (NotImplementedError, MemoryError)):
        return f"the file cannot be decompressed ({type(error).__qualname__}): unpack it and give the path of the file"
    kind = "zlib's error" if isinstance(error, zlib.error) else type(error).__qualname__
    return f"the file cannot be decompressed ({kind}): it is damaged, or not compressed; get it again"
