"""Group commit: senders who each wait until their messages are on disk, and share one sync.

The first to come leads: it writes what is staged while the others, and those that come meanwhile, sleep. Then it wakes those
whose messages it has written and hands the lead to one of the rest. A lock that all of them queued for did not do: whoever had
it took it again before the next could wake, and 64 senders were no faster than one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from go_state.storage.records.layout import Times
from go_state.waking.waker import ThreadWaker

if TYPE_CHECKING:
    from go_state.waking.loop_waker import LoopWaker

Msg = TypeVar("Msg")


class Pending(Generic[Msg]):
    """Messages whose sender waits until they are on disk, or cannot be."""

    __slots__ = ("done", "encoded", "error", "first", "know", "leads", "messages", "times", "waits", "waker", "with_snapshot")

    def __init__(
        self,
        messages: Sequence[Msg],
        encoded: list[bytes],
        times: Sequence[Times],
        know: Callable[[int], object] | None = None,
        *,
        waits: bool = True,
        with_snapshot: bool = False,
        waker: LoopWaker | None = None,
    ) -> None:
        self.messages = messages
        self.encoded = encoded
        self.times = times
        self.know = know  # called with the position, before a reader can have the messages
        self.done = False
        self.error: Exception | None = None
        self.leads = False
        self.first = -1  # the position of the first of them, once they have one
        self.waits = waits  # whether a sender waits; it gets the failure, if there is one, and may be asked to lead
        self.with_snapshot = with_snapshot  # whether they are written together with one, or not at all
        self.waker: ThreadWaker | LoopWaker = ThreadWaker() if waker is None else waker

    @property
    def end(self) -> int:
        """The position after the last of them."""
        return self.first + len(self.messages)

    @property
    def can_lead(self) -> bool:
        """Whether a waiting sender can be asked to write."""
        return self.waits and not self.done and (isinstance(self.waker, ThreadWaker) or not self.waker.is_dead)

    def finish(self, error: Exception | None) -> None:
        """Wake the sender: the messages are on disk, or the error says why they are not."""
        self.error = error
        self.done = True
        self.waker.wake()


class GroupCommit(Generic[Msg]):
    """Who waits, and whether somebody leads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the two below, and the choice of the leader
        self.staged: list[Pending[Msg]] = []  #: what waits, or was written a moment ago; it may be looked at without the lock
        self._led = False

    def leave_to_parent(self, lock: threading.Lock) -> None:
        """In a forked child: every use raises, by the stand-in for the lock, which may have been held at the fork."""
        self._lock = lock

    @property
    def waiting(self) -> bool:
        """Whether something is to be written."""
        for each in tuple(self.staged):  # noqa: SIM110 - Ctrl-C is lost in a generator that `any` drops
            if not each.done:
                return True
        return False

    @property
    def size(self) -> int:
        """How many messages are to be written."""
        with self._lock:
            return sum(len(each.messages) for each in self.staged if each.first < 0 and not each.done)

    @property
    def oldest(self) -> float | None:
        """When the first of them was put, in seconds since 1970; None if there is none."""
        with self._lock:
            return next((each.times[0].at / 1e6 for each in self.staged if not each.done), None)

    def enter(self, staged: Pending[Msg]) -> bool:
        """Wait until the messages are written, or return True when the caller is to write what is staged, its own among it.

        Whoever has called this calls `leave` afterwards, also when Ctrl-C has ended the call.
        """
        self._add(staged)
        if not staged.leads and isinstance(staged.waker, ThreadWaker):
            staged.waker.sleep(None)
        return staged.leads

    async def enter_async(self, staged: Pending[Msg], waker: LoopWaker) -> bool:
        """Wait on the event loop, as `enter` does in a thread."""
        self._add(staged)
        if not staged.leads:
            await waker.sleep(None)
        return staged.leads

    def _add(self, staged: Pending[Msg]) -> None:
        with self._lock:
            self.staged.append(staged)
            if not self._led:
                self._led = staged.leads = True

    def add(self, staged: Pending[Msg]) -> None:
        """Stage messages whose sender does not wait: whoever reads them flushes them."""
        with self._lock:
            self.staged.append(staged)

    def leave(self, staged: Pending[Msg]) -> None:
        """Take the messages off the stage if they are not written, and hand the lead on, to a waiting sender if there is one.

        Calling it twice has the effect of once, so that an interrupted call can be repeated: nobody would wake the others otherwise.
        """
        with self._lock:
            if staged in self.staged:
                self.staged.remove(staged)
            if not staged.leads:
                return
            following = next((each for each in self.staged if each.can_lead), None)
            self._led = following is not None
            if following is not None:
                following.leads = True
                following.waker.wake()
            staged.leads = False

    def to_write(self) -> list[Pending[Msg]]:
        """Return what is to be written. It stays on the stage until it is done, so that an interrupted flush loses none of it."""
        if not self.staged:
            return []
        with self._lock:
            self.staged = [each for each in self.staged if not each.done]
            return list(self.staged)
