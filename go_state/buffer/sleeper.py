"""How a reader sleeps until there is something to read: one thread or task at a time, woken by a put, the close, or `wake`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from go_state.buffer.log import Log
from go_state.core.errors import ConcurrentGet
from go_state.waking.waker import ThreadWaker

if TYPE_CHECKING:
    from go_state.waking.waker import Waker


class Sleeper:
    """The sleep of one reader of a log. The log's lock guards everything in it.

    `has_more()`, called with the lock held, says whether there is something to read, and may raise, which ends the sleep.
    """

    __slots__ = ("_has_more", "_log", "is_woken", "waker")

    def __init__(self, log: Log[Any], has_more: Callable[[], bool]) -> None:
        self._log = log
        self._has_more = has_more
        self.waker: Waker | None = None  #: of the sleep that is running, or of a run's, which is left here between its sleeps
        self.is_woken = False  #: `wake` was called, and no sleep has noticed

    @property
    def is_asleep(self) -> bool:
        """Whether a thread or task sleeps here; from any thread."""
        return self.waker is not None

    def sleep(self, until: float | None) -> bool:
        """Block until there is something to read or somebody wakes this reader; False if the monotonic clock reaches `until` first.

        Whoever is woken looks for itself what there is: it may be nothing. Raises `ConcurrentGet` and what `has_more` raises.
        """
        waker = ThreadWaker()
        try:
            return self._begin(waker) or waker.sleep(until)
        finally:
            if self.waker is waker:  # without a call: Ctrl-C, which comes at one, would leave a sleep that nobody ends
                self.waker = None
            if waker in self._log.sleepers:  # whoever wakes it takes it out before
                self._end(waker)

    async def sleep_async(self, until: float | None) -> bool:
        """Sleep on the event loop as `sleep` does in a thread."""
        from go_state.waking.loop_waker import LoopWaker

        waker = LoopWaker()
        try:
            return self._begin(waker) or await waker.sleep(until)
        finally:
            if self.waker is waker:  # without a call: Ctrl-C, which comes at one, would leave a sleep that nobody ends
                self.waker = None
            if waker in self._log.sleepers:  # whoever wakes it takes it out before
                self._end(waker)

    def wake(self) -> None:
        """End the running sleep, and the next one, at once though there may be nothing to read; from any thread."""
        with self._log.lock:
            self.is_woken = True
            self.interrupt()

    def interrupt(self) -> None:
        """End the running sleep, if there is one. Lock held."""
        if self.waker is not None:
            self.waker.wake()

    def _begin(self, waker: Waker) -> bool:
        """Return True if there is something to read, else leave the waker with the log.

        A put takes no lock. One that had appended before the look may have noted its time, cleared the flag and woken the sleepers
        before the waker was among them. So the flag is set again once the waker is registered, and the inbox looked at after that: the
        put is found in the inbox, or it sees the flag and wakes.
        """
        log = self._log
        with log.lock:
            is_woken, self.is_woken = self.is_woken, False
            if self._has_more() or is_woken:
                return True
            if self.waker is not None:
                raise ConcurrentGet("another thread or task already waits on this consumer: open one for each")
            self.waker = waker
            log.sleepers.append(waker)
            log.attention = True
            return bool(log.inbox)

    def _end(self, waker: Waker) -> None:
        """Take the waker out, unless whoever has woken it has, or does so with the next put."""
        with self._log.lock, suppress(ValueError):
            self._log.sleepers.remove(waker)
