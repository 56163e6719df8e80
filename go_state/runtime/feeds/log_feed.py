"""The feed of a log: many messages at a time.

A chunk is a list, and what the loop iterates over is a list's iterator, which sees what is appended until it has come to the end. So a
turn's messages that are next to be read lengthen the chunk, and a chain of turns goes on in it. Between two chunks the feed commits
what was processed, gives the event loop back when it is time, and waits.

Ctrl-C may come between any two steps. How far the log was committed is therefore asked of the reader each time, and how much of the
chunk was given of its iterator; neither is counted here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from operator import length_hint
from typing import Generic, TypeVar

from go_state.buffer.cursor import Cursor
from go_state.buffer.own_chunk import OwnChunk
from go_state.core.errors import Closed, NothingPending, TimedOut
from go_state.core.ports import Reader
from go_state.core.turn import Turn
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.feeds.disk import DiskReader
from go_state.runtime.feeds.feed import NO_MESSAGES, NOBODY, Nobody, Owner, is_end
from go_state.runtime.feeds.following import Following
from go_state.runtime.flow.waits import CHECKPOINT_SECONDS, Blocking, Checkpoint, Flow, Messages
from go_state.system.own_thread import Stepwise

Msg = TypeVar("Msg")

CHUNK_SECONDS = 0.001  # a chunk may grow while it takes less: what a reader has taken shows as unread until it is committed
CHUNK_LIMIT = 1024  # messages; by then the cost of taking a chunk, about 2 us, is 2 ns a message


def _do_nothing() -> None:
    """Ignore it."""


class LogFeed(Generic[Msg]):
    """Messages of a log, taken in chunks whose size adapts: from one on, doubled while a chunk is quickly done."""

    commits_each = False
    take_undecoded = staticmethod(_do_nothing)  # there are messages here, and no records

    def __init__(self, reader: Reader[Msg], *, on_loop: bool) -> None:
        self._reader = reader
        self._on_loop = on_loop
        owner = OwnChunk(reader, self.last_position) if isinstance(reader, Cursor) and reader.log.may_be_owned else None
        self.owner: Owner[Msg] | Nobody = owner or NOBODY
        self._chunk: list[Msg] = []
        self._rest: Iterator[Msg] = iter(self._chunk)
        self._first = self._began = reader.committed  # the position of the chunk's first message, and of the first of all
        self._size, self._most = 1, CHUNK_LIMIT
        self._ending = False
        self.idle_seconds: float | None = None
        self.idled: Callable[[], object] = _do_nothing  # called whenever no message has come for `idle_seconds`
        self.following: Following[Msg] = Following(reader.log if isinstance(reader, Cursor) else None)  # what comes of messages
        self._manager: EffectManager | None = None
        self._time: Callable[[], float] = time.time
        self._taken_at = self._done_at = self._checkpoint_at = time.monotonic()
        self._take = reader.take if owner is None else owner.take
        self._settle = reader.settle if owner is None else owner.settle
        self._disk: DiskReader[Msg] | None = None  # the reader, if it needs the disk, for which an event loop does not wait
        if on_loop and isinstance(reader, DiskReader):
            self._disk, self._take, self.thread = reader, reader.take_written, reader.thread

    def listen_to(self, manager: EffectManager) -> None:
        """End waits when running commands have produced something."""
        self._manager = manager
        self.following.connect(manager, self._backlog)
        manager.connect(
            where=self.last_position,
            wake=self._reader.wake,
            backlog=self._backlog,
            taken=lambda: self.last_position() + 1,
            looks_up=True,
        )
        self._time = manager.timers.clock.time

    # ------------------------------------------------------------------ taking

    def take(self) -> Flow[Iterator[Msg] | None]:
        """Return what is left of the chunk, or the next one; None once the log is closed and drained and no command is running."""
        given = len(self._chunk) - length_hint(self._rest)
        if given != self._reader.committed - self._first:  # before any wait, so that one that is cancelled has it committed
            self._commit((), given)
        if self.following.is_wanted:
            yield from self.following.look(self._reader.committed)
        needs_disk = False
        if self._on_loop and time.monotonic() >= self._checkpoint_at:
            needs_disk = not length_hint(self._rest) and self._disk is not None and self._disk.needs_disk()
            if not needs_disk:  # the wait for which gives the loop back as well
                yield Checkpoint()
                self.loop_had_its_turn()
        if self._ending:
            return None
        if length_hint(self._rest):
            return self._until_checkpoint(self._rest) if self._on_loop else self._rest
        self._adapt()
        while True:
            if self._disk is not None and (needs_disk or self._disk.needs_disk()):
                yield Blocking(Stepwise(self._disk.prepare, self._disk.prepare_in_steps), self.thread)
                self.loop_had_its_turn()
                needs_disk = False
            if chunk := self._take(self._size):
                self._chunk, self._rest, self._first = chunk, iter(chunk), self._reader.committed
                return self._until_checkpoint(self._rest) if self._on_loop else self._rest
            manager = self._manager
            if manager is not None and manager.has_arrivals:
                return NO_MESSAGES
            try:
                yield from self._idle()
            except Closed as error:
                if not is_end(error):
                    raise
                if self._ending or manager is None or not (yield from manager.last_ones()):
                    return None
                return NO_MESSAGES
            self._taken_at = time.monotonic()

    def _idle(self) -> Flow[None]:
        """Wait for messages, for a running command, or for `idle_seconds`."""
        manager, idle = self._manager, self.idle_seconds
        self.following.tell_if_idle()
        left = None if manager is None else manager.left(self._is_drained)
        try:
            yield Messages(self._reader, idle if left is None or (idle is not None and idle < left) else left)
        except TimedOut:
            if manager is None or not manager.active:
                self.idled()
        finally:
            if manager is not None:
                manager.inbox.is_awaited = False

    def _adapt(self) -> None:
        """Choose the size of the next chunk by how long the last one took, without what was spent on commands' results."""
        now = time.monotonic()
        if self._manager is not None:
            self._taken_at += self._manager.deliveries.seconds
            self._manager.deliveries.seconds = 0.0
        quick = (self._done_at if self._on_loop else now) - self._taken_at < CHUNK_SECONDS
        self._size = max(min(self._size * 2 if quick else self._size // 2, self._most), 1)
        self._taken_at = now

    def loop_had_its_turn(self) -> None:
        """Called after a wait in which the other tasks of the event loop could go on."""
        self._checkpoint_at = time.monotonic() + CHECKPOINT_SECONDS

    def _until_checkpoint(self, messages: Iterator[Msg]) -> Iterator[Msg]:
        self._taken_at = self._done_at = time.monotonic()  # not while other tasks were at their turn
        for message in messages:
            yield message
            self._done_at = now = time.monotonic()
            if now >= self._checkpoint_at:
                return

    def end_at_next_turn(self) -> None:
        """End at the next `take`, which waits for nothing; callable from any thread."""
        self._ending = True
        if self._manager is not None:
            self._manager.inbox.wake()

    # ------------------------------------------------------------------ committing

    def commit(self, messages: Sequence[Msg], /) -> tuple[()]:
        """Move the cursor and append the messages, as one step; those that are next to be read lengthen the chunk."""
        self._commit(messages, len(self._chunk) - length_hint(self._rest))
        return ()

    def put(self, messages: Sequence[Msg]) -> tuple[()]:
        """Append messages that no turn has sent. They do not lengthen the chunk, whose iterator may have ended for good."""
        self._commit(messages, len(self._chunk) - length_hint(self._rest), follow=False)
        return ()

    def _commit(self, messages: Sequence[Msg], given: int, *, follow: bool = True) -> None:
        """Commit the messages given, and append those that a turn has sent, which may `follow` in the chunk, or that others have."""
        count, turn = given - (self._reader.committed - self._first), self._first + given - 1 if follow else None
        follow = follow and len(self._chunk) + len(messages) <= self._most
        if messages and self.following.is_on:
            self._chunk += self.following.settle(self._settle, count, messages, follow, turn)
        else:
            self._chunk += self._settle(count, messages, follow)

    def _given(self) -> int:
        return len(self._chunk) - length_hint(self._rest)  # a list's iterator knows exactly how much it has left

    def rollback(self, *, processed: bool) -> tuple[()]:
        """Commit what is processed and put the cursor back to the first message that is not."""
        committed = self._reader.committed - self._first
        self._commit((), max(self._given() - (not processed), committed))
        with suppress(NothingPending):
            self._reader.rollback()
        self._chunk = []  # what is given anew is none of the old chunk's
        self._rest, self._first = iter(self._chunk), self._reader.committed
        return ()

    # ------------------------------------------------------------------ looking

    def last_position(self) -> int:
        """Return the position in the log of the message last given."""
        return self._first + len(self._chunk) - length_hint(self._rest) - 1  # of which an effect's origin asks: no further call

    def turn(self) -> Turn:
        """Return a turn that begins now."""
        return Turn(self._time(), self.last_position())

    @property
    def processed(self) -> int:
        """How many messages are processed."""
        return self._reader.committed - self._began

    @property
    def committed(self) -> int:
        """The position of the first message that is not known to be processed."""
        return self._reader.committed

    def _is_drained(self) -> bool:
        """Return, to any thread, whether every message is processed."""
        return not self._backlog()

    def _backlog(self) -> int:
        return self._reader.diff() + length_hint(self._rest)
