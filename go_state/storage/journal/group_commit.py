"""Group commit: senders who each wait until their messages are on disk, and share one sync.

The first to come leads: it writes what is staged while the others, and those that come meanwhile, sleep. Then it wakes those
whose messages it has written and hands the lead to one of the rest. A lock that all of them queued for did not do: whoever had
it took it again before the next could wake, and 64 senders were no faster than one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from go_state.buffer.log import Log
from go_state.storage.journal.tail import Tail
from go_state.storage.records.times import Times
from go_state.waking.thread_waker import ThreadWaker

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
        self.waits = waits  # whether a sender waits; it is told of a failure, and may be asked to lead
        self.with_snapshot = with_snapshot  # whether they are written together with one, or not at all
        self.waker: ThreadWaker | LoopWaker = ThreadWaker() if waker is None else waker

    @property
    def end(self) -> int:
        """The position after the last of them."""
        return self.first + len(self.messages)

    @property
    def can_lead(self) -> bool:
        """Whether a sender waits who can be asked to write."""
        return self.waits and not self.done and (isinstance(self.waker, ThreadWaker) or not self.waker.is_dead)

    def finish(self, error: Exception | None) -> None:
        """Wake the sender: the messages are on disk, or the error says why they are not."""
        self.error = error
        self.done = True
        self.waker.wake()


class GroupCommit(Generic[Msg]):
    """Who waits, and whether somebody leads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards the two below, and who leads
        self._staged: list[Pending[Msg]] = []
        self._led = False

    def leave_to_parent(self, lock: threading.Lock) -> None:
        """In a forked child: whoever comes is told so by the stand-in for the lock, which may have been held at the fork."""
        self._lock = lock

    @property
    def waiting(self) -> bool:
        """Whether something is to be written."""
        for each in tuple(self._staged):  # noqa: SIM110 - Ctrl-C is lost in a generator that `any` drops
            if not each.done:
                return True
        return False

    @property
    def size(self) -> int:
        """How many messages are to be written."""
        with self._lock:
            return sum(len(each.messages) for each in self._staged if each.first < 0 and not each.done)

    @property
    def oldest(self) -> float | None:
        """When the first of them was put, in seconds since 1970; None if there is none."""
        with self._lock:
            return next((each.times[0].at / 1e6 for each in self._staged if not each.done), None)

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
            self._staged.append(staged)
            if not self._led:
                self._led = staged.leads = True

    def add(self, staged: Pending[Msg]) -> None:
        """Stage messages whose sender does not wait: whoever reads them flushes them."""
        with self._lock:
            self._staged.append(staged)

    def leave(self, staged: Pending[Msg]) -> None:
        """Take the messages off the stage if they are not written, and hand the lead on, to one who waits or to nobody.

        Calling it twice has the effect of once, so that an interrupted call can be repeated: nobody would wake the others otherwise.
        """
        with self._lock:
            if staged in self._staged:
                self._staged.remove(staged)
            if not staged.leads:
                return
            following = next((each for each in self._staged if each.can_lead), None)
            self._led = following is not None
            if following is not None:
                following.leads = True
                following.waker.wake()
            staged.leads = False

    def to_write(self) -> list[Pending[Msg]]:
        """Return what is to be written. It stays on the stage until it is done, so that an interrupted flush loses none of it."""
        with self._lock:
            self._staged = [each for each in self._staged if not each.done]
            return list(self._staged)


class InHand(Generic[Msg]):
    """What was staged, has its place in the tail, and is being written. Every method is called with the log's lock held."""

    def __init__(self, log: Log[Msg], tail: Tail[Msg]) -> None:
        self._log = log
        self._tail = tail
        self._all: list[Pending[Msg]] = []  # in the order of their places

    def place(self, staged: Pending[Msg]) -> None:
        """Give messages their place behind all that has entered."""
        self._log.note(self._log.clock())
        tail, in_hand, messages, number = self._tail, self._all, list(staged.messages), len(staged.messages)
        # No call until all has moved, so that Ctrl-C finds it before or after the step: see `Retained`.
        tail.pending += staged.encoded
        tail.times += staged.times
        tail.items += messages
        staged.first = tail.end
        tail.end += number
        in_hand += (staged,)

    def places(self) -> list[range]:
        """Return the positions of the messages."""
        return [range(each.first, each.end) for each in self._all]

    def finish_up_to(self, end: int) -> None:
        """Tell the senders of what ends there or before that their messages are in the journal."""
        while self._all and self._all[0].end <= end:
            staged = self._all[0]
            if staged.know is not None:
                staged.know(staged.first)
            staged.finish(None)
            self._all.pop(0)

    def withdraw(self, failure: Exception | None) -> None:
        """Take out what is not on disk after a failure, and what goes with a snapshot or not at all.

        Senders who wait get the failure; what nobody waits for stays staged.
        """
        while self._all and (failure is not None or self._all[-1].with_snapshot):
            each = self._all[-1]
            first, number = each.first, len(each.messages)
            if failure is not None and each.waits:
                each.finish(failure)
            for cursor in self._log.cursors:  # one that was opened at the end meanwhile
                cursor.position = _without(cursor.position, first, number)
                cursor.committed = _without(cursor.committed, first, number)
            self._tail.take_out(first, number)  # whose last steps, and these two, have no call between them
            each.first = -1
            del self._all[-1]

    def fail(self, error: Exception) -> None:
        """Tell the senders who wait that nobody knows what has become of their messages."""
        for each in self._all:
            if each.waits:
                each.finish(error)


def _without(position: int, first: int, number: int) -> int:
    """Return where a reader is once `number` messages from `first` on are taken out."""
    return max(position - number, min(position, first))
