"""The feed of a log: many messages at a time.

A chunk is a list, and what the loop iterates over is a list's iterator, which sees what is appended until it has come to the end. So a
turn's messages that are next to be read lengthen the chunk, and a chain of turns goes on in it. Between two chunks the feed commits
what was processed, gives the event loop back when it is time, and waits.

A log in memory has a feed of its own, `MemoryFeed`: while the run has it to itself (`buffer/own_chunk.py`), a turn is committed and an
effect's message enters without the log's lock, and the run that has read everything does not look into the log before it sleeps.

Ctrl-C may come between any two steps. How far the log was committed is therefore asked of the reader each time, and how much of the
chunk was given of its iterator; neither is counted here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import suppress
from operator import length_hint
from typing import Generic, TypeVar

from go_state.buffer.cursor import Cursor
from go_state.buffer.own_chunk import OwnChunk
from go_state.core.errors import Closed, NothingPending, TimedOut
from go_state.core.ports import Reader
from go_state.core.turn import Turn
from go_state.runtime.effects.inbox import LoopSleep
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.feeds.disk import DiskReader
from go_state.runtime.feeds.feed import NO_MESSAGES, NOBODY, OWN_LIMIT, Nobody, is_end
from go_state.runtime.feeds.following import Following, Settle
from go_state.runtime.flow.waits import CHECKPOINT_SECONDS, Blocking, Checkpoint, Flow, Messages, Wait
from go_state.system.own_thread import Stepwise
from go_state.system.timers import Timers

Msg = TypeVar("Msg")

CHUNK_SECONDS = 0.001  # a chunk may grow while it takes less: what a reader has taken shows as unread until it is committed
CHUNK_LIMIT = 1024  # messages; by then the cost of taking a chunk, about 2 us, is 2 ns a message


FEW = 64  # messages: a chunk is kept while the run sleeps, and so what effects bring lengthens it no further


def _do_nothing() -> None:
    """Ignore it."""


class LogFeed(Generic[Msg]):
    """Messages of a log, taken in chunks whose size adapts: from one on, doubled while a chunk is quickly done."""

    commits_each = False
    take_undecoded = staticmethod(_do_nothing)  # there are messages here, and no records

    def __init__(self, reader: Reader[Msg], *, on_loop: bool) -> None:
        self._reader = reader
        self.on_loop = on_loop  #: whether it is taken on an event loop
        self.owner: OwnChunk[Msg] | Nobody = NOBODY
        self.chunk: list[Msg] = []  #: the messages that `take` has given last, which a commit may lengthen
        self.rest: Iterator[Msg] = iter(self.chunk)  #: what of it was not given yet
        self.first = self._began = reader.committed  #: the position of the chunk's first message, and of the first of all
        self._size, self._most = 1, CHUNK_LIMIT
        self._ending = False
        self.idle_seconds: float | None = None
        self.idled: Callable[[], object] = _do_nothing  # called whenever no message has come for `idle_seconds`
        self.following: Following[Msg] = Following(
            reader.log if isinstance(reader, Cursor) else None
        )  #: what comes of messages
        self._manager: EffectManager | None = None
        self._arrivals: Sized = ()
        self._timers: Timers | None = None
        self._time: Callable[[], float] = time.time
        self._taken_at = self._checkpoint_at = time.monotonic()
        self._take: Callable[[int], list[Msg]] = reader.take
        self._settle: Settle[Msg] = reader.settle
        self._disk: DiskReader[Msg] | None = None  # the reader, if it needs the disk, for which an event loop does not wait
        if on_loop and isinstance(reader, DiskReader):
            self._disk, self._take, self.thread = reader, reader.take_written, reader.thread

    def listen_to(self, manager: EffectManager) -> None:
        """End waits when running commands have produced something."""
        self._manager, self._arrivals, self._timers = manager, manager.inbox.arrivals, manager.timers
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
        given = len(self.chunk) - length_hint(self.rest)
        if given != self._reader.committed - self.first:  # before any wait, so that one that is cancelled has it committed
            self.commit(()) if self.on_loop else self._commit((), given)
        following = self.following
        if following.waiting or following.is_on:
            yield from following.look(self._reader.committed)
        if self.on_loop and time.monotonic() >= self._checkpoint_at:
            yield Checkpoint()
            self._checkpoint_at = time.monotonic() + CHECKPOINT_SECONDS
        if self._ending:
            return None
        if length_hint(self.rest):
            return _until(self._checkpoint_at, self.rest) if self.on_loop else self.rest
        self._adapt()
        while True:
            if self._disk is not None and self._disk.needs_disk():
                yield Blocking(Stepwise(self._disk.prepare, self._disk.prepare_in_steps), self.thread)
                self._checkpoint_at = time.monotonic() + CHECKPOINT_SECONDS  # the loop has had its turn
            owner = self.owner
            if self.on_loop and isinstance(owner, OwnChunk) and owner.own is self.chunk and not owner.cursor.log.closed:
                pass  # nothing was put since: if anything is now, the wait finds it
            elif chunk := self._take(self._size):
                self.chunk, self.rest, self.first = chunk, iter(chunk), self._reader.committed
                return _until(self._checkpoint_at, self.rest) if self.on_loop else self.rest
            if self._arrivals or ((timers := self._timers) is not None and timers.heap and timers.is_due()):
                return NO_MESSAGES
            try:
                yield from self._idle()
            except Closed as error:
                if not is_end(error):
                    raise
                if self._ending or self._manager is None or not (yield from self._manager.last_ones()):
                    return None
                return NO_MESSAGES
            self._taken_at = time.monotonic()

    def _idle(self) -> Flow[None]:
        """Wait for messages, for a running command, or for `idle_seconds`."""
        manager, idle = self._manager, self.idle_seconds
        if self.following.waiting:
            self.following.tell_if_idle()
        left = None if manager is None else manager.left(self._is_drained)
        seconds = idle if left is None or (idle is not None and idle < left) else left
        try:
            wait = self._next(seconds)
            if not self.on_loop:
                wait.in_thread()  # here: to leave all flows above, and enter them again, costs a call for each
            elif (yield wait):
                self._checkpoint_at = time.monotonic() + CHECKPOINT_SECONDS  # the other tasks have had their turn
        except TimedOut:
            if manager is None or not manager.active:
                self.idled()
        finally:
            if manager is not None:
                manager.inbox.is_awaited = False

    def _next(self, seconds: float | None) -> Wait:
        """Return the wait for the next message, or an arrival; its result is true if other tasks had their turn for certain."""
        return Messages(self._reader, seconds)

    def _adapt(self) -> None:
        """Choose the size of the next chunk by how long the last one took, without what was spent on commands' results."""
        now = time.monotonic()
        if self._manager is not None:
            self._taken_at += self._manager.lifecycle.seconds
            self._manager.lifecycle.seconds = 0.0
        size = self._size * 2 if now - self._taken_at < CHUNK_SECONDS else self._size // 2
        self._size = max(min(size, self._most), 1)
        self._taken_at = now

    def end_at_next_turn(self) -> None:
        """End at the next `take`, which waits for nothing; callable from any thread."""
        self._ending = True
        if self._manager is not None:
            self._manager.inbox.wake()

    # ------------------------------------------------------------------ committing

    def commit(self, messages: Sequence[Msg], /) -> tuple[()]:
        """Move the cursor and append the messages, as one step; those that are next to be read lengthen the chunk."""
        self._commit(messages, len(self.chunk) - length_hint(self.rest))
        return ()

    def put(self, messages: Sequence[Msg]) -> tuple[()]:
        """Append messages that no turn has sent. They do not lengthen the chunk, whose iterator may have ended for good."""
        self._commit(messages, len(self.chunk) - length_hint(self.rest), follow=False)
        return ()

    def _commit(self, messages: Sequence[Msg], given: int, *, follow: bool = True) -> None:
        count, fits = given - (self._reader.committed - self.first), len(self.chunk) + len(messages) <= self._most
        if messages and self.following.is_on:
            turn = self.first + given - 1 if follow else None
            self.chunk += self.following.settle(self._settle, count, messages, follow and fits, turn)
        else:
            self.chunk += self._settle(count, messages, follow and fits)

    def rollback(self, *, processed: bool) -> tuple[()]:
        """Commit what is processed and put the cursor back to the first message that is not."""
        committed = self._reader.committed - self.first
        self._commit((), max(len(self.chunk) - length_hint(self.rest) - (not processed), committed))
        with suppress(NothingPending):
            self._reader.rollback()
        self.chunk = []  # what is given anew is none of the old chunk's
        self.rest, self.first = iter(self.chunk), self._reader.committed
        return ()

    # ------------------------------------------------------------------ looking

    def last_position(self) -> int:
        """Return the position in the log of the message last given."""
        return self.first + len(self.chunk) - length_hint(self.rest) - 1  # of which an effect's origin asks: no further call

    def turn(self) -> Turn:
        """Return a turn that begins now."""
        return Turn(self._time(), self.last_position())

    @property
    def processed(self) -> int:
        """How many messages are processed."""
        return self._reader.committed - self._began

    @property
    def is_committed(self) -> bool:
        """Whether the message last given is committed."""
        return self._reader.committed > self.last_position()

    @property
    def committed(self) -> int:
        """The position of the first message that is not known to be processed."""
        return self._reader.committed

    def _is_drained(self) -> bool:
        """Return, to any thread, whether every message is processed."""
        return not self._backlog()

    def _backlog(self) -> int:
        return self._reader.diff() + length_hint(self.rest)


