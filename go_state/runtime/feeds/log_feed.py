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
from typing import Final, Generic, TypeVar

from go_state.buffer.cursor import Cursor
from go_state.buffer.own_chunk import OwnChunk
from go_state.core.errors import Closed, NothingPending, TimedOut
from go_state.core.ports import Reader
from go_state.core.turn import Turn
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.feeds.consequences import Awaited
from go_state.runtime.feeds.disk import DiskReader
from go_state.runtime.feeds.feed import NO_MESSAGES, NOBODY, Nobody, Owner, is_end
from go_state.runtime.flow.waits import CHECKPOINT_SECONDS, Blocking, Checkpoint, Flow, Messages
from go_state.system.own_thread import Stepwise

Msg = TypeVar("Msg")

CHUNK_SECONDS = 0.001  # a chunk may grow while it takes less: what a reader has taken shows as unread until it is committed
CHUNK_LIMIT = 1024  # messages; by then the cost of taking a chunk, about 2 us, is 2 ns a message

_TURN: Final = object()  # who sends: the turn that is being taken


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
        self.settling: Awaited | None = None  # those who wait until there is nothing to do, or what they have sent is done
        self._log = reader.log if isinstance(reader, Cursor) else None
        self._is_followed = False  # whether it is noted what comes of which message, because somebody waits
        self._delivering: object = None  # meanwhile, the position of the message whose call is being delivered
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
        if self.settling is not None and (self.settling.is_awaited or self._is_followed):
            yield from self._look_who_waits(self.settling)
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
        self.tell_if_settled()
        left = None if manager is None else manager.left(self._is_drained)
        try:
            yield Messages(self._reader, idle if left is None or (idle is not None and idle < left) else left)
        except TimedOut:
            if manager is None or not manager.active:
                self.idled()
        finally:
            if manager is not None:
                manager.inbox.is_awaited = False

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits until there is nothing to do, and there is nothing but timers."""
        settling, manager = self.settling, self._manager
        return settling is not None and settling.is_awaited and not self._backlog() and (manager is None or manager.is_through)

    def tell_if_settled(self) -> None:
        """Wake those who wait until there is nothing to do, if that is so."""
        if self.is_awaited and self.settling is not None:
            self.settling.reached()

    def _look_who_waits(self, settling: Awaited) -> Flow[None]:
        """Wake those who wait for what was sent before they came, if it is done and committed, however much is sent meanwhile."""
        log, manager = self._log, self._manager
        if log is None or manager is None:
            return
        if self._is_followed is not settling.is_awaited:
            self._is_followed = settling.is_awaited
            manager.follow_deliveries(self._delivers if self._is_followed else None)
            log.lend(to_owner=not self._is_followed)  # what an owner appends has no position that is known at once
        if settling.see():
            yield from self._place_what_was_sent()
            with log.lock:
                log.absorb()
                settling.begin(log.retained.end)
        if settling.done(self._reader.committed, manager.calls()):
            yield from self._commit_what_is_done()
            settling.wake_done()

    def _delivers(self, position: object) -> None:
        self._delivering = position

    def _place_what_was_sent(self) -> Flow[None] | tuple[()]:
        """Give a position to all that was sent: a queue in memory has no message without."""
        return ()

    def _commit_what_is_done(self) -> Flow[None] | tuple[()]:
        """Make what is processed so that a crash does not undo it, and show it: for a queue in memory it is."""
        return ()

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
        self._commit(messages, len(self._chunk) - length_hint(self._rest), follow=False, by=self._delivering)
        return ()

    def _commit(self, messages: Sequence[Msg], given: int, *, follow: bool = True, by: object = _TURN) -> None:
        count = given - (self._reader.committed - self._first)
        follow = follow and len(self._chunk) + len(messages) <= self._most
        if not (self._is_followed and messages):
            self._chunk += self._settle(count, messages, follow)
        else:
            self._commit_and_note(count, messages, follow, self._first + given - 1 if by is _TURN else by)

    def _commit_and_note(self, count: int, messages: Sequence[Msg], follow: bool, by: object) -> None:
        log, settling = self._log, self.settling
        if log is None or settling is None:
            return
        with log.lock:
            self._chunk += self._settle(count, messages, follow)
            end = log.retained.end
        settling.note(by, end - len(messages), end)

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

