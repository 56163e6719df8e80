"""Sleeping until a condition holds: the protocol of this folder, written once for threads and for tasks.

Between two parties, the sleeper S and somebody N who makes the condition hold, it goes

    S: leave a new waker  →  ask whether the condition holds  →  sleep
    N: make the condition hold  →  `wake`, which wakes the waker that it finds

and loses no wake-up, in whatever order the steps of the two fall and without a lock. If N finds no waker, or one of an earlier
sleep, then S had not left the new one yet: S asks after it has left it, and sees what N has done. If N finds the new one, S is woken,
even before it sleeps, because a waker that was woken once is not slept on.

A task that is cancelled, or a thread that Ctrl-C ends, between any two of these steps leaves a waker behind that nobody sleeps on;
to wake it does nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from go_state.waking.waker import ThreadWaker, Waker


class Condition:
    """A condition for which one thread or task at a time can wait.

    `holds()` says whether it does. It is called by the waiter, without a lock, at the beginning of a wait and after each `wake`, and may
    raise, which ends the wait. Unlike a `threading.Condition` it needs no lock around it, and serves both faces.
    """

    __slots__ = ("_holds", "_waker")

    def __init__(self, holds: Callable[[], bool]) -> None:
        self._holds = holds
        self._waker: Waker | None = None  # of the sleep that is running, if there is one

    def wake(self, *_: object) -> None:
        """Wake the waiter, so that it asks again; from any thread, a finalizer or a signal handler. Arguments, as callbacks get, are ignored."""
        waker = self._waker
        if waker is not None:
            waker.wake()

    def wait(self, until: float | None = None) -> bool:
        """Block until the condition holds, or the monotonic clock reaches `until`; return whether it holds."""
        while not _is_over(until):
            self._waker = waker = ThreadWaker()
            if self._holds():
                return True
            waker.sleep(until)
        return self._holds()

    async def wait_async(self, until: float | None = None) -> bool:
        """Wait on the event loop as `wait` does in a thread; a wait that is cancelled leaves everything as it was."""
        from go_state.waking.loop_waker import LoopWaker

        while not _is_over(until):
            self._waker = waker = LoopWaker()
            if self._holds():
                return True
            await waker.sleep(until)
        return self._holds()


def _is_over(until: float | None) -> bool:
    return until is not None and time.monotonic() >= until
