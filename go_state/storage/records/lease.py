"""A lease: one process, and in it one owner, writes a journal at a time. The system takes it back from a process that dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import BinaryIO, Literal, Protocol

from go_state.core.errors import LeaseHeld, StoreUnavailable, UsageError
from go_state.waking.thread_waker import ThreadWaker

IfHeld = Literal["fail", "wait"]
_ASK_SECONDS = 0.05  # between two looks at somebody else's lock


class LeaseWait:
    """One thread's wait for a lease, which others can end; it has the methods of an event that end waits."""

    def __init__(self) -> None:
        self._given_up = False
        self._waker = ThreadWaker()

    def set(self) -> None:
        """End the wait, or the next one, for good; from any thread."""
        self._given_up = True
        self._waker.wake()

    def is_set(self) -> bool:
        """Return whether the wait was ended."""
        return self._given_up

    def wake(self) -> None:
        """Make `wait` return once, so that its caller looks again; from any thread."""
        self._waker.wake()

    def wait(self, seconds: float | None = None) -> bool:
        """Sleep until woken or ended, up to `seconds`, and return whether the wait was ended."""
        if not self._given_up:
            self._waker.sleep(None if seconds is None else time.monotonic() + seconds)
            # The next sleep takes a new waker. Whoever has woken this one has changed first what the caller is about to look at.
            self._waker = ThreadWaker()
        return self._given_up


class Lease(Protocol):
    """The right to write a journal."""

    @property
    def token(self) -> bytes:
        """What the holder leaves in the journal for those who had it before to see; empty where nobody can lose it."""
        ...

    def acquire(self, if_held: IfHeld = "fail", given_up: LeaseWait | None = None) -> bool:
        """Take the lease, unless it is held already; `LeaseHeld` when somebody else holds it, or, with "wait", block until nobody does.

        False, and nothing is taken, when `given_up` was set while it blocked.
        """
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
        self._file: BinaryIO | None = None
        self._trying = threading.Lock()  # held for a moment, by one of the threads that wait

    @property
    def token(self) -> bytes:
        """Nothing: the system takes the lock from the dead alone."""
        return b""

    def acquire(self, if_held: IfHeld = "fail", given_up: LeaseWait | None = None) -> bool:
        """Take the lease, unless it is held already; `LeaseHeld` when somebody else holds it, or, with "wait", block until nobody does.

        False, and nothing is taken, when `given_up` was set while it blocked.
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
                raise StoreUnavailable(_why_not(self._path, error)) from error
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
    """Raise `StoreUnavailable` where the system has no lock that it takes back from the dead."""
    try:
        import fcntl  # noqa: F401
    except ImportError:
        raise StoreUnavailable(
            "a journal in a file needs a lock that only POSIX systems have (flock), and this system is none: keep journals in a "
            "gs.PostgresStore here; models can be kept in a gs.LMDBStore without one"
        ) from None


def _why_not(path: str, error: OSError) -> str:
    return (
        f"the lease {path} cannot be taken ({error.strerror or error}): check that it can be read and written, in a folder whose "
        f"file system has locks"
    )


def _locked(file: int) -> bool:
    import fcntl  # here, where it is known to be there

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def wait_for_lock(lock: Callable[[], bool], name: str, if_held: IfHeld, given_up: LeaseWait | None) -> bool:
    """Call `lock` until it says that the lock is taken, or the wait for it is given up; with "fail" once, and `LeaseHeld` if it is not.

    It asks now and then: no system has a wait for a lock of a file that another thread can end.
    """
    ended = LeaseWait() if given_up is None else given_up
    while not lock():
        if if_held == "fail":
            raise LeaseHeld(name)
        if ended.wait(_ASK_SECONDS):
            return False
    return True


def check_if_held(if_held: object) -> None:
    """Raise `UsageError` for what is no `IfHeld`."""
    if if_held not in ("fail", "wait"):
        raise UsageError(f'lease= is "fail" or "wait", not {if_held!r}')