class MemoryFeed(LogFeed[Msg]):
    """Messages of a log in memory, which the run may have to itself: then a turn's messages, and those of effects, need no lock."""

    def __init__(self, cursor: Cursor[Msg], *, on_loop: bool) -> None:
        super().__init__(cursor, on_loop=on_loop)
        self.owner = self._own = OwnChunk(cursor)
        self._take, self._settle = self._own.take, self._own.settle
        self._sleep: LoopSleep[Msg] | None = None  # how it sleeps on an event loop while it has the log to itself

    def listen_to(self, manager: EffectManager) -> None:
        """End waits when running commands have produced something."""
        super().listen_to(manager)
        self._sleep = LoopSleep(manager.inbox, self._own) if self.on_loop else None

    def _next(self, seconds: float | None) -> Wait:
        sleep = self._sleep
        if sleep is None or not sleep.prepare(self.chunk):
            return Messages(self._reader, seconds)
        sleep.seconds = seconds
        return sleep

    def commit(self, messages: Sequence[Msg], /) -> tuple[()]:
        """Move the cursor and append the messages, as one step: whoever looks at the cursor sees it before or after that."""
        given, owner = len(self.chunk) - length_hint(self.rest), self._own
        own = owner.own
        if own is None or len(own) >= OWN_LIMIT:
            self._commit(messages, given)
            return ()
        position = self.first + given
        own += messages
        owner.cursor.committed = position  # without a call since the append: Ctrl-C finds both or neither
        if owner.own is None:  # others have come in between
            owner.append_late()
        return ()

    def put(self, messages: Sequence[Msg]) -> tuple[()]:
        """Append messages that no turn has sent; they lengthen the chunk while the run has the log to itself, and has read all of it."""
        chunk, owner = self.chunk, self._own
        if owner.own is not chunk or len(chunk) >= FEW:
            return super().put(messages)
        if not length_hint(self.rest):
            self.rest = _at_end(chunk)  # before the append: until then nothing more is given
        chunk += messages
        if owner.own is None:  # others have come in between
            owner.append_late()
        return ()

    def rollback(self, *, processed: bool) -> tuple[()]:
        """Commit what is processed and put the cursor back to the first message that is not."""
        self.leave()
        return super().rollback(processed=processed)

    def leave(self) -> None:
        """Leave nothing with the log that wakes the run."""
        if self._sleep is not None:
            self._sleep.leave()


def log_feed(reader: Reader[Msg], *, on_loop: bool) -> LogFeed[Msg]:
    """Return the feed of a reader, as its log allows."""
    if isinstance(reader, Cursor) and reader.log.may_be_owned:
        return MemoryFeed(reader, on_loop=on_loop)
    return LogFeed(reader, on_loop=on_loop)


def _until(checkpoint: float, messages: Iterator[Msg]) -> Iterator[Msg]:
    """Give the messages until it is time for the other tasks of the event loop."""
    for message in messages:
        yield message
        if time.monotonic() >= checkpoint:
            return


def _at_end(chunk: list[Msg]) -> Iterator[Msg]:
    """Return an iterator that gives what is appended to the list from now on; one that has come to the end once gives nothing more."""
    rest = iter(chunk)
    rest.__setstate__(len(chunk))  # type: ignore[attr-defined]  # which a list's iterator has, to be copied
    return rest
