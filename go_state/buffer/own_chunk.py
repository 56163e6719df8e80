"""The list to which a run appends what its turns send, without a lock while it has the log alone.

A turn that sends a message would take the log's lock each time. While the run's cursor is the only reader, and nobody has put anything
since it took its chunk, the messages of its turns are appended to a list of its own (`own += messages`), and the log takes them in
later: under its lock, whenever somebody looks (`Log.absorb`). If the run has read everything, that list is the chunk itself, over which
it iterates, and a chain goes on in it. If there is more to read, it is another one, whose messages come behind what is there.

    run: read `own`, append, read `own` again          others: lock, `own = None`, take in what was appended, then enter theirs

What may come between:

- *A put* takes no lock. It finds the flag `attention`, which taking the chunk has set, and sets `own` to None. The next turn's messages
  then wait for the lock, and enter behind it. A turn that has read `own` just before enters ahead of it: the put was not first.
- *A position is fixed*, for a sender who waits or a reader that opens: `Log.share` sets `own` to None, under the lock, and takes in what
  was appended until then. If the run appends after that, its second look finds None; its messages came too late, and `append_late` moves
  them from the list to behind what has entered meanwhile.
- *Ctrl-C* in the run, between append and second look: whatever it does next with the log does `append_late` first.

Messages in the list that the log has not taken in are of committed turns: a rollback keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from go_state.buffer.cursor import TRIM_STEP, Cursor

Msg = TypeVar("Msg")


class OwnChunk(Generic[Msg]):
    """How a run reads a log in memory: chunk by chunk, and what its turns send beside that while it has the log alone."""

    __slots__ = ("_known", "_log", "_reads", "_sent", "_since", "cursor", "own")

    def __init__(self, cursor: Cursor[Msg]) -> None:
        self.own: list[Msg] | None = None  #: the list, while messages may be appended to it
        self.cursor = cursor  #: the run's; nobody else moves it
        self._log = cursor.log
        self._sent: list[Msg] = []  # the same list, also when that is over
        self._known = 0  # how many messages of the list the log has; it and the list are the run's once the log is shared
        self._reads = False  # whether the list is the chunk, so that what is appended counts as read
        self._since = 0.0  # when the chunk was taken: what is appended is no older

    # ------------------------------------------------------------------ called by the run

    def take(self, limit: int) -> list[Msg]:
        """Read up to `limit` messages, as `Cursor.take` does; `own` is what the caller may append to from now on, if that is anything."""
        log = self._log
        with log.lock:
            messages = log.take(self.cursor, limit)
            if self.cursor.committed - log.retained.start >= TRIM_STEP or log.closers:  # also of turns that needed no `settle`
                log.on_commit()
            if messages:
                self._reads = self.cursor.position == log.retained.end
                self._own(messages if self._reads else [])
            return messages

    def _own(self, sent: list[Msg]) -> None:
        """Give the run the list to append to from now on, if it has the log alone. Lock held."""
        log = self._log
        if not log.may_be_owned or len(log.cursors) != 1 or self.cursor.closed:
            return
        self._sent, self._known, self._since = sent, len(sent), log.clock()
        log.owner, self.own = self, sent
        # A put may have come to `attend` since the inbox was absorbed, and found no owner: it has cleared the flag, by which the next
        # put would tell nobody. So the flag is set again, and the inbox looked at after that, as by a sleeper.
        log.attention = True
        if log.inbox:
            self.own = None

    def settle(self, count: int, messages: Sequence[Msg], follow: bool, /) -> Sequence[Msg]:
        """Commit and append as `Cursor.settle` does, with what was appended to `own` before it; from now on that comes behind these."""
        log = self._log
        with log.lock:
            self._end()
            following = self.cursor.settle_locked(count, messages, follow)
            if self.cursor.committed != self.cursor.position:  # there are turns to come before the next chunk
                self._reads = False
                self._own([])
        if log.asks_policy:
            log.apply_retention()
        return following

    def append_late(self) -> None:
        """Move what was appended after the log was shared from the list to behind what has entered meanwhile."""
        with self._log.lock:
            self._end()

    def _end(self) -> None:
        """End the ownership, if it is not over yet, and see that nothing is left in the list alone. Lock held."""
        log = self._log
        if log.owner is self:
            log.share()
        sent, known = self._sent, self._known
        if len(sent) > known:
            log.absorb()
            log.note(log.clock())
            retained, late = log.retained, sent[known:]
            number = len(late)
            # No call until all has moved: see `Retained`.
            retained.items += late
            retained.end += number
            del sent[known:]
            log.wake_sleepers()
        self._sent, self._known = [], 0  # what the run's own reading lengthens the chunk by is in the log already

    # ------------------------------------------------------------------ called by the log, with its lock held

    def take_in(self) -> None:
        """Enter what was appended to the list. If that is the chunk, the run has read it."""
        sent, known = self._sent, self._known
        if len(sent) == known:
            return
        log = self._log
        retained, cursor = log.retained, self.cursor
        log.note(self._since)
        new = sent[known:]
        number = len(new)
        read = number if self._reads else 0
        # No call until all has moved: see `Retained`.
        retained.items += new
        retained.end += number
        cursor.position += read
        self._known = known + number
