"""Which file is at a path, and whether all of its pages exist, before LMDB is trusted with it.

LMDB maps the file into memory, and reading a page beyond the file's end is not an error but a signal, which ends the process. So the
number of pages that the file says it has is compared with its size when it is opened. A whole file may be shorter than that: pages
that were allocated and freed within one transaction are never written. Those are on the list of free pages, which LMDB does not
expose, and which is read here from the file itself; see `struct MDB_meta` and `struct MDB_page` in LMDB's mdb.c.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from typing import TypeAlias

from go_state.core.errors import Corrupt, StoreUnavailable, UsageError

_PAGE = struct.Struct("=QHHHH")  # the header: number, padding, flags, where the offsets of its nodes end, where the nodes begin
# After the header: size of a page, root of the free pages' tree, last page, transaction.
_META = struct.Struct("=24xI36xQ48xQQ")
_NODE = struct.Struct("=HHHH")  # two halves of a number, flags (or the rest of the number), size of the key
_BRANCH, _LEAF = 0x01, 0x02  # flags of pages
_BIG = 0x01  # of a node: its data lies on pages of their own
_NONE = (1 << 64) - 1  # the root of an empty tree
_MAP_SIZE = (
    1 << 36
)  # 64 GiB of address space, not of disk: the file grows as it is filled. It is set when a file is opened, because
# two processes that resize a map at the same time have corrupted files (py-lmdb issue 269).
_DEPTH = 32  # as LMDB's own limit: a damaged tree may lead in a circle


Identity: TypeAlias = tuple[int, int]
"""Distinguishes a file from every other that has had, or will have, its name: its device and inode."""


def identity(path: str) -> Identity | None:
    """Return which file is at the path, None for none."""
    return seen(path)[0]


def identity_of(file: int) -> Identity:
    """Return which file is open under the descriptor."""
    found = os.fstat(file)
    return found.st_dev, found.st_ino


def seen(path: str) -> tuple[Identity | None, int]:
    """Return which file is at the path, and how many bytes it has; None and 0 for none."""
    try:
        found = os.stat(path)
    except OSError:
        return None, 0
    return (found.st_dev, found.st_ino), found.st_size


def real_path(path: str | os.PathLike[str]) -> str:
    """Return the path without symbolic links; `UsageError` for a value that is not a path."""
    try:
        return os.path.realpath(os.fsdecode(path))
    except (TypeError, ValueError):
        raise UsageError("the path of a store is a string or a pathlib.Path, without a NUL in it") from None


def check_before_opening(path: str, *, create: bool) -> None:
    """Raise for a file that LMDB would open and should not: one that is missing and not to be made, or empty, or has another name."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if create:
            return
        raise StoreUnavailable(
            f"there is no store at {path}, and none was made: check the path, or open it to be made"
        ) from None
    except OSError:
        return  # LMDB says what is wrong
    if found.st_nlink > 1 and os.path.isfile(path):
        raise StoreUnavailable(
            f"{path} has {found.st_nlink} names (hard links), and its lock file is beside each of them: processes that open it by "
            f"different names would write over each other; remove the others, or make symbolic links of them"
        )
    if not (os.path.isfile(path) or os.path.isdir(path) or stat.S_ISBLK(found.st_mode)):
        raise StoreUnavailable(
            f"{path} is not a file: a store is a file that can be written anywhere, and not a pipe or a device"
        )
    if not found.st_size and os.path.isfile(path) and not _is_being_made(path) and not os.path.getsize(path):
        raise Corrupt(path, "the file is empty, which no store is; delete it if a new one is to begin there")


def _is_being_made(path: str) -> bool:
    """Return whether a process is making the file: LMDB holds an exclusive lock beside it until the first pages are written."""
    try:
        import fcntl

        lock = os.open(f"{path}-lock", os.O_RDWR | os.O_CLOEXEC)
    except (ImportError, OSError):
        return False
    try:
        fcntl.lockf(lock, fcntl.LOCK_SH | fcntl.LOCK_NB, 1)  # the first byte: readers hold others
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def check_whole(path: str, transaction: int) -> None:
    """Raise `Corrupt` when pages that are in use, as of the transaction, lie beyond the end of the file."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    size = os.fstat(file).st_size
    try:
        lacks = _File(file).lacks(transaction, size)
    except (struct.error, IndexError, RecursionError):
        lacks = True  # the list of free pages itself is missing
    finally:
        os.close(file)
    if lacks:
        raise Corrupt(path, f"the file is cut short: it has {size:,} bytes, and more pages in use")


def free_pages(path: str, transaction: int) -> int:
    """Return how many pages of the file are free, as of the transaction; 0 if it is over."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _File(file).free(transaction)
    except (struct.error, IndexError, RecursionError):
        return 0
    finally:
        os.close(file)


def room_for(path: str) -> int:
    """Return the size of the map for the file at the path: four times as large as the file, and more of address space than of any disk."""
    return max(_MAP_SIZE, 4 * seen(path)[1])


class _File:
    """The pages of a file, as they are on disk."""

    def __init__(self, file: int) -> None:
        self._file = file
        first = self._meta(_PAGE.size)
        second = self._meta(first[0] + _PAGE.size)
        self._metas = first, second
        self._page_size = first[0]

    def _meta(self, offset: int) -> tuple[int, int, int, int]:
        found: tuple[int, int, int, int] = _META.unpack(os.pread(self._file, _META.size, offset))
        return found

    def lacks(self, transaction: int, size: int) -> bool:
        """Return whether pages that the transaction uses are missing in a file of that size."""
        there = size // self._page_size
        for _, root, last, number in self._metas:
            if number == transaction:
                free = sum(page >= there for page in self._free(root, 0)) if last >= there else 0
                return last + 1 - there > free
        return True

    def free(self, transaction: int) -> int:
        """Return how many pages are free, as of the transaction."""
        return sum(sum(1 for _ in self._free(root, 0)) for _, root, _, number in self._metas if number == transaction)

    def _free(self, page: int, depth: int) -> Iterator[int]:
        """Give the numbers of the free pages in the part of their tree below a page."""
        if page == _NONE:
            return
        if depth > _DEPTH:
            raise RecursionError
        data = os.pread(self._file, self._page_size, page * self._page_size)
        _, _, flags, lower, _ = _PAGE.unpack_from(data)
        for at in struct.unpack_from(f"={(lower - _PAGE.size) // 2}H", data, _PAGE.size):
            low, high, node_flags, key = _NODE.unpack_from(data, at)
            if flags & _BRANCH:
                yield from self._free(low | high << 16 | node_flags << 32, depth + 1)
            elif flags & _LEAF:
                size, start = low | high << 16, at + _NODE.size + key
                if node_flags & _BIG:
                    (big,) = struct.unpack_from("=Q", data, start)
                    pages = os.pread(self._file, size, big * self._page_size + _PAGE.size)
                else:
                    pages = data[start : start + size]
                (count,) = struct.unpack_from("=Q", pages)
                yield from struct.unpack_from(f"={count}Q", pages, 8)
            else:
                raise IndexError
