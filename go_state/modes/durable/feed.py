"""The feed of a durable run: between two chunks it shows the model, writes what has to be on disk, and saves.

Once a message is on disk a replay finds its turn again, and makes the same model: the model is shown as soon as the turn is processed
and its message on disk. What others send is on disk before update sees it; what turns send to themselves is written with the next flush,
so a chain of them is one write. A turn that did something which a replay would do again is shown only when the disk knows that it is
processed: one that has called a function or started a command, one whose message was set aside, and any turn of a program whose
middleware acts on what became of it. Such a turn is not taken before its message is on disk: what is done under its position and its
`gs.effect_id()` would be done under others after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from operator import length_hint
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from go_state.core.commands import Reply, Send
from go_state.core.errors import Incompatible, TimedOut
from go_state.core.turn import Turn
from go_state.middleware.chain import Chain
from go_state.modes.durable.dead_letters import DeadLetters
from go_state.modes.durable.snapshot_writer import Saves, SnapshotWriter
from go_state.modes.keeping.waking import NeverWoken, Waking
from go_state.runtime.feeds.log_feed import CHUNK_LIMIT, LogFeed
from go_state.runtime.flow.waits import Blocking, Flow, Messages, Wait
from go_state.runtime.subscriptions.subscribed import Subscribed
from go_state.runtime.turn import Loop
from go_state.storage.journal.commit.flush_rules import FlushRules
from go_state.storage.journal.journal import Journal
from go_state.storage.journal.reader import JournalCursor
from go_state.system.own_thread import OwnThread, Stepwise

Model = TypeVar("Model")
Shown = TypeVar("Shown", contravariant=True)
Msg = TypeVar("Msg")
P = ParamSpec("P")
Step = TypeVar("Step")

# Seconds without a message after which the cursor is written. Until then it is written with the next message: so a sender who waits
# for each turn pays one sync a message, not two. A crash in between has the turns that are not marked processed again.
_CURSOR_SECONDS = 0.005
_NONE: object = ()  # one object in CPython, by which a step without commands is known fastest
_WITHOUT_EFFECT = {Send, Reply, type(None)}  # a message enters with its turn's commit; an answer is only given
_NOTHING = object()  # which no model is


class Onlooker(Protocol[Shown]):
    """Something that follows a durable run, such as an app: called with each model that may be shown."""

    def listen_to(self, feed: LogFeed[Any], /) -> None:
        """Called before the first turn, with the feed, which knows the position of the turn that is being taken."""
        ...

    def rolled_back(self, error: BaseException, /, *, ends: bool) -> None:
        """Called after a turn was rolled back; see `AfterRollback`."""
        ...

    @property
    def on_published(self) -> Sequence[Callable[[Shown], object]]:
        """What is called, in this order, with the newest model that may be shown; it may become more."""
        ...

    def published(self) -> None:
        """Called after that."""
        ...


class Publishing(Generic[Model]):
    """Shows the models of one run: to its middleware, to whoever looks on, and to the program's view, in this order."""

    def __init__(
        self,
        view: Callable[[Model], object] | None,
        onlooker: Onlooker[Model] | None,
        chain: Chain[Model, Any] | None,
    ) -> None:
        self._view = view
        self._onlooker = onlooker
        self._on_published = () if onlooker is None else onlooker.on_published
        self._chain = chain
        self._shown: object = _NOTHING
        #: Whether the newest model is shown only once the disk knows that its turn is processed.
        self.waits_for_disk = chain is not None
        self._is_final = False  # whether the last flush of the run is done
        self._is_unseen = False  # whether the view has not seen the last model by then

    def note_effects(self) -> None:
        """Called in a turn that does something which a replay would do again."""
        self.waits_for_disk = True

    def written(self, model: Model) -> Flow[None] | tuple[()]:
        """Show the model, whose turn the disk knows to be processed."""
        self.waits_for_disk = self._chain is not None
        return self.show(model)

    def show(self, model: Model) -> Flow[None] | tuple[()]:
        """Show the model: the newest, if several turns were processed together."""
        is_new, self._shown = model is not self._shown, model
        wait = None if self._chain is None else self._chain.shown()
        if self._onlooker is not None:
            for published in self._on_published:
                published(model)
            self._onlooker.published()
        if self._view is not None and is_new:
            self._view(model)
        return () if wait is None else _one(wait)

    def tell_of_end(self, model: Model) -> None:
        """Called at the end of the run, however it ends: publish the turns that are on disk now."""
        if self._onlooker is not None:
            self._is_unseen = model is not self._shown
            for published in self._on_published:
                published(model)
            self._onlooker.published()
            self._is_final = True

    def show_last(self, model: Model) -> Flow[None]:
        """Show what the last turns have made, if the run ended before that and somebody looks on."""
        if not self._is_final:
            return
        if self._is_unseen and self._view is not None:
            self._view(model)
        if self._chain is not None and (wait := self._chain.shown()) is not None:
            yield wait


class OnDisk(Generic[Model, Msg]):
    """What those who wait for a run wait for: what is done is on disk, and shown. `flush` writes."""

    def __init__(
        self,
        loop: Loop[Model, Msg],
        cursor: JournalCursor[Msg],
        rules: FlushRules[Msg],
        publishing: Publishing[Model],
        flush: Callable[[], Flow[None]],
    ) -> None:
        self._loop = loop
        self._cursor = cursor
        self._rules = rules
        self._publishing = publishing
        self._flush = flush

    def place(self) -> Flow[None]:
        """Write what was sent and has no position before that."""
        if self._rules.has_staged:
            yield from self._flush()

    def commit(self) -> Flow[None]:
        """Write what is processed, and show it."""
        if self._rules.is_unwritten(self._cursor):
            yield from self._flush()
        yield from self._publishing.written(self._loop.model)


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
        self.saves = Saves(snapshots, publishing.written, waking, thread)  #: what writes its snapshots
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


def noting_effects(update: Callable[P, Step], note: Callable[[], object]) -> Callable[P, Step]:
    """Return the update that calls `note()` when it returns a command that does something which a replay would do again.

    What `note` raises is raised in the place of the step.
    """

    @wraps(update)
    def noted(*args: P.args, **kwargs: P.kwargs) -> Step:
        step = update(*args, **kwargs)
        if isinstance(step, tuple) and len(step) == 2 and step[1] is not _NONE and have_effects(step[1]):
            note()
        return step

    return noted


def have_effects(commands: object) -> bool:
    """Return whether commands do more than send messages and answer; what is not commands is for the loop to refuse."""
    return isinstance(commands, (list, tuple)) and any(type(each) not in _WITHOUT_EFFECT for each in commands)


def _one(wait: Wait) -> Flow[None]:
    yield wait


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
