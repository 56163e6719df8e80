"""The feed of a durable run: between two chunks it shows the model, writes what has to be on disk, and saves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import length_hint
from typing import Any, Generic, TypeVar

from go_state.core.errors import Incompatible, TimedOut
from go_state.core.turn import Turn
from go_state.modes.durable.dead_letters import DeadLetters
from go_state.modes.durable.publishing import OnDisk, Publishing
from go_state.modes.durable.snapshot_writer import Saves, SnapshotWriter
from go_state.modes.keeping.waking import NeverWoken, Waking
from go_state.runtime.feeds.log_feed import CHUNK_LIMIT, LogFeed
from go_state.runtime.flow.waits import Blocking, Flow, Messages
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
        self._cursor, self._journal = reader, journal
        self._waking, self._rules = waking, journal.writer.rules
        self._snapshots = snapshots
        self.saves = Saves(snapshots, publishing, waking, thread)  #: what writes its snapshots
        self._publishing = publishing
        self._dead_letters = dead_letters
        settled = OnDisk(loop, reader, self._rules, publishing, self._flush)
        self.following.place, self.following.commit = settled.place, settled.commit
        self.inputs: Subscribed[Model, Msg] | None = (
            None  #: the subscriptions, which begin when the messages that were left are processed
        )
        self.passed_over: frozenset[int] = frozenset()  #: the positions of the messages that an earlier run has set aside

    @property
    def is_on_disk(self) -> bool:
        """Whether the message last given is on disk: one that a turn has sent may be taken before."""
        return self._cursor.is_on_disk(self.last_position() + 1)

    # ------------------------------------------------------------------ between two chunks

    def take(self) -> Flow[Iterator[Msg] | None]:
        """Give the next messages, with None in the place of those that were set aside."""
        if processed := len(self.chunk) - length_hint(self.rest) - (self._cursor.committed - self.first):
            self._cursor.settle(processed)
        if (observation := self._loop.manager.observation) is not None:
            observation.tell_of_disk()
        publishing, cursor, snapshots = self._publishing, self._cursor, self._snapshots
        if self.inputs is not None and self.inputs.is_waiting:
            self._loop.follow(self._loop.model)
        can_show = not publishing.waits_for_disk and cursor.is_on_disk(cursor.committed)
        if can_show:
            yield from publishing.show(self._loop.model)
        if snapshots.saving is not None or snapshots.is_due(cursor.committed):
            yield from self.saves.save_a_slice(self._loop.model, cursor.committed)
        self._most = max(snapshots.messages_left(cursor.committed, CHUNK_LIMIT), 1)  # overdue beside the save of a large model
        if self._rules.needs_flush(cursor) or (publishing.waits_for_disk and self._rules.marks_are_due(cursor)):
            yield from self._flush()
        if publishing.waits_for_disk:
            if not self._rules.positions.has_moved(cursor):
                yield from publishing.written(self._loop.model)
        elif not can_show and cursor.is_on_disk(cursor.committed):
            yield from publishing.show(self._loop.model)
        messages = yield from self._readable()
        return _without(self.passed_over, messages, self.last_position) if self.passed_over and messages else messages

    def _readable(self) -> Flow[Iterator[Msg] | None]:
        """Give the next messages; one that cannot be read is set aside, if on_error says so, before it is decoded."""
        while True:
            try:
                return (yield from super().take())
            except Incompatible as error:  # of the message that the reader stands at
                yield from self._dead_letters.set_record_aside(self._cursor.position, error, self._loop.failures, self.thread)

    def turn(self) -> Turn:
        """Return the turn as every replay will see it."""
        return self._journal.run_record.turn(self.last_position())

    def _idle(self) -> Flow[None]:
        """Wait for messages, but no longer than until there is something to write; a save that has begun is continued instead."""
        if self._snapshots.saving is not None:
            yield from self.saves.save_a_slice(self._loop.model, self.committed)
            return
        if self.following.is_idle and self._rules.is_unwritten(self._cursor):
            yield from self._flush()
            return
        self.following.tell_if_idle()
        position = self._cursor.committed
        self._waking.note(position)
        due, moved = self._snapshots.seconds_left(position), self._rules.is_moved_or_noted(self._cursor)
        writes_cursor = moved and (due is None or due > _CURSOR_SECONDS)
        due = _CURSOR_SECONDS if writes_cursor else due
        manager, idle = self._loop.manager, self.idle_seconds
        seconds = _sooner(due, _sooner(idle, manager.left(self._is_drained)))
        try:
            wait = Messages(self._cursor, seconds)
            if self.on_loop:
                yield wait
            else:
                wait.in_thread()
        except TimedOut:
            manager.inbox.is_awaited = False
            if self._snapshots.is_due(position):
                yield from self.saves.save(self._loop.model, self.committed)
            elif writes_cursor:
                yield from self._flush()
            elif idle is not None and idle == seconds and manager.may_rest:
                self.idled()
        finally:
            manager.inbox.is_awaited = False

    def _flush(self) -> Flow[None]:
        self._waking.note(self.committed)
        if self.on_loop:
            yield Blocking(Stepwise(self._journal.flush, self._journal.writer.flush_in_steps), self.thread)
        else:
            self._journal.flush()


def _sooner(one: float | None, other: float | None) -> float | None:
    """Return the lesser of two numbers of seconds, each of which may be None for as long as it takes."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _without(passed_over: frozenset[int], messages: Iterator[Msg], position: Callable[[], int]) -> Iterator[Msg]:
    """Give the messages, with None in the place of those that an earlier run has set aside."""
    nothing: Any = None  # what a turn passes over, as everywhere
    for message in messages:
        yield nothing if position() in passed_over else message
