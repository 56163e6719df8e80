"""Waiting for the lease of a journal: one process writes a journal at a time.

The lease itself is the backend's (`records/lease.py`, `backends/postgres/leases.py`). Here is the queue of those who wait for it in this process:
threads that put, tasks that put, and runs, each of which can stop waiting by itself. One of them, the first, waits for the system's
lock; the others sleep until it has it or stops waiting. So however many wait, the system is asked by one.

A plain lock around the wait would not do: a thread that waits for a lock cannot be told to stop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from go_state.core.errors import Closed, UsedAfterClose
from go_state.storage.records.lease import IfHeld, Lease, LeaseWait, check_if_held
from go_state.system.own_thread import call_once

if TYPE_CHECKING:
    import asyncio


class LeaseQueue:
    """The lease of one journal as its backend gives it, and the threads and tasks of this process that wait for it."""

    def __init__(self, name: str, lease: Lease, if_held: IfHeld, check_usable: Callable[[], object]) -> None:
        check_if_held(if_held)
        self.if_held: IfHeld = if_held  #: whether the first write fails or waits while another process has the lease
        self._name = name
        self._lease = lease
        self._check_usable = check_usable
        self._lock = threading.Lock()  # guards the four below; held for a moment, never while waiting
        self._leader: LeaseWait | None = None  # the wait that asks the system for the lock
        self._waits: list[LeaseWait] = []  # all that there are
        self._puts: list[LeaseWait] = []  # those of senders, which the close of the journal ends
        self._is_closing = False  # whether that close has come
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    @property
    def token(self) -> bytes:
        """What the holder leaves in the journal for those who had the lease before to see."""
        return self._lease.token

    def take(self) -> None:
        """Take the lease; `LeaseHeld` if another process has it."""
        self._check_usable()
        self._lease.acquire("fail")

    def release(self) -> None:
        """Give the lease back; a second time is harmless."""
        self._lease.release()

    # ------------------------------------------------------------------ waiting

    def wait(self, given_up: LeaseWait | None) -> None:
        """Block until the lease is ours; `Closed` if `given_up` is set, or, without one, if the journal is closed meanwhile."""
        wait = LeaseWait() if given_up is None else given_up
        self._enter(wait, puts=given_up is None)
        try:
            while not self._leads(wait):
                if wait.wait():
                    raise self._ended()
            self._check_usable()
            if wait.is_set() or not self._lease.acquire("wait", wait):
                self._check_usable()
                raise self._ended()
        finally:
            try:
                self._leave(wait)
            except BaseException:  # Ctrl-C, at any point of it: the others would wait for ever for one who leads no more
                self._leave(wait)
                raise

    def _ended(self) -> Closed:
        return UsedAfterClose(f"the lease of the journal {self._name!r} is not waited for any more")

    def _enter(self, wait: LeaseWait, *, puts: bool) -> None:
        with self._lock:
            self._waits.append(wait)
            if puts:
                self._puts.append(wait)
                if self._is_closing:
                    wait.set()

    def _leads(self, wait: LeaseWait) -> bool:
        """Return whether this one is to wait for the system's lock, because nobody else does."""
        with self._lock:
            if self._leader is None:
                self._leader = wait
            return self._leader is wait

    def _leave(self, wait: LeaseWait) -> None:
        """Hand the lead on: the wait that is woken takes it, if it still waits. A second call changes nothing."""
        with self._lock:
            if self._leader is wait:
                self._leader = None
            for waits in (self._waits, self._puts):
                if wait in waits:
                    waits.remove(wait)
            for each in self._waits:
                each.wake()

    async def wait_async(self, acquire: Callable[[LeaseWait], object], has_lease: Callable[[], bool]) -> None:
        """Call `acquire(wait)` in a thread of its own, one however many tasks of this event loop wait."""
        import asyncio

        turn = self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with turn:
            if self._is_closing:
                raise self._ended()
            if has_lease():
                return
            wait = LeaseWait()
            with self._lock:
                self._puts.append(wait)
                if self._is_closing:
                    wait.set()
            try:
                await call_once(partial(acquire, wait), f"go_state lease {self._name}", wait.set)
            finally:
                with self._lock:
                    if wait in self._puts:
                        self._puts.remove(wait)

    # ------------------------------------------------------------------ ending waits

    def stop_puts(self) -> None:
        """End the waits of those who put, now and from now on: the journal is being closed."""
        with self._lock:
            self._is_closing = True
            waits = tuple(self._puts)
        for wait in waits:
            wait.set()

    def stop_all(self) -> None:
        """End every wait: the store is being closed."""
        with self._lock:
            waits = (*self._waits, *self._puts)
        for wait in waits:
            wait.set()

    def leave_to_parent(self, lock: threading.Lock) -> None:
        """In a forked child: the lock's stand-in raises for whoever waits, and the child's hold on the lease is let go."""
        self._lock = lock
        self._lease.release()
