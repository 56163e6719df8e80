"""A lease: the right to write a journal, which one process has at a time. The system takes it back from a process that dies."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal, Protocol

from go_state.core.errors import LeaseHeld, UsageError

IfHeld = Literal["fail", "wait"]
_ASK_SECONDS = 0.05  # between two tries to take a lock that another process holds


class Lease(Protocol):
    """The right to write a journal."""

    @property
    def token(self) -> bytes:
        """What the holder leaves in the journal, so that a former holder sees that it lost the lease; empty if none can lose it."""
        ...

    def acquire(self, if_held: IfHeld = "fail", given_up: threading.Event | None = None) -> bool:
        """Take the lease, unless it is held already. Raises `LeaseHeld` if another holds it, or blocks until it is free with "wait".

        False, and nothing is taken, if `given_up` was set while it blocked.
        """
        ...

    def release(self) -> None:
        """Give the lease back; a second time is harmless."""
        ...


def wait_for_lock(lock: Callable[[], bool], name: str, if_held: IfHeld, given_up: threading.Event | None) -> bool:
    """Call `lock` until it returns True for a lock that it has taken, or until `given_up` is set, and return whether it was taken.

    With "fail" it is called once, and `LeaseHeld` raised if the lock was not free. It is tried again and again because no system
    has a wait for the lock of a file that another thread could end.
    """
    ended = threading.Event() if given_up is None else given_up
    while not lock():
        if if_held == "fail":
            raise LeaseHeld(name)
        if ended.wait(_ASK_SECONDS):
            return False
    return True


def check_if_held(if_held: object) -> None:
    """Raise `UsageError` unless the value is an `IfHeld`."""
    if if_held not in ("fail", "wait"):
        raise UsageError(f'lease= is "fail" or "wait", not {if_held!r}')
