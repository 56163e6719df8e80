"""A cursor: the place of one reader in a log, and its waits.

Reading moves `position`; `commit` moves `committed` up to it and `rollback` moves it back, so what was read and not committed is
given again. A wait that is cancelled or times out has moved nothing. Users hold a `Consumer`, which is a face over a cursor; a run
works on the cursor itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Literal, Self, TypeAlias, TypeVar

from go_state.buffer.log import Log
from go_state.buffer.sleeper import Sleeper
from go_state.core.errors import Ended, Lagged, NothingPending, TimedOut, UsageError, UsedAfterClose
from go_state.waking.deadlines import deadline

Msg = TypeVar("Msg")

Start: TypeAlias = Literal["oldest", "newest"] | int
"""Where a reader begins: at the oldest retained message, after the newest, or at a position."""

TRIM_STEP = 64  # messages: a run that settles every turn leaves the trimming to whoever looks, or until so many have gathered


class Cursor(Generic[Msg]):
    """The place of one reader in a `Log`; made by `Cursor.open(log)`.

    It may be used from any thread or event loop, by one of them at a time; `wake` and `diff` by all of them. The log's lock guards
    everything in it.
    """

    def __init__(self, log: Log[Msg], start: Start, name: str = "") -> None:
        self.log = log
        self.name = name
        self.committed = self._find(start)
        self.position = self.committed
        self.closed = False
        self.sleeper = Sleeper(log, self.has_more)  #: how it waits

    @classmethod
    def open(cls, log: Log[Msg], start: Start = "oldest") -> Self:
        """Open a cursor at the oldest retained message, after the newest, or at a position.

        Raises `Lagged` for a position that was trimmed away, and `UsageError` for one that does not exist yet.
        """
        with log.lock:
            log.share()
            log.look()
            cursor = cls(log, start)
            log.cursors.append(cursor)
            return cursor

    # ------------------------------------------------------------------ reading

    def take(self, limit: int) -> list[Msg]:
        """Read up to `limit` messages without waiting; an empty list if there is none. Raises `Lagged`, and `Closed` after `close`."""
        with self.log.lock:
            return self.log.take(self, limit)

    def diff(self) -> int:
        """Return, to any thread, how many messages there are yet to read."""
        with self.log.lock:
            self.log.absorb()
            return self.log.retained.end - self.position

    def has_more(self) -> bool:
        """Return whether a read would give or raise something; `Closed` if nothing will ever come. Lock held."""
        log = self.log
        if self.closed:
            raise UsedAfterClose("this consumer is closed")
        log.absorb()
        if self.position != log.retained.end:
            return True
        if log.closed:
            raise Ended("the buffer is closed and this reader has read all of it")
        return False

    # ------------------------------------------------------------------ waiting

    def wait(self, timeout: float | None = None) -> None:
        """Block until there may be a message to read: `take` says. Raises `Closed` if none will come, `TimedOut`, and `ConcurrentGet`."""
        if not self.sleeper.sleep(None if timeout is None else deadline(timeout)):
            raise TimedOut(f"nothing came within {timeout} seconds; nothing was consumed")

    async def wait_async(self, timeout: float | None = None) -> None:
        """Wait on the event loop as `wait` does in a thread."""
        if not await self.sleeper.sleep_async(None if timeout is None else deadline(timeout)):
            raise TimedOut(f"nothing came within {timeout} seconds; nothing was consumed")

    def wake(self) -> None:
        """Make a running wait, and the next one, return at once though there may be nothing to read; from any thread."""
        self.sleeper.wake()

    # ------------------------------------------------------------------ moving

    def commit(self) -> int:
        """Commit what was read and return how many messages were committed; `NothingPending` if there are none."""
        with self.log.lock:
            self.log.absorb()
            count = self._pending("commit")
            self.committed = self.position
            self.log.on_commit()
        if self.log.asks_policy:
            self.log.apply_retention()
        return count

    def rollback(self) -> int:
        """Go back to the first uncommitted message and return how many will be given again; `NothingPending` for none."""
        with self.log.lock:
            self.log.absorb()
            count = self._pending("roll back")
            self.position = self.committed
            return count

    def _pending(self, verb: str) -> int:
        count = self.position - self.committed
        if not count:
            raise NothingPending(f"there is nothing to {verb}: nothing was read since the last commit or rollback")
        return count

    def settle(self, count: int, messages: Sequence[Msg] = (), follow: bool = False, /) -> Sequence[Msg]:
        """Commit `count` more messages and append the reader's own ones, as one step; a run does this after each turn.

        The reader's own messages enter after all that is already there, even if the log is full, or closed. With `follow`, if they
        are next to be read, they count as read and are returned.
        """
        with self.log.lock:
            following = self.settle_locked(count, messages, follow)
        if self.log.asks_policy:
            self.log.apply_retention()
        return following

    def settle_locked(self, count: int, messages: Sequence[Msg], follow: bool) -> Sequence[Msg]:
        """Do so. Lock held; whoever asks for the retention afterwards does not hold it."""
        log, retained, number = self.log, self.log.retained, len(messages)
        following: Sequence[Msg] = ()
        if not number:
            self.committed += count
        else:
            if log.inbox:
                log.absorb()
            log.note(log.clock())
            follows = follow and self.position == retained.end
            # No call until all has moved, so that Ctrl-C finds it before or after the step: see `Retained`.
            retained.items += messages
            retained.end += number
            self.committed += count
            if follows:
                self.position += number
                following = messages
            if log.sleepers:
                log.wake_sleepers()
        if self.committed - retained.start >= TRIM_STEP or log.closers:
            log.on_commit()
        return following

    def seek(self, where: Start) -> None:
        """Go on reading elsewhere, with nothing pending: at the oldest or after the newest message, or at a position."""
        with self.log.lock:
            self.log.look()
            self.position = self.committed = self._find(where)
            self.log.on_commit()

    def _find(self, where: Start) -> int:
        start, end = self.log.retained.start, self.log.retained.end
        if where == "oldest":
            return start
        if where == "newest":
            return end
        if not isinstance(where, int) or where < 0 or where > end:
            raise UsageError(f'a reader stands at "oldest", "newest" or a position from {start} to {end}, not at {where!r}')
        if where < start:
            raise Lagged(start - where, start)
        return where

    # ------------------------------------------------------------------ closing

    def close(self) -> None:
        """End the reader; what it did not commit is its loss alone. A waiting read is freed with `Closed`."""
        if self.log.in_parent:
            return
        with self.log.lock:  # done twice it is done once, so that a close that Ctrl-C has cut short can be repeated
            self.close_locked()
        if self.log.asks_policy:
            self.log.apply_retention()

    def close_locked(self) -> None:
        """Do the part of `close` that needs the lock. Lock held."""
        self.closed = True
        self.log.remove(self)
        self.sleeper.interrupt()
