"""A store in one LMDB file."""

from __future__ import annotations

import os

from go_state.core.errors import UsageError
from go_state.storage.backends.lmdb.environment import LMDBEnvironment
from go_state.storage.backends.lmdb.file import real_path
from go_state.storage.backends.record_store import RecordStore


class LMDBStore(RecordStore):
    """A store in the LMDB file at `path` (and `path-lock` beside it), made if it is missing, unless `create` is False.

    A process opens a file once and shares the store between its threads; other processes open it for themselves. After a fork the
    child opens its own. Symbolic links to the file are followed when it is opened, so that it is one store under every name; hard
    links to it are refused. On Linux the leases of its journals are locks on the files `path-owners-0` to `path-owners-f` beside it,
    which hold nothing and are never deleted. Copy the store with `backup`: a file that is copied beside a writer has parts of several
    transactions.

    With `readonly` nothing is written, and the file has to exist; LMDB makes its lock file beside it all the same if that is missing,
    unless the file system cannot be written. `map_size` is the most bytes that the file may ever hold; without it there is room for
    four times what it holds when it is opened, and 64 GiB at least (of address space, not of disk). If another process has given it
    a larger map, this one takes it over.

    Raises `StoreUnavailable` if the file cannot be opened, or is no longer the one that was opened, `StoreFull` if it or the disk
    is full, and `Corrupt` for a file that is cut short or empty, and for damaged records.
    """

    backend: LMDBEnvironment

    def __init__(
        self, path: str | os.PathLike[str], *, map_size: int | None = None, readonly: bool = False, create: bool = True
    ) -> None:
        if map_size is not None and (not isinstance(map_size, int) or map_size < 1):
            raise UsageError(f"map_size is the most bytes the store may ever hold, not {map_size!r}")
        self.path = real_path(path)  #: the file's path, without symbolic links; its lock file is beside it
        super().__init__(LMDBEnvironment(self.path, map_size, readonly=readonly, create=create))
