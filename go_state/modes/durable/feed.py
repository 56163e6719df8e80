"""The feed of a durable run: between two chunks it shows the model, writes what has to be on disk, and saves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from go_state.core.errors import Incompatible, TimedOut
from go_state.core.turn import Turn
from go_state.modes.durable.dead_letters import DeadLetters
from go_state.modes.durable.publishing import Publishing
from go_state.modes.durable.snapshot_writer import SnapshotWriter
from go_state.modes.durable.waking import NeverWoken, Waking
from go_state.runtime.feeds.log_feed import CHUNK_LIMIT, LogFeed
from go_state.runtime.flow.waits import Answer, Blocking, Flow, Messages
from go_state.runtime.on_error import FailedMessage, SetAside
from go_state.runtime.subscriptions.subscribed import Subscribed
from go_state.runtime.turn import Loop
from go_state.storage.journal.journal import Journal
from go_state.storage.journal.reader import JournalCursor
from go_state.system.own_thread import OwnThread, Stepwise

Model = TypeVar("Model")
Msg = TypeVar("Msg")

# Seconds without a message after which the cursor is written. Until then it is written with the next message: so a sender who waits
# for each turn pays one sync a message, not two. A crash in between has the turns that are not marked processed again.
_CURSOR_SECONDS = 0.005


class DurableFeed(LogFeed[Msg], Generic[Model, Msg]):
    """The messages of a journal, for the program that it belongs to."""

    def __init__(
        self,
        loop: Loop[Model, Msg],
        reader: JournalCursor[Msg],
        snapshots: SnapshotWriter[Model, Msg],
        publishing: Publishing[Model],
        dead_letters: DeadLetters,
        journal: Journal[Msg],
        waking: Waking | NeverWoken,
        *,
        thread: OwnThread,
        on_loop: bool,
    ) -> None:
        super().__init__(reader, on_loop=on_loop)
        self.thread = thread
        self._loop = loop
        self._cursor = reader
        self._journal = journal
        self._waking = waking
        self._rules = journal.writer.rules
        self._snapshots = snapshots
        self._publishing = publishing
        self._dead_letters = dead_letters
        self.passed_over: frozenset[int] = frozenset()  #: the positions of the messages that an earlier run has set aside

    @property
    def position(self) -> int:
        """The position of the first message that is not processed."""
        return self._cursor.committed

    @property
    def waiting(self) -> int:
        """How many messages are not processed."""
        return self._backlog()

    @property
    def is_on_disk(self) -> bool:
        """Whether the message last given is on disk: one that a turn has sent may be taken before."""
        return self._cursor.is_on_disk(self.last_position() + 1)

    # ------------------------------------------------------------------ between two chunks

    def take(self) -> Flow[Iterator[Msg] | None]:
        """Give the next messages, with None in the place of those that were set aside."""
        self._commit((), self._given())
        publishing, cursor, snapshots = self._publishing, self._cursor, self._snapshots
        if isinstance(inputs := self._loop.manager.inputs, Subscribed) and inputs.is_waiting:
            self._loop.follow(self._loop.model)
        can_show = not publishing.waits_for_disk and cursor.is_on_disk(self.position)
        if can_show:
            yield from publishing.show(self._loop.model)
        if snapshots.is_saving or snapshots.is_due(self.position):
            yield from self._save_a_slice()
        self._most = max(snapshots.messages_left(self.position, CHUNK_LIMIT), 1)  # overdue while a large model was being saved
        if self._rules.needs_flush(cursor) or (publishing.waits_for_disk and self._marks_are_due()):
            yield self._flush()
        if publishing.waits_for_disk:
            if not self._rules.has_moved(cursor):
                yield from publishing.written(self._loop.model)
        elif not can_show and cursor.is_on_disk(self.position):
            yield from publishing.show(self._loop.model)
        messages = yield from self._readable()
        if self.passed_over and messages is not None:
            return self._without_those_set_aside(messages)
        return messages

    def _marks_are_due(self) -> bool:
        """Return whether turns with effects are to be marked on disk now: at the end of a backlog, or each time with "put"."""
        return self._rules.has_moved(self._cursor) and (self._journal.durability == "put" or not self._cursor.diff())

    def _readable(self) -> Flow[Iterator[Msg] | None]:
        """Give the next messages; one that cannot be read is set aside, if on_error says so, before it is decoded."""
        while True:
            try:
                return (yield from super().take())
            except Incompatible as error:  # of the message that the reader stands at
                position = self._cursor.position
                undecoded = yield self._with_disk(partial(self._journal.history.undecoded, position))
                policy = self._dead_letters.decide(undecoded, position, error)
                if not isinstance(policy, SetAside) or policy.buffer is None:
                    raise
                taken = policy.buffer.put(FailedMessage(undecoded, position, error))
                yield Answer(taken, "the put of SetAside's buffer")

    def _without_those_set_aside(self, messages: Iterator[Msg]) -> Iterator[Msg]:
        nothing: Any = None  # what a turn passes over, as everywhere
        for message in messages:
            yield nothing if self.last_position() in self.passed_over else message

    def turn(self) -> Turn:
        """Return the turn as every replay will see it."""
        return self._journal.run_record.turn(self.last_position())

    # ------------------------------------------------------------------ while nothing comes

    def _idle(self) -> Flow[None]:
        """Wait for messages, but no longer than until there is something to write; a save that has begun is continued instead."""
        if self._snapshots.is_saving:
            yield from self._save_a_slice()
            return
        if self.is_awaited and self.settling is not None:
            if self._is_unwritten():
                yield self._flush()
                return
            self.settling.reached()
        due = self._snapshots.seconds_left(self.position)
        self._waking.note(self.position)
        moved = self._rules.has_moved(self._cursor) or self._journal.run_record.has_unwritten_wake
        writes_cursor = moved and (due is None or due > _CURSOR_SECONDS)
        due = _CURSOR_SECONDS if writes_cursor else due
        manager, idle = self._loop.manager, self.idle_seconds
        waits = [each for each in (due, idle, manager.left(self._is_drained)) if each is not None]
        try:
            yield Messages(self._reader, min(waits, default=None))
        except TimedOut:
            manager.inbox.is_awaited = False
            if self._snapshots.is_due(self.position):
                yield from self.save()
            elif writes_cursor:
                yield self._flush()
            elif idle is not None and idle <= min(waits) and manager.may_rest:
                self.idled()
        finally:
            manager.inbox.is_awaited = False

    def _is_unwritten(self) -> bool:
        """Return whether the disk does not know all that is processed."""
        rules = self._rules
        return rules.blocks(self._cursor) or rules.has_moved(self._cursor) or self._journal.run_record.has_unwritten

    # ------------------------------------------------------------------ saving

    def save(self, messages: Sequence[Msg] = ()) -> Flow[None]:
        """Write a snapshot of the model and all that a flush writes, and with them, or not at all, the messages."""
        self._waking.note(self.position)
        self._snapshots.begin(self._loop.model, self.position)
        while not (yield self._slice(messages)):
            pass
        yield from self._publishing.written(self._loop.model)

    def _save_a_slice(self) -> Flow[None]:
        """Save for a few milliseconds: a small model whole, and of a large one as much as there is time for between two turns."""
        if not self._snapshots.is_saving:
            self._snapshots.begin(self._loop.model, self.position)
        self._waking.note(self.position)
        if (yield self._slice()):
            yield from self._publishing.written(self._loop.model)

    def _slice(self, messages: Sequence[Msg] = ()) -> Blocking:
        snapshots = self._snapshots
        return self._with_disk(
            Stepwise(partial(snapshots.write_a_slice, messages), partial(snapshots.slice_in_steps, messages))
        )

    def end(self) -> Flow[None]:
        """Save what has changed since the last snapshot."""
        if self._snapshots.stands_at(self.position):
            yield from self._publishing.written(self._loop.model)
        else:
            yield from self.save()

    def _flush(self) -> Blocking:
        """Write what waits, and when the program has something to do by itself."""
        self._waking.note(self.position)
        return self._with_disk(Stepwise(self._journal.flush, self._journal.writer.flush_in_steps))

    def _with_disk(self, fn: Callable[[], object]) -> Blocking:
        return Blocking(fn, self.thread)
