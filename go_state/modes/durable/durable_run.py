"""A durable run: a program whose messages are in a journal and whose model in snapshots, and that goes on after any crash.

    lease ──▶ open the journal ──▶ beginning.py ──▶ live turns (feed.py) ──▶ last snapshot ──▶ flush, leave

Messages, the program's cursor and snapshots are written by the journal's flush, each together with what belongs to it: a turn's own
messages and the cursor that passes its message, a snapshot and the position it stands at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar

from go_state.core.errors import Closed, LeaseHeld
from go_state.core.migrations import checked_migrations
from go_state.core.program import Program
from go_state.middleware.chain import Chain
from go_state.modes.durable.beginning import Beginning
from go_state.modes.durable.dead_letters import DeadLetters
from go_state.modes.durable.entrance import Entrance
from go_state.modes.durable.feed import DurableFeed, Onlooker, Publishing, noting_effects
from go_state.modes.durable.restoring import load
from go_state.modes.durable.snapshot_writer import SnapshotWriter
from go_state.modes.keeping.filing import LetterWriter
from go_state.modes.keeping.keyframes import Keyframe
from go_state.modes.keeping.schema import StoredTypes, stored_types
from go_state.modes.keeping.waking import NeverWoken, Waking
from go_state.modes.settings import DurableSettings
from go_state.runtime.after_commit import Hooks, StopRequest
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.flow.waits import Blocking, Flow
from go_state.runtime.on_error import Failures, OnError
from go_state.runtime.steps import NotYet, Steps
from go_state.runtime.subscriptions.subscribed import Subscribed, subscribed
from go_state.runtime.turn import Loop
from go_state.storage.journal.journal import Journal
from go_state.storage.journal.reader import JournalCursor
from go_state.storage.records.lease import LeaseWait
from go_state.storage.records.records import PROGRAM
from go_state.storage.records.writes.wakes import WakeTimes
from go_state.system.own_thread import OwnThread
from go_state.system.timers import SystemClock

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class Opened(NamedTuple, Generic[Model, Msg]):
    """What a run goes on from: its reader, the newest snapshot, what was set aside, and the names of the commands that were running."""

    reader: JournalCursor[Msg]
    newest: Keyframe[Model] | None
    passed_over: frozenset[int]
    running: list[str]


class DurableRun(Generic[Model, Msg]):
    """One run of a journalled program; everything that influences it from elsewhere is given to its constructor.

    `chain` is the program's middleware. `on_error` decides on messages that fail and on commands that do. `onlooker` is called after
    turns. A `stop` request ends the run after the turn that is being processed.
    """

    def __init__(
        self,
        program: Program[Model, Msg],
        settings: DurableSettings,
        on_error: OnError,
        manager: EffectManager,
        *,
        on_loop: bool,
        chain: Chain[Model, Msg] | None,
        onlooker: Onlooker[Model] | None = None,
        stop: StopRequest | None = None,
    ) -> None:
        self._program = program
        self._settings = settings
        self._on_loop = on_loop
        types: StoredTypes[Model] = settings.types or stored_types(program)
        self._schema = types.schema
        self.journal: Journal[Msg] = settings.journal or settings.store.journal_unread(
            settings.key, durability=settings.durability, lease=settings.lease
        )
        self._own_thread = OwnThread(f"go_state disk {settings.key}")
        self.thread = settings.thread or self._own_thread  #: in which a run on an event loop uses the store
        self.given_up = LeaseWait()  #: ends the wait for the lease
        self.journal.kind.set(types.messages, program.schema, checked_migrations(program.schema, program.migrations))
        if not isinstance(manager.timers.clock, SystemClock):
            self.journal.writer.date_by(manager.timers.clock.time)
        self.entrance: Entrance[Msg] = Entrance(self.journal, on_loop=on_loop)
        self.manager = manager
        self._onlooker = onlooker
        self._stop = stop or StopRequest()
        self._publishing: Publishing[Model] = Publishing(program.view, onlooker, chain)
        letters = self._letter_writer()
        self._dead_letters = DeadLetters(self.journal, on_error, self._publishing.note_effects, letters)
        self._waking = Waking(settings.wake, self.journal.run_record, manager) if settings.wake is not None else NeverWoken()
        self._left = WakeTimes()  # when the run before had something to do by itself
        self._reader: JournalCursor[Msg] | None = None
        self.feed: DurableFeed[Model, Msg] | None = None
        self._is_live = False  # whether it has begun to take messages
        self.loop = self._loop(chain)

    def _letter_writer(self) -> LetterWriter[Msg]:
        journal, key = self.journal, self._settings.of_key
        return LetterWriter(
            self._program,
            source=f"journal {journal.name}",
            journal=journal.name,
            key=lambda _: key,
            place=lambda: f"journal {journal.journal_id}",  # one begun anew counts from 0 again, and has letters of its own
        )

    def _loop(self, chain: Chain[Model, Msg] | None) -> Loop[Model, Msg]:
        """Return the loop. Its turns are noted, and shown by the feed, which knows what is on disk."""
        steps: Steps[Model, Msg] = Steps.of(self._program) if chain is None else chain.steps(self._program)
        steps = replace(steps, update=noting_effects(steps.update, self._note_effects))
        middleware = None if chain is None else AtTurn(chain.turned)
        hooks = Hooks(subscribed(self._program.subscriptions, self.manager), middleware)
        # A message whose command has failed is not remembered as set aside: its turn stays, and replays repeat it.
        letters = self._dead_letters
        failures: Failures[Msg] = Failures(letters.decide, on_failure=letters.decide_on_command, lists=False, filing=letters)
        return Loop(steps, self.manager, hooks=hooks, failures=failures, after_rollback=self._onlooker, stop=self._stop)

    def _note_effects(self) -> None:
        """Called in a turn that does something which a replay would do again; `NotYet` if its message is not on disk."""
        if self.feed is not None and not self.feed.is_on_disk:
            raise NotYet
        self._publishing.note_effects()

    # ------------------------------------------------------------------ from the start to the end

    def flow(self) -> Flow[None]:
        """Load, replay, and run live until the journal is closed and drained."""
        held = False
        try:
            if not (yield from self._acquired()):
                return
            held = True
            opened = yield self._with_disk(self._open)  # first of all: there is one run of a program
            yield from self._run(self._feed(opened), opened)
            yield from self._leave()
            self._tell_of_lease(held=held)
        except GeneratorExit:
            self._let_go()  # whoever drives the flow drops it: nobody waits for a thread any more
            raise
        except BaseException as error:
            try:
                yield from self._leave()
            finally:
                self._tell_of_lease(held=held, is_lost=isinstance(error, LeaseHeld))
            raise

    def _tell_of_lease(self, *, held: bool, is_lost: bool = False) -> None:
        if held and self.manager.observation is not None:
            self.manager.observation.lease_over(is_lost=is_lost)

    def _acquired(self) -> Flow[bool]:
        """Wait for the lease of the journal; False if the app was asked to end first."""
        lease = self.journal.lease.queue.if_held if self._settings.lease is None else self._settings.lease
        observation = self.manager.observation
        since = 0.0 if observation is None else observation.now()
        try:
            yield Blocking(
                lambda: self.journal.lease.acquire(lease, given_up=self.given_up), self.thread, cancel=self.given_up.set
            )
        except Closed:
            if self._onlooker is None:
                raise
            return False
        if observation is not None:
            observation.lease_taken(since)
            self.journal.writer.observer = observation
        return True

    def _open(self) -> Opened[Model, Msg]:
        """Read what the run goes on from. Of a journal that has just begun nothing is read but the snapshot: there may be a stranger's."""
        self._left = self._waking.resume()  # before anything is written
        if not self.journal.journal_id:
            self.journal.writer.begin()
        self._reader = reader = self.journal.open(name=PROGRAM)
        newest = load(self._schema, self.journal, PROGRAM, self._settings.restore)
        self.journal.kind.warn_of_changes()
        passed_over = frozenset(self.journal.set_aside())
        return Opened(reader, newest, passed_over, self.journal.run_record.running())

    def _feed(self, opened: Opened[Model, Msg]) -> DurableFeed[Model, Msg]:
        reader, newest = opened.reader, opened.newest
        snapshots = SnapshotWriter(
            self._settings, self._schema, self._program.revision, self.journal, newest, self.manager.observation
        )
        self.feed = feed = DurableFeed(
            self.loop,
            reader,
            snapshots,
            self._publishing,
            self._dead_letters,
            self.journal,
            self._waking,
            thread=self.thread,
            on_loop=self._on_loop,
        )
        feed.passed_over = opened.passed_over
        feed.listen_to(self.manager)
        if self._onlooker is not None:
            self._onlooker.listen_to(feed)
        return feed

    def _run(self, feed: DurableFeed[Model, Msg], opened: Opened[Model, Msg]) -> Flow[None]:
        if self._is_stopping() or not (yield from self._begin(opened, feed)):
            return
        self._is_live = True
        yield from self.loop.live(feed)
        if not self.loop.stopped:
            yield from feed.saves.end(self.loop.model, feed.committed)

    def _begin(self, opened: Opened[Model, Msg], feed: DurableFeed[Model, Msg]) -> Flow[bool]:
        """Restore the model, or make the first one, and perform what belongs to that; False if a stop was requested meanwhile."""
        newest = opened.newest
        self._waking.go_on(self._left)
        self._subscribe_later(feed)
        beginning = Beginning(self._program, self.journal, self.manager, self.thread, self._is_stopping, on_loop=self._on_loop)
        observation = self.manager.observation
        since = 0.0 if observation is None else observation.now()
        begun = yield from beginning.model_at(feed.committed, newest, opened.running)
        if begun is None:
            return False
        if observation is not None and (newest is not None or feed.committed):
            observation.restored(feed.committed, feed.committed - (0 if newest is None else newest.position), since)
        model, sent = begun
        self.loop.model = model
        if newest is None or newest.revision != self._program.revision:
            yield from feed.saves.save(
                model, feed.committed, sent
            )  # turn 0, its messages with it; or the first model that today's update goes on from
        elif sent:
            feed.commit(sent)
        if self.manager.held:
            self.manager.begin()
        self.loop.follow(model)
        yield from self._publishing.written(model)
        return True

    def _subscribe_later(self, feed: DurableFeed[Model, Msg]) -> None:
        """Begin subscriptions when the messages are processed that were left: a time that is over may be what one of them is about."""
        if isinstance(inputs := self.manager.inputs, Subscribed):
            end = feed.committed + (0 if self._reader is None else self._reader.diff())
            inputs.wait_while(lambda: feed.last_position() + 1 < end)
            feed.inputs = inputs

    def _is_stopping(self) -> bool:
        """Return whether the app was asked to end, and not by a turn that is replayed, before the run has come to its first turn."""
        return self._stop.is_made and self.given_up.is_set()

    # ------------------------------------------------------------------ the end

    def _leave(self) -> Flow[None]:
        """Write what is processed, also when the run fails, and let go of the journal."""
        if self._is_live and self.feed is not None:
            self._waking.note(self.feed.committed)

        def leave() -> None:
            try:
                if self._is_live:
                    self.journal.flush()
            finally:
                self._let_go()

        yield self._with_disk(leave, certain=True)
        if self._is_live:
            self._publishing.tell_of_end(self.loop.model)

    def _let_go(self) -> None:
        if self._reader is None:
            self.journal.writer.let_go()
        else:
            self._reader.close()

    def show_last(self) -> Flow[None]:
        """Show what the last turns have made, if the run has ended before it came to that."""
        if self._is_live:
            yield from self._publishing.show_last(self.loop.model)

    async def end_thread(self) -> None:
        """End the thread, unless other runs share it."""
        await self._own_thread.aclose()

    def close_thread(self) -> None:
        """End the thread if no event loop is left to wait for it."""
        self._own_thread.close()

    def _with_disk(self, fn: Callable[[], object], *, certain: bool = False) -> Blocking:
        return Blocking(fn, self.thread, certain=certain)


class AtTurn(Generic[Model]):
    """A hook that is called at each turn, whether or not it is on disk."""

    def __init__(self, turned: Callable[[Model], object]) -> None:
        self._turned = turned

    def committed(self, model: Model) -> None:
        self._turned(model)
