"""A lease: one process, and in it one owner, writes a journal at a time. The system takes it back from a process that dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import Literal, Protocol

from go_state.core.errors import Owned, UsageError

Owner = Literal["fail", "wait"]


class Lease(Protocol):
    """The right to write a journal."""

    @property
    def token(self) -> bytes:
        """What the holder leaves in the journal for those who had it before to see; empty where nobody can lose it."""
        ...

    def acquire(self, owner: Owner = "fail") -> bool:
        """Take the lease and tell whether it was not held before; `Owned` when somebody holds it, or, with "wait", block until nobody does."""
        ...

    def release(self) -> None:
        """Give the lease back; a second time is harmless."""
        ...


class FileLease:
    """A lock on a file beside the store's, held from `acquire` to `release`.

    It is `flock` of a file that is never deleted: a deleted one could be locked by two who had opened it before and after.
    """

    def __init__(self, path: str, name: str) -> None:
        from hashlib import blake2b  # here: OpenSSL comes with it

        self._name = name
        self._path = f"{path}-owner-{blake2b(name.encode(), digest_size=8).hexdigest()}"
        self._file: int | None = None

    @property
    def token(self) -> bytes:
        """Nothing: the system takes the lock from the dead alone."""
        return b""

    def acquire(self, owner: Owner = "fail") -> bool:
        """Take the lease and tell whether it was not held before; `Owned` when somebody holds it, or, with "wait", block until nobody does."""
        check_owner(owner)
        if self._file is not None:
            return False
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if owner == "fail" else 0))
        except BlockingIOError:
            os.close(file)
            raise Owned(self._name) from None
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return True

    def release(self) -> None:
        """Give the lease back; a second time is harmless. In a forked child it closes the child's hold on it alone."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                os.close(file)


def check_owner(owner: object) -> None:
    """Raise `UsageError` for what is no `Owner`."""
    if owner not in ("fail", "wait"):
        raise UsageError(f'owner is "fail" or "wait", not {owner!r}')
