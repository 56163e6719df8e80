"""What wakes a sleeper: the protocol of all wakers, the sleep of a thread, and the waking of many at once.

A thread sleeps on a plain lock, which whoever wakes it releases: also where another call was interrupted, in a finalizer or a signal
handler. A `SimpleQueue` in its place was a fifth faster and is not to be had: before Python 3.13 its `get(timeout=)` waits forever if
the time is over before it has begun to wait, or while a signal handler runs. How a task sleeps is in `loop_waker.py`.

All tasks of one event loop are woken by one call into it, so waking one of many tasks costs less than a microsecond; with a janus
queue for each it was five to ten.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from go_state.system.running import running_loop

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class Waker(Protocol):
    """Wakes one sleeper, once; may be called by any number of threads at the same time, as often as they like."""

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The event loop of the task that sleeps; None for a thread."""
        ...

    @property
    def is_dead(self) -> bool:
        """Whether there is no sleeper any more, because its event loop was closed."""
        ...

    def wake(self) -> None:
        """Wake the sleeper, also from a finalizer or a signal handler. Never raises; a second call does nothing."""
        ...

    def wake_in_loop(self) -> None:
        """Wake the sleeper, called in the thread of its own event loop, by a callback of that loop."""
        ...


class ThreadWaker:
    """Wakes one sleeping thread, once: each sleep takes a new waker."""

    __slots__ = ("_lock",)

    loop = None
    is_dead = False

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held until the thread is woken
        self._lock.acquire()

    def wake(self) -> None:
        """Wake the thread; a second call does nothing."""
        # Asking `locked()` first would not do: two threads that wake at the same moment would both find it locked.
        try:  # noqa: SIM105  - `suppress` is three calls more, at every wake-up
            self._lock.release()
        except RuntimeError:  # it was released already
            pass

    wake_in_loop = wake

    def sleep(self, until: float | None) -> bool:
        """Block until `wake` is called; return False if the monotonic clock reaches `until` first."""
        seconds = -1 if until is None else min(max(until - time.monotonic(), 0), threading.TIMEOUT_MAX)
        return self._lock.acquire(timeout=seconds)


def wake_all(wakers: Iterable[Waker]) -> None:
    """Wake every sleeper, from any thread. Never raises; the tasks of a closed event loop are skipped."""
    tasks: dict[AbstractEventLoop, list[Waker]] = {}
    for waker in wakers:
        loop = waker.loop
        if loop is None:
            waker.wake()
        elif loop in tasks:
            tasks[loop].append(waker)
        else:
            tasks[loop] = [waker]
    for loop, those in tasks.items():
        with suppress(RuntimeError):  # the loop is closed: it has no task to wake
            if running_loop() is loop:
                loop.call_soon(_wake_in_loop, those)  # not at once: whoever wakes them goes on first
            else:
                loop.call_soon_threadsafe(_wake_in_loop, those)


def _wake_in_loop(wakers: list[Waker]) -> None:
    for waker in wakers:
        waker.wake_in_loop()
