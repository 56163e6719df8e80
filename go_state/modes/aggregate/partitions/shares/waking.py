"""What wakes the holder of partitions: a command that has returned, or a request to end. From any thread, wherever it waits.

It waits in two places: in the poll of its reading, which `wake` ends, and in `Rest`, where nothing may be polled: while a partition
is handed over, and when nothing more will come. Whoever wakes it notes the share first; whoever waits looks for such a note last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from go_state.waking.waker import ThreadWaker, Waker

Woke = TypeVar("Woke")


class Woken(Generic[Woke]):
    """The shares that have something to do again."""

    def __init__(self, wake_reading: Callable[[], object]) -> None:
        self._shares: deque[Woke | None] = deque()
        self._wake_reading = wake_reading
        self.waker: Waker | None = None  #: of a `Rest` that is going on

    def wake(self, share: Woke | None = None) -> None:
        """Note the share, if it is one that is to be run, and wake the holder."""
        self._shares.append(share)
        if (waker := self.waker) is not None:
            waker.wake()
        self._wake_reading()

    @property
    def is_any(self) -> bool:
        """Whether somebody was woken since they were last taken."""
        return bool(self._shares)

    def take(self) -> set[Woke]:
        """Return the shares that were noted since the last call."""
        taken: set[Woke] = set()
        while self._shares:
            share = self._shares.popleft()
            if share is not None:
                taken.add(share)
        return taken


class Rest(Generic[Woke]):
    """A wait until somebody is woken, or a time of the monotonic clock has come."""

    __slots__ = ("_until", "_woken")

    def __init__(self, woken: Woken[Woke], until: float | None) -> None:
        self._woken = woken
        self._until = until

    def in_thread(self) -> None:
        waker = self._woken.waker = ThreadWaker()
        try:
            if not self._woken.is_any:
                waker.sleep(self._until)
        finally:
            self._woken.waker = None

    async def on_loop(self) -> None:
        from go_state.waking.loop_waker import LoopWaker

        waker = self._woken.waker = LoopWaker()
        try:
            if not self._woken.is_any:
                await waker.sleep(self._until)
        finally:
            self._woken.waker = None
