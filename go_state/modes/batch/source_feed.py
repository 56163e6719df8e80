"""The feed of a batch: a source's messages, and before the next one is taken, everything that the last one led to."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from go_state.core.ports import Position, Undecoded
from go_state.core.turn import Turn
from go_state.modes.batch.halting import Counts, Halting, Rewind
from go_state.modes.batch.limits import Limits
from go_state.modes.batch.source_reader import SourceReader
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.feeds.feed import NO_MESSAGES, NOBODY
from go_state.runtime.flow.waits import Checkpoint, Flow
from go_state.runtime.turn import Loop

Msg = TypeVar("Msg")
Held = TypeVar("Held")  # the model as a loop has it: the program's own, or of a keyed aggregate its last change

Ended: TypeAlias = Literal["exhausted", "limit", "stopped", "budget", "failed"]
"""Why a batch has ended: its source did, it was asked to end early, or it has halted at a message that has failed."""


class SavePoint(Generic[Held]):
    """When to save in mid-stream, and how. `save` is called when the queue is empty, with the model and the source's position.

    `rewind` is how what is not saved yet is taken back; `is_due` says that there is too much of it.
    """

    def __init__(
        self,
        save: Callable[[Held, Position], Flow[None]],
        every: int | None,
        seconds: float | None,
        rewind: Rewind[Held],
        is_due: Callable[[], bool],
    ) -> None:
        self.save = save
        self.is_due = is_due
        self.rewind = rewind
        self.every = every  # messages of the source
        self.seconds = seconds


class WholeRun:
    """A run of the source that the loop has as it is, without a look at what else there is between two messages.

    That look costs a tenth of a turn. The run is ended when a turn sends something; after one that was, the next is given one by one.
    """

    def __init__(self, left_in_run: Callable[[], int | None]) -> None:
        self.is_given = False
        self.has_sent = False  #: whether a turn has sent something since the last run began
        self.nones = 0  #: how often the run had None in a message's place, so far
        self._left_in_run = left_in_run
        self._length = 0

    def begin(self, most: float) -> bool:
        """Return whether the run that the reader has begun is given so: one that can be ended, and has no more messages than that."""
        has_sent, self.has_sent = self.has_sent, False
        left = self._left_in_run()
        if has_sent or left is None or left > most:
            return False
        self._length, self.nones, self.is_given = left, 0, True
        return True

    def taken(self) -> tuple[int, bool]:
        """Return how many messages were taken of it, and whether these were all; it is counted once."""
        left = self._left_in_run() or 0
        self.is_given = False
        return self._length - left - self.nones, not left


class SourceFeed(Generic[Held, Msg]):
    """Messages of a source, and before the next one is taken, everything that the last one led to."""

    commits_each = False
    is_committed = False  # nothing is before the end of the batch
    owner = NOBODY

    def __init__(
        self,
        loop: Loop[Held, Msg],
        reader: SourceReader[Msg],
        limits: Limits,
        limit: int | None,
        checkpoint: SavePoint[Held] | None,
        halting: Halting[Held, Msg] | None = None,
    ) -> None:
        self.undecoded: Undecoded | None = None  #: the record in whose place None was given last
        self._halting = halting
        self._halts = 0  # how often the batch has halted: once, and once more while it waited for what was running
        self._is_direct = False  # whether the messages being taken are the source's own
        self._loop = loop
        self._reader = reader
        self._limits = limits
        self._limit = math.inf if limit is None else limit
        self._checkpoint = checkpoint
        self._run: Iterator[Msg | None] | None = None  # the source's messages that are being taken
        self._taken = 0  # how many of the source's messages were taken
        self._whole = WholeRun(reader.left_in_run)
        self._idle = 0  # how often it gave None instead
        self._save_at = math.inf  # at how many a checkpoint is due
        self._queue: deque[Msg] = deque()
        self._queued = 0  # how many messages have entered the queue
        self._unseen = 0  # how many messages of a fetch are still in it
        self._manager = loop.manager
        limits.manager = loop.manager
        self.ended: Ended = "exhausted"
        self._schedule()

    def listen_to(self, manager: EffectManager) -> None:
        """Connect the manager: positions for commands, and the length of the queue. This feed asks its loop's manager in any case."""
        manager.connect(
            where=self.last_position, backlog=lambda: len(self._queue), taken=lambda: self._queued - len(self._queue)
        )

    @property
    def processed(self) -> int:
        """How many messages were given; asked when all of them are processed."""
        return self._queued if self._reader.whole else self._taken + self._idle + self._queued

    def position(self) -> Position:
        """Return where the source stands, or where it is to be read on from after the batch has halted."""
        return self._reader.position() if self._halting is None or not self._halts else self._halting.before

    @property
    def has_halted(self) -> bool:
        """Whether the batch has halted at a message."""
        return self._loop.failures.halts > 0

    def take(self) -> Flow[Iterator[Msg | None] | None]:
        """Give what is queued, or else the source's next messages; None at the end."""
        limits = self._limits
        if self._whole.is_given:
            self._count_whole()
            self._take_rest_one_by_one()
        while True:
            is_due = limits.watches and limits.due()  # asked first: usually there are no limits, and nothing more to ask
            if is_due:
                limits.check_deadline()
                if limits.checkpoint_due():
                    yield Checkpoint()
            if self._loop.failures.halts != self._halts and self._halt():
                return None
            if self._queue:
                self._is_direct = False
                return self._given()
            if self._manager.has_arrivals:
                return NO_MESSAGES
            if self._halts:
                return (yield from self._last_ones())
            if self._taken >= self._save_at or (is_due and limits.save_due()) or self._is_due():
                if self._manager.count:  # a save is of everything that has happened, and nothing that is still running
                    yield self._manager.next_arrival(self._limits.timeout_left())
                    return iter(())
                yield from self._save()
            ended: Ended | None = (limits.ended() if is_due else None) or ("limit" if self._taken >= self._limit else None)
            if ended is not None and not self._reader.in_hand():
                self.ended = ended
                return (yield from self._last_ones())
            if self._manager.is_full:  # more would only wait in the memory
                yield self._manager.next_arrival(self._limits.seconds_left())
                return iter(())
            self._is_direct = True
            if self._run is not None:
                return self._take_from(self._run)
            run = yield from self._reader.more()
            if run is None:
                return (yield from self._last_ones())
            if (given := self._begin_run(run)) is not None:
                return given

    def upcoming(self) -> Iterator[Msg | None]:
        """Give the messages that are in hand, without taking them: those that are queued, and those that were read ahead."""
        return chain(self._queue, self._reader.upcoming())

    def _halt(self) -> bool:
        """Stop taking from the source, and return whether to end at once: the batch goes back, or has failed once more."""
        halting, halted, again = self._halting, self._loop.failures.halted, self._halts > 0
        assert halting is not None  # or no policy could have said so
        assert halted is not None
        self._halts, self.ended, self._run = self._loop.failures.halts, "failed", None
        self._queued -= len(self._queue)
        self._queue.clear()
        if self._reader.has_positions and (again or not (halted.kind != "command" and self._is_direct)):
            self._taken, self._idle, self._queued = halting.go_back()
            return True
        return again

    def _counts(self) -> Counts:
        return Counts(self._taken, self._idle, self._queued)

    def _last_ones(self) -> Flow[Iterator[Msg | None] | None]:
        """Wait for running commands when the source gives no more; None if there are none."""
        if not (yield from self._manager.last_ones(self._limits.timeout_left())):
            return None
        return self._timed()

    def _timed(self) -> Iterator[Msg | None]:
        """Give the messages of timers, each at its time, while nothing else is left that can give any."""
        queue, limits = self._queue, self._limits
        self._is_direct = False
        for messages in self._manager.timer_messages():
            self._queued += 1
            yield messages[0]
            if queue:  # what the turn has sent comes before timers that are due by now
                yield from self._given()
            if limits.watches and limits.due():
                return

    def _given(self) -> Iterator[Msg | None]:
        return self._until_due(self.drain()) if self._limits.watches else self.drain()

    def _take_from(self, run: Iterator[Msg | None]) -> Iterator[Msg | None]:
        """Give messages of the source until there is something else to do; what follows a yield runs between two turns."""
        watches, timers, arrivals = self._limits.watches, self._manager.timers, self._manager.inbox.arrivals
        timed, queue, taken, has_records, record = bool(timers), self._queue, self._taken, self._reader.has_records, Undecoded
        stop_at = min(self._limit, self._save_at)
        ends = stop_at < math.inf  # asked first: to compare a whole number with infinity takes 20 ns
        for message in run:
            if message is None:
                self._idle += 1
            else:
                taken += 1  # a local as well: so looking for records costs nothing
                self._taken = taken
                if has_records and message.__class__ is record:
                    self.undecoded, message = message, None  # type: ignore[assignment]  # that is its class
            yield message
            if (
                queue
                or arrivals
                or (ends and taken >= stop_at)
                or (watches and self._limits.due())
                or (timed and timers.is_due())
            ):
                return
        self._run = None

    def _begin_run(self, run: Iterator[Msg | None]) -> Iterator[Msg | None] | None:
        """Give the messages that the source has now; None if they are queued, because they belong together.

        They are given also when it is time to end by now: what was taken from the source is not given again.
        """
        self._run = run
        if self._may_have_whole() and self._whole.begin(min(self._limit, self._save_at) - self._taken):
            if self._halting is not None:
                self._halting.forget()
            return run
        if self._halting is not None:
            self._run = run = self._halting.noting(run, self._counts)
        if not self._reader.whole:
            return self._take_from(run)
        self._admit(list(run))
        return None

    def _may_have_whole(self) -> bool:
        """Return whether nothing but what turns send can come between two messages of the source."""
        return not (self._limits.watches or self._reader.has_records or self._manager.count or self._manager.timers)

    def _count_whole(self) -> None:
        """Count what the loop has taken of the run that it had whole."""
        taken, is_over = self._whole.taken()
        self._taken += taken
        if is_over:
            self._run = None
        if self._halting is not None and self._loop.failures.halts != self._halts:
            self._halting.before = self._reader.position_before()

    def _take_rest_one_by_one(self) -> None:
        """Go on with what is left of that run, if it was ended by a turn, or left for a save of letters."""
        if self._run is not None:
            left = self._reader.split()
            self._run = left if self._halting is None else self._halting.noting(left, self._counts)

    def _end_whole(self) -> None:
        """End that run after the message whose turn is being committed: nothing was queued or running before that."""
        self._count_whole()
        if self._halting is not None:
            self._halting.note(self._reader.position_before(), Counts(self._taken - 1, self._idle, self._queued))
        self._take_rest_one_by_one()

    def _admit(self, messages: list[Msg | None]) -> None:
        self._run = None
        self._unseen = sum(message is not None for message in messages)
        self._taken += self._unseen
        self._enqueue(messages)

    def _enqueue(self, messages: Sequence[Any]) -> None:
        self._queue.extend(messages)
        self._queued += len(messages)

    def drain(self) -> Iterator[Msg | None]:
        """Give what is queued."""
        queue = self._queue
        while queue:
            message = queue.popleft()
            if self._unseen and message is not None:
                self._unseen -= 1
                if message.__class__ is Undecoded:  # of a fetch
                    self.undecoded, message = message, None  # type: ignore[assignment]
            yield message

    def _until_due(self, messages: Iterator[Msg | None]) -> Iterator[Msg | None]:
        for message in messages:
            yield message
            if self._limits.due():
                return

    def _save(self) -> Flow[None]:
        assert self._checkpoint is not None  # only a checkpoint schedules one
        yield from self._checkpoint.save(self._loop.model, self._reader.position())
        yield from self._reader.saved()
        self._schedule()

    def _is_due(self) -> bool:
        return self._checkpoint is not None and self._checkpoint.is_due()

    def _schedule(self) -> None:
        if self._checkpoint is not None and self._checkpoint.every is not None:
            self._save_at = self._taken + self._checkpoint.every
        if self._checkpoint is not None and self._checkpoint.seconds is not None:
            self._limits.save_in(self._checkpoint.seconds)

    def commit(self, messages: Sequence[Msg], /) -> Flow[None] | tuple[()]:
        """Queue what the turn has sent."""
        self._whole.has_sent = True
        if self._whole.is_given:
            self._end_whole()
        self._enqueue(messages)
        return ()

    def put(self, messages: Sequence[Msg], /) -> Flow[None] | tuple[()]:
        """Queue messages that no turn has sent."""
        self._enqueue(messages)
        return ()

    def rollback(self, *, processed: bool) -> Flow[None] | tuple[()]:
        """Do nothing: a batch that fails leaves no model, and its source has committed nothing."""
        return ()

    def last_position(self) -> Position:
        """Return the position of the source, or how many of its messages were taken before this one."""
        position = self._reader.where()
        return self._taken - 1 - self._unseen if position is None else position

    def take_undecoded(self) -> Undecoded | None:
        """Return the record in whose place None was given last."""
        undecoded, self.undecoded = self.undecoded, None
        if self._whole.is_given:
            self._idle += 1
            self._whole.nones += 1
        return undecoded

    def turn(self) -> Turn:
        """Return a turn that begins now."""
        return Turn(self._manager.timers.clock.time(), self.last_position())
