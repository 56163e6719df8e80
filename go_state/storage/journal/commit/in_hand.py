"""Messages that have their place in the journal while they are being written, and lose it if they cannot be."""

from __future__ import annotations

from typing import Generic, TypeVar

from go_state.buffer.log import Log
from go_state.storage.journal.commit.group_commit import Pending
from go_state.storage.journal.tail import Tail

Msg = TypeVar("Msg")


class InHand(Generic[Msg]):
    """What was staged, has its place in the tail, and is being written. Every method is called with the log's lock held."""

    def __init__(self, log: Log[Msg], tail: Tail[Msg]) -> None:
        self._log = log
        self._tail = tail
        self.all: list[Pending[Msg]] = []  #: in the order of their places

    def place(self, staged: Pending[Msg]) -> None:
        """Give messages their place behind all that has entered."""
        self._log.note(self._log.clock())
        tail, in_hand, messages, number = self._tail, self.all, list(staged.messages), len(staged.messages)
        # No call until all has moved, so that Ctrl-C finds it before or after the step: see `Retained`.
        tail.pending += staged.encoded
        tail.times += staged.times
        tail.items += messages
        staged.first = tail.end
        tail.end += number
        in_hand += (staged,)

    def places(self) -> list[range]:
        """Return the positions of the messages."""
        return [range(each.first, each.end) for each in self.all]

    def finish_up_to(self, end: int) -> None:
        """Called when the journal is written up to `end`: finish the messages that end there or before."""
        while self.all and self.all[0].end <= end:
            staged = self.all[0]
            if staged.know is not None:
                staged.know(staged.first)
            staged.finish(None)
            self.all.pop(0)

    def withdraw(self, failure: Exception | None) -> None:
        """Take out what is not on disk after a failure, and what goes with a snapshot or not at all.

        Senders who wait get the failure; what nobody waits for stays staged.
        """
        while self.all and (failure is not None or self.all[-1].with_snapshot):
            each = self.all[-1]
            first, number = each.first, len(each.messages)
            if failure is not None and each.waits:
                each.finish(failure)
            for cursor in self._log.cursors:  # one that was opened at the end meanwhile
                cursor.position = _without(cursor.position, first, number)
                cursor.committed = _without(cursor.committed, first, number)
            self._tail.take_out(first, number)  # whose last steps, and these two, have no call between them
            each.first = -1
            del self.all[-1]

    def fail(self, error: Exception) -> None:
        """Raise the error in the senders who wait: it is not known whether their messages were written."""
        for each in self.all:
            if each.waits:
                each.finish(error)


def _without(position: int, first: int, number: int) -> int:
    """Return where a reader is once `number` messages from `first` on are taken out."""
    return max(position - number, min(position, first))
