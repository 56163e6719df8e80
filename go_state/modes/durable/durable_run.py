"""A durable run: a program whose messages are in a journal and whose model in snapshots, and that goes on after any crash.

    lease ──▶ open the journal ──▶ beginning.py ──▶ live turns (feed.py) ──▶ last snapshot ──▶ flush, leave

Messages, the program's cursor and snapshots are written by the journal's flush, each together with what belongs to it: a turn's own
messages and the cursor that passes its message, a snapshot and the position it stands at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from go_state.core.errors import Closed
from go_state.core.migrations import checked_migrations
from go_state.core.program import Program
from go_state.middleware.chain import Chain, Folded
from go_state.modes.app.observers import Stopped
from go_state.modes.durable.beginning import Beginning
from go_state.modes.durable.dead_letters import DeadLetters
from go_state.modes.durable.entrance import Entrance
from go_state.modes.durable.feed import DurableFeed
from go_state.modes.durable.publishing import Audience, Publishing, noting_effects
from go_state.modes.durable.restoring import load
from go_state.modes.durable.snapshot_writer import SnapshotWriter
from go_state.modes.keeping.keyframes import Keyframe
from go_state.modes.keeping.schema import StoredTypes, stored_types
from go_state.modes.settings import DurableSettings
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.effects.timers import SystemClock
from go_state.runtime.flow.driver import Blocking, Flow
from go_state.runtime.on_error import OnError, Raise, SetAside, decide
from go_state.runtime.turn import Loop
from go_state.storage.journal.journal import Journal
from go_state.storage.journal.reader import JournalCursor
from go_state.storage.records.lease import LeaseWait
from go_state.storage.records.records import PROGRAM
from go_state.system.own_thread import OwnThread

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class DurableRun(Generic[Model, Msg]):
    """One run of a journalled program; what it can be told from outside is given when it is made.

    `on_error` decides on messages, and `on_failure`, by default the same, on commands whose turn is processed. `audience` is told
    of the turns of an app.
    """

    def __init__(
        self,
        program: Program[Model, Msg],
        settings: DurableSettings,
        on_error: OnError,
        manager: EffectManager,
        *,
        on_loop: bool,
        on_failure: OnError | None = None,
        audience: Audience[Model] | None = None,
        idle_seconds: float | None = None,
        idled: Callable[[], object] | None = None,
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
        self._dead_letters = DeadLetters(self.journal, on_error)
        self._on_failure = on_failure or on_error
        self.manager = manager
        self._audience = audience
        self._idle_seconds = idle_seconds
        self._idled = idled
        self.chain: Chain[Model, Msg] | None = Chain(program) if program.middleware else None
        self._publishing: Publishing[Model, Msg] = Publishing(program.view, audience, self.chain)
        self._reader: JournalCursor[Msg] | None = None
        self.feed: DurableFeed[Model, Msg] | None = None
        self._is_live = False  # whether it has begun to take messages
        self.loop = self._loop()

    def _loop(self) -> Loop[Model, Msg]:
        program, audience, chain = self._program, self._audience, self.chain
        update: Any = noting_effects(program.update, self._publishing.note_effects)  # of either arity
        turned = None if audience is None else audience.turned
        if chain is not None:
            update = Folded(chain.update, program.update, chain.roll_back)
            turned = chain.turned if audience is None else audience.turned
        # The program's own view is called by the feed, which knows what is on disk.
        wired = Program(program.init, update, view=turned, subscriptions=program.subscriptions)
        loop: Loop[Model, Msg] = Loop(
            wired, self.manager, on_error=self._dead_letters.decide, on_failure=self._decide_on_failure, lists=False
        )
        if audience is not None:
            loop.undone = audience.undone
        return loop

    def _decide_on_failure(self, message: Msg, position: object, error: Exception) -> Raise | SetAside[Msg]:
        """Decide what becomes of a message whose command has failed: its turn is processed, and replays repeat it."""
        return decide(self._on_failure, message, position, error) or Raise()

    # ------------------------------------------------------------------ from the start to the end

    def flow(self) -> Flow[None]:
        """Load, replay, and run live until the journal is closed and drained."""
        try:
            if not (yield from self._acquired()):
                return
            reader, newest, passed_over = yield self._with_disk(self._open)  # first of all: there is one run of a program
            yield from self._run(self._feed(reader, newest, passed_over), newest)
            yield from self._leave()
        except GeneratorExit:
            self._let_go()  # whoever drives the flow drops it: nobody waits for a thread any more
            raise
        except BaseException:
            yield from self._leave()
            raise

    def _acquired(self) -> Flow[bool]:
        """Wait for the lease of the journal; False if the app was asked to end first."""
        lease = self._settings.lease or self.journal.lease.queue.if_held
        try:
            yield Blocking(
                lambda: self.journal.lease.acquire(lease, given_up=self.given_up), self.thread, cancel=self.given_up.set
            )
        except Closed:
            if self._audience is None:
                raise
            return False
        return True

    def _open(self) -> tuple[JournalCursor[Msg], Keyframe[Model] | None, frozenset[int]]:
        """Return the program's reader, the newest snapshot, and the positions of the messages that were set aside."""
        if not self.journal.journal_id:
            self.journal.writer.begin()
        self._reader = reader = self.journal.open(name=PROGRAM)
        newest = load(self._schema, self.journal, PROGRAM, self._settings.restore)
        self.journal.kind.warn_of_changes()
        return reader, newest, frozenset(self.journal.set_aside())

    def _feed(
        self, reader: JournalCursor[Msg], newest: Keyframe[Model] | None, passed_over: frozenset[int]
    ) -> DurableFeed[Model, Msg]:
        snapshots = SnapshotWriter(self._settings, self._schema, self._program.revision, self.journal, newest)
        self.feed = feed = DurableFeed(
            self.loop,
            reader,
            snapshots,
            self._publishing,
            self._dead_letters,
            self.journal,
            thread=self.thread,
            on_loop=self._on_loop,
        )
        feed.passed_over = passed_over
        feed.listen_to(self.manager)
        if self._audience is not None:
            self._audience.where = feed.where
            feed.idle_seconds = self._idle_seconds
            feed.idled = self._idled or feed.idled
        return feed

    def _run(self, feed: DurableFeed[Model, Msg], newest: Keyframe[Model] | None) -> Flow[None]:
        self._check_stopping()
        yield from self._begin(newest, feed)
        self._is_live = True
        yield from self.loop.live(feed)
        yield from feed.end()

    def _begin(self, newest: Keyframe[Model] | None, feed: DurableFeed[Model, Msg]) -> Flow[None]:
        beginning = Beginning(
            self._program, self.journal, self.manager, self.thread, self._check_stopping, on_loop=self._on_loop
        )
        model, sent = yield from beginning.model_at(feed.position, newest)
        self.loop.model = model
        if newest is None or newest.revision != self._program.revision:
            yield from feed.save(sent)  # turn 0, its messages with it; or the first model that today's update goes on from
        elif sent:
            feed.settle(sent)
        if self.manager.held:
            self.manager.begin()
        self.loop.follow(model)
        yield from self._publishing.written(model)

    def _check_stopping(self) -> None:
        """End the run if its app was asked to end, and not by a turn that is replayed, before it has come to its first turn."""
        if self._audience is not None and self._audience.stopping and self.given_up.is_set():
            raise Stopped

    # ------------------------------------------------------------------ the end

    def _leave(self) -> Flow[None]:
        """Write what is processed, also when the run fails, and let go of the journal."""

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
