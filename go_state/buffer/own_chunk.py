"""The chunk of messages that a run is processing, which it lengthens without a lock while it has the log alone.

A chain of turns, each of which sends the next message, would take the log's lock at every turn. While the run's cursor is the only
reader, has read everything, and nobody has put anything since, the messages of its turns are appended to the very list that it
iterates over (`own += messages`), and the log takes them in later: under its lock, whenever somebody looks (`Log.absorb`).

    run: read `own`, append, read `own` again          others: lock, `own = None`, take in what was appended, then enter theirs

What may come between:

- *A put* takes no lock. It finds the flag `attention`, which taking the chunk has set, and sets `own` to None. The next turn's messages
  then wait for the lock, and enter behind it. A turn that has read `own` just before enters ahead of it: the put was not first.
- *A position is fixed*, for a sender who waits or a reader that opens: `Log.share` sets `own` to None, under the lock, and takes in what
  was appended until then. If the run appends after that, its second look finds None; its messages came too late, and `append_late` moves
  them from the chunk to behind what has entered meanwhile.
- *Ctrl-C* in the run, between append and second look: whatever it does next with the log does `append_late` first.

Messages in the list that the log has not taken in are of committed turns: a rollback keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from go_state.buffer.cursor import Cursor

Msg = TypeVar("Msg")


class OwnChunk(Generic[Msg]):
    """How a run reads a log in memory: chunk by chunk, each of which it may lengthen while it has the log alone."""

    __slots__ = ("_chunk", "_cursor", "_known", "_log", "_since", "own")

    def __init__(self, cursor: Cursor[Msg]) -> None:
        self.own: list[Msg] | None = None  #: the chunk, while messages may be appended to it
        self._cursor = cursor
        self._log = cursor.log
        self._chunk: list[Msg] = []
        self._known = 0  # how many messages of the chunk the log has; it and the chunk are the run's once the log is shared
        self._since = 0.0  # when the chunk was taken: what is appended to it is no older

    # ------------------------------------------------------------------ called by the run

    def take(self, limit: int) -> list[Msg]:
        """Read up to `limit` messages, as `Cursor.take` does: a list that the caller lengthens, if `own` says so."""
        log = self._log
        with log.lock:
            messages = self._cursor.take_locked(limit)
            is_alone = log.may_be_owned and len(log.cursors) == 1 and not self._cursor.closed
            if is_alone and messages and self._cursor.position == log.retained.end:
                self._chunk, self._known, self._since = messages, len(messages), log.clock()
                log.owner, self.own = self, messages
                # A put whose message was taken may have come to `attend` since, and found no owner: it has cleared the flag, by which
                # the next put would tell nobody. So the flag is set again, and the inbox looked at after that, as by a sleeper.
                log.attention = True
                if log.inbox:
                    self.own = None
            return messages

    def settle(self, count: int, messages: Sequence[Msg], follow: bool, /) -> Sequence[Msg]:
        """Commit and append as `Cursor.settle` does, with what was appended to the chunk before it; the chunk grows no more by itself."""
        log = self._log
        with log.lock:
            self._end()
            following = self._cursor.settle_locked(count, messages, follow)
        if log.asks_policy:
            log.apply_retention()
        return following

    def append_late(self) -> None:
        """Move what was appended after the log was shared from the chunk to behind what has entered meanwhile."""
        with self._log.lock:
            self._end()

    def _end(self) -> None:
        """End the ownership, if it is not over yet, and see that nothing is left in the chunk alone. Lock held."""
        log = self._log
        if log.owner is self:
            log.share()
        chunk, known = self._chunk, self._known
        if len(chunk) > known:
            log.absorb()
            log.note(log.clock())
            retained, late = log.retained, chunk[known:]
            number = len(late)
            # No call until all has moved: see `Retained`.
            retained.items += late
            retained.end += number
            del chunk[known:]
            log.wake_sleepers()
        self._chunk, self._known = [], 0  # what the run's own reading lengthens the chunk by is in the log already

    # ------------------------------------------------------------------ called by the log, with its lock held

    def take_in(self) -> None:
        """Enter what was appended to the chunk. The run has read it."""
        chunk, known = self._chunk, self._known
        if len(chunk) == known:
            return
        log = self._log
        retained, cursor = log.retained, self._cursor
        log.note(self._since)
        new = chunk[known:]
        number = len(new)
        # No call until all has moved: see `Retained`.
        retained.items += new
        retained.end += number
        cursor.position += number
        self._known = known + number
