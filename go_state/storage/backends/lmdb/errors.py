"""The errors of LMDB and of the file system in our words: what has become of the data, and what to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from go_state.core.errors import Corrupt, StoreFull, StoreUnavailable

if TYPE_CHECKING:
    import lmdb


_LITTLE = 1 << 20  # bytes free on a disk that count as none when a write has failed


def disk_is_full(folder: str) -> bool:
    """Return whether so little of the disk is free that a failed write has failed because of that."""
    from shutil import disk_usage

    return disk_usage(folder or ".").free < _LITTLE


def why_not_opened(path: str, error: Exception, *, is_another: bool, room: int | None) -> str:
    """Return why LMDB cannot open the file, and what to do about it.

    `is_another` says that LMDB does not know it as a file of its own; `room` is the size of a map for which there is no memory.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if is_another:
        whole = "a backup, or a copy that was made while no process had it open"
        return f"{path} is no LMDB file, or is damaged ({error}): give another path, or put back {whole}"
    if room is not None:
        return (
            f"{path} cannot be opened, because a process may not have {room} bytes of address space here "
            f"(see ulimit -v): give a smaller map_size, which is the most that the store may ever hold"
        )
    if "already open" in str(error):
        return f"{path} is already open in this process: open it once and hand the store to whoever needs it"
    if os.path.isdir(path):
        return f"{path} is a folder: an LMDBStore is one file in it, such as {path}/state.lmdb"
    if "denied" not in str(error) and not os.path.isdir(folder):
        return f"{folder} is not a folder: make it first"
    return f"{path} cannot be opened ({error}): check that it and {path}-lock can be read and written"


def in_our_words(error: lmdb.Error, path: str, map_size: int, *, write: bool) -> Corrupt | StoreFull | StoreUnavailable:
    """Return the error of a transaction of the file at the path, which has a map of that size."""
    import lmdb

    kept = "nothing of this write was kept and nothing stored before is lost"
    match error:
        case lmdb.MapFullError():
            return StoreFull(f"{path} is full: {kept}; open it with a map_size above {map_size}")
        case lmdb.CorruptedError() | lmdb.PageNotFoundError() | lmdb.PanicError() | lmdb.InvalidError():
            return Corrupt(path, f"LMDB cannot follow its pages: {error}")
    if not write:
        return StoreUnavailable(f"{path} could not be read: {error}")
    if disk_is_full(os.path.dirname(path)):  # LMDB calls it an input/output error
        return StoreFull(f"the disk of {path} is full: {kept}; free space on it")
    return StoreUnavailable(f"{path} could not be written ({error}): {kept}")


def not_copied(error: lmdb.Error, source: str, path: str) -> StoreFull | StoreUnavailable:
    """Return the error of a copy of the file `source` to the path."""
    folder = os.path.dirname(os.path.abspath(path))
    if disk_is_full(folder) or "space" in str(error):
        return StoreFull(f"the disk of {folder} is full: nothing was copied, and the store is as it was; free space on it")
    return StoreUnavailable(f"{source} could not be copied to {path} ({error}): the store is as it was")
