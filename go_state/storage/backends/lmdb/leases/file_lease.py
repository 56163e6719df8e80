"""The lease of a folder, or of a journal where `byte_locks.py` is not possible: a lock on another file beside it."""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress
from typing import BinaryIO

from go_state.core.errors import StoreUnavailable
from go_state.storage.records.lease import IfHeld, LeaseWait, check_if_held, wait_for_lock


class FileLease:
    """A lock on a file beside the store's, held from `acquire` to `release`.

    It is `flock` of a file that is never deleted: two processes that had opened it before and after it was deleted could both lock it.
    """

    def __init__(self, path: str, name: str) -> None:
        from hashlib import blake2b  # here: OpenSSL comes with it

        self._name = name
        self._path = f"{path}-owner-{blake2b(name.encode(), digest_size=8).hexdigest()}"
        self._file: BinaryIO | None = None
        self._trying = threading.Lock()  # held for a moment, by one of the waiting threads

    @property
    def token(self) -> bytes:
        """Nothing: the system takes the lock from the dead alone."""
        return b""

    def acquire(self, if_held: IfHeld = "fail", given_up: LeaseWait | None = None) -> bool:
        """Take the lease, unless it is held already. Raises `LeaseHeld` if another holds it, or blocks until it is free with "wait".

        False, and nothing is taken, if `given_up` was set while it blocked.
        """
        check_if_held(if_held)
        if self._is_held():
            return True
        _check_system()
        return wait_for_lock(self._try, self._name, if_held, given_up)

    def _try(self) -> bool:
        """Take the lock if it is free, or another thread has taken it for this lease."""
        with self._trying:
            if self._is_held():
                return True
            try:
                with ExitStack() as unless_taken:
                    file = unless_taken.enter_context(open(self._path, "ab", buffering=0))
                    if _locked(file.fileno()):
                        self._file = file
                        unless_taken.pop_all()
            except OSError as error:
                raise StoreUnavailable(why_not(self._path, error)) from error
            return self._is_held()

    def _is_held(self) -> bool:
        return self._file is not None and not self._file.closed

    def release(self) -> None:
        """Give the lease back; a second time is harmless. In a forked child it closes the child's hold on it alone."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()  # which Ctrl-C may cut short: then it is done again
            self._file = None


def _check_system() -> None:
    """Raise `StoreUnavailable` if the system has no lock that it takes back from a process that dies."""
    try:
        import fcntl  # noqa: F401
    except ImportError:
        raise StoreUnavailable(
            "a journal in a file needs a lock that only POSIX systems have (flock), and this system is not one: keep journals in a "
            "gs.PostgresStore here; models can be kept in a gs.LMDBStore without one"
        ) from None


def why_not(path: str, error: OSError) -> str:
    """Return what is said of a lease that cannot be taken at all."""
    return (
        f"the lease {path} cannot be taken ({error.strerror or error}): check that it can be read and written, in a folder whose "
        f"file system has locks"
    )


def _locked(file: int) -> bool:
    import fcntl  # here: it is known to exist by now

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
