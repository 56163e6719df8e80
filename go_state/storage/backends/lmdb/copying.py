"""Copies of a store file that take its place, or are kept as backups: whole and on disk, or not there at all.

LMDB numbers the transactions of a compacted copy from 1 again. Versions are those numbers, and no key may ever have one twice; and
processes that share a lock file count on together from the number in it. So a copy is given the number that it goes on from: both of
its meta pages are written anew, as those of the last transaction and of the one before, which have the same contents.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from go_state.core.errors import StoreUnavailable, UsageError
from go_state.system.crash_points import reach

_PAGE = struct.Struct("=QHHHH")  # see `file.py`
_META = 136  # bytes of `struct MDB_meta`, which follows the page's header; the number of its transaction is the last 8 of them
_SIZE = slice(_PAGE.size + 24, _PAGE.size + 28)  # where the first meta page says how large a page is


@contextmanager
def new_file(path: str) -> Iterator[str]:
    """Give the path of a file to write, which is removed if the block fails, and has another name at its end otherwise."""
    try:
        yield path
    except BaseException:
        remove_left(path)
        raise


def remove_left(path: str) -> None:
    """Remove what an interrupted copy has left."""
    with suppress(FileNotFoundError):
        os.remove(path)


def finish_copy(path: str, number: int, *, like: str | None = None) -> None:
    """Number a compacted copy so that it goes on from that transaction, with the rights of the file `like`, and sync it."""
    if like is not None:
        original = os.stat(like)
        os.chmod(path, original.st_mode & 0o777)
        with suppress(
            PermissionError, AttributeError
        ):  # of another's file, which our group may write; of a system without owners
            os.chown(path, original.st_uid, original.st_gid)
    with open(path, "r+b") as file:
        _renumber(file, number)
        file.flush()
        os.fsync(file.fileno())


def _renumber(file: IO[bytes], number: int) -> None:
    page = int.from_bytes(file.read(1 << 12)[_SIZE], sys.byteorder)
    metas = []
    for index in (0, 1):
        file.seek(page * index)
        metas.append(file.read(_PAGE.size + _META))
    last = max(metas, key=lambda each: int.from_bytes(each[-8:], sys.byteorder))
    for each in (max(number - 1, 0), number):
        head = metas[each & 1][: _PAGE.size]
        file.seek(page * (each & 1))
        file.write(head + last[_PAGE.size : -8] + each.to_bytes(8, sys.byteorder))


def check_can_exchange(path: str) -> None:
    """Raise `StoreUnavailable` on a system where a file that is open cannot be replaced."""
    if sys.platform == "win32":
        raise StoreUnavailable(
            f"{path} cannot be compacted in its place on Windows, where an open file keeps its name: make a backup, which is compact, "
            f"close the store, and put the backup in its place"
        )


def exchange(new: str, path: str) -> None:
    """Put the new file in the place of the one at the path: a crash leaves the one or the other."""
    reach("before-exchange")
    os.replace(new, path)
    reach("after-exchange")
    sync_folder(path)


@contextmanager
def published(path: str) -> Iterator[str]:
    """Give the path of a file to write, which gets its own name at the end of the block, whole and on disk, or is removed.

    Raises `UsageError` for a path at which something lies.
    """
    _check_free(path)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise UsageError(f"{folder} is not a folder: make it first")
    with new_file(f"{path}.partial-{os.getpid()}") as new:
        remove_left(new)
        yield new
        reach("before-exchange")
        try:
            os.link(new, path)  # not a rename, which would overwrite
        except FileExistsError:
            _check_free(path)
        except OSError:  # a file system without hard links
            _check_free(path)
            os.rename(new, path)
        else:
            os.remove(new)
        reach("after-exchange")
        sync_folder(path)


def _check_free(path: str) -> None:
    if os.path.lexists(path):
        raise UsageError(f"{path} exists, and nothing is overwritten: give the path of a new file")


def sync_folder(path: str) -> None:
    """Sync the folder that the file is in, so that the name is on disk as well; not every system can."""
    with suppress(OSError):
        folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
