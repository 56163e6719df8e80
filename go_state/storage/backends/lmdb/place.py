"""Whether the file that was opened is still the one at its path, and as long as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from go_state.core.errors import Corrupt, StoreReplaced
from go_state.storage.backends.lmdb.file import Identity, identity, identity_of, seen


class Place:
    """The path of a store and of LMDB's lock file beside it, with what lay there when the store was opened."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock_path = f"{path}-lock"  # LMDB's own, beside the file
        self._size = 0  # that the file had; LMDB never makes it smaller
        self._files: tuple[Identity | None, Identity | None] | None = None

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Note which files are at the path before LMDB opens them, for the length of the block.

        Another process may put another file there while LMDB opens the one before. The file that is noted stays open for the block,
        so that no file that comes after it can be given its inode and pass for it.
        """
        self._size, self._files = 0, (None, identity(self._lock_path))
        try:
            held = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # there is none yet, or LMDB says what is wrong with it
            yield
            return
        try:
            self._files = identity_of(held), self._files[1]
            yield
        finally:
            os.close(held)

    def is_unchanged(self) -> bool:
        """Return whether the files that were there before they were opened are there still: LMDB has opened these."""
        return self._files == (identity(self.path), identity(self._lock_path))

    def look(self) -> Identity | None:
        """Return which file is at the path; `Corrupt` if the file that was opened has become smaller.

        LMDB would read beyond its end, and the system would end the process.
        """
        had = self._size  # before the next line: the file may grow meanwhile
        found, size = seen(self.path)
        if self._files is None or found == self._files[0]:
            if size < had:
                raise Corrupt(
                    self.path, f"the file is cut short: it has {size:,} bytes, and had {had:,} when it was opened, or since"
                )
            self._size = size
        return found

    def check_readable(self) -> None:
        """Raise `StoreReplaced` if another file is at the path: what is read would be of the past."""
        found = self.look()
        if self._files is not None and found != self._files[0]:
            raise self.replaced("nothing was read")

    def check_writable(self) -> None:
        """Raise `StoreReplaced` if another file is at the path: what is written to the one that was opened would be lost."""
        had = self._size  # before the next line: the file may grow meanwhile
        try:
            file, lock = os.stat(self.path), os.stat(self._lock_path)
        except OSError:
            raise self.replaced("nothing was written") from None
        if ((file.st_dev, file.st_ino), (lock.st_dev, lock.st_ino)) != self._files:
            raise self.replaced("nothing was written")
        if file.st_size < had:
            self.look()  # raises that it is cut short
        self._size = file.st_size

    def replaced(self, what: str) -> StoreReplaced:
        """Return the error of a store that has to be opened again."""
        return StoreReplaced(
            f"{self.path}, or {self._lock_path}, was replaced or removed while the store was open, as when it is compacted, and "
            f"{what}: open the store again"
        )

    def has(self, path: str) -> bool:
        """Return whether the path is one of the two files, under whatever name."""
        return identity(path) in (self._files or ())
