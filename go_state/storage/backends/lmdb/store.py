"""A store in one LMDB file."""

from __future__ import annotations

import os

from go_state.core.errors import UsageError
from go_state.storage.backends.lmdb.environment import LMDBEnvironment
from go_state.storage.backends.lmdb.file import real_path
from go_state.storage.backends.record_store import RecordStore

_MAP_SIZE = 1 << 36  # 64 GiB of address space, not of disk: the file grows as it is filled. Set once, because two processes
# that resize a map at the same time have corrupted files (py-lmdb issue 269).


class LMDBStore(RecordStore):
    """A store in the LMDB file at `path` (and `path-lock` beside it), made if it is missing.

    `map_size` is the most bytes that it may ever hold. A process opens a file once and shares the store between its threads; other
    processes open it for themselves. After a fork the child opens its own. Symbolic links to the file are followed when it is
    opened, so that it is one store under every name; hard links to it are refused. Copy the file while no process has it open: a
    copy that is made beside a writer has parts of several transactions.

    Raises `StoreUnavailable` if the file cannot be opened, or is no longer the one that was opened, `StoreFull` if it or the disk
    is full, and `Corrupt` for a file that is cut short or empty, and for damaged records.
    """

    backend: LMDBEnvironment

    def __init__(self, path: str | os.PathLike[str], *, map_size: int = _MAP_SIZE) -> None:
        if not isinstance(map_size, int) or map_size < 1:
            raise UsageError(f"map_size is the most bytes the store may ever hold, not {map_size!r}")
        self.path = real_path(path)  #: the file's path, without symbolic links: its lock file is beside it
        super().__init__(LMDBEnvironment(self.path, map_size))
