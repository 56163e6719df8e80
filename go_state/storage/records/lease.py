"""A lease: the right to write a journal, which one process has at a time. The system takes it back from a process that dies."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, Protocol

from go_state.core.errors import LeaseHeld, UsageError
from go_state.waking.waker import ThreadWaker

IfHeld = Literal["fail", "wait"]
_ASK_SECONDS = 0.05  # between two tries to take a lock that another process holds


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
        """What the holder leaves in the journal, so that a former holder sees that it lost the lease; empty if none can lose it."""
        ...

    def acquire(self, if_held: IfHeld = "fail", given_up: LeaseWait | None = None) -> bool:
        """Take the lease, unless it is held already. Raises `LeaseHeld` if another holds it, or blocks until it is free with "wait".

        False, and nothing is taken, if `given_up` was set while it blocked.
        """
        ...

    def release(self) -> None:
        """Give the lease back; a second time is harmless."""
        ...


def wait_for_lock(lock: Callable[[], bool], name: str, if_held: IfHeld, given_up: LeaseWait | None) -> bool:
    """Call `lock` until it returns True for a lock that it has taken, or until `given_up` is set, and return whether it was taken.

    With "fail" it is called once, and `LeaseHeld` raised if the lock was not free. It is tried again and again because no system
    has a wait for the lock of a file that another thread could end.
    """
    ended = given_up
    while not lock():
        if if_held == "fail":
            raise LeaseHeld(name)
        ended = ended or LeaseWait()
        if ended.wait(_ASK_SECONDS):
            return False
    return True


def check_if_held(if_held: object) -> None:
    """Raise `UsageError` unless the value is an `IfHeld`."""
    if if_held not in ("fail", "wait"):
        raise UsageError(f'lease= is "fail" or "wait", not {if_held!r}')
