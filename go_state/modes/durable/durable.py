"""Durable runs: a program whose messages lie in a journal and whose model in snapshots, and that goes on after any crash.

    newest snapshot ──▶ replay, silently, to where the program had come ──▶ on_restore ──▶ live

Messages, the program's cursor and snapshots are written by the journal's flush, each together with what belongs to it: a turn's own
messages and the cursor that passes its message, a snapshot and the position it stands at.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from go_state.core.errors import Closed, Incompatible, TimedOut, UsageError
from go_state.core.program import Program, read_step
from go_state.core.turn import Turn
from go_state.middleware.chain import chain_of, replayed
from go_state.modes.durable.aside import Aside
from go_state.modes.durable.entrance import Entrance
from go_state.modes.durable.replaying import replay_flow
from go_state.modes.durable.restoring import load
from go_state.modes.durable.resuming import positions_under_way, resume_flow
from go_state.modes.durable.saving import Saving
from go_state.modes.keeping.keyframes import MARK, Keyframe, set_message_type
from go_state.modes.keeping.schema import schema_of
from go_state.modes.limits import Retain, Snapshots
from go_state.runtime.after_commit import Hooks, StopRequest
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.effects.timers import SystemClock
from go_state.runtime.feeds.log_feed import CHUNK_LIMIT, LogFeed
from go_state.runtime.flow.waits import Answer, Blocking, Flow, Messages
from go_state.runtime.on_error import FailedMessage, Failures, OnError, Raise, SetAside, check_on_error, decide
from go_state.runtime.steps import Steps
from go_state.runtime.subscriptions import subscribed
from go_state.runtime.turn import Loop
from go_state.storage.backends.record_store import RecordStore
from go_state.storage.journal.journal import Journal
from go_state.storage.journal.reader import JournalConsumer
from go_state.storage.records.block import BLOCK, Snapshot
from go_state.storage.records.parts import InParts
from go_state.storage.records.records import PROGRAM
from go_state.storage.snapshots.snapshot import Mark, Schema
from go_state.system.own_thread import OwnThread

Model = TypeVar("Model")
Msg = TypeVar("Msg")


_NOTHING: Any = object()  # which no model is


class Durable(NamedTuple):
    """Where and how a durable run is kept: the arguments of `run` that concern it."""

    journal: Journal[Any] | None
    store: RecordStore
    key: str
    snapshots: Snapshots
    durability: Any
    lease: Any
    restore: int | None
    retention: Retain | None
    thread: OwnThread | None = None  # of several runs on an event loop; each has one of its own otherwise


def _check(durable: Durable) -> None:
    """Raise `UsageError` for an argument that is none."""
    if not isinstance(durable.store, RecordStore):
        raise UsageError(
            f"a durable run is kept in an open gs.LMDBStore or gs.PostgresStore, not in a {type(durable.store).__qualname__}"
        )
    if durable.journal is not None and durable.journal.store is not durable.store:
        raise UsageError("the journal lies in another store than store=: give store.journal(key)")
    if not isinstance(durable.snapshots, Snapshots):
        raise UsageError(f"snapshots= is a gs.Snapshots(every=..., seconds=...), not a {type(durable.snapshots).__qualname__}")
    if not isinstance(durable.retention, (Retain, type(None))):
        raise UsageError(f"retention= is a gs.Retain(...), not a {type(durable.retention).__qualname__}")
    if durable.restore is not None and (not isinstance(durable.restore, int) or durable.restore < 0):
        raise UsageError(f"restore= is the position of a snapshot that was kept, not {durable.restore!r}")
    if not isinstance(durable.key, str):
        raise UsageError(f"key= is the name of the program's journal and snapshots, not a {type(durable.key).__qualname__}")


class Onlooker(Protocol):
    """Whoever looks at a durable run, such as an app: told of each turn, and of what is on disk."""

    @property
    def stop(self) -> StopRequest:
        """The request to end after the turn that is being taken."""
        ...

    def listen_to(self, feed: LogFeed[Any], /) -> None:
        """Called before the first turn, with the feed, which knows the position of the turn that is being taken."""
        ...

    def committed(self, model: Any, /) -> None:
        """Called after each turn, which may not be on disk yet."""
        ...

    def rolled_back(self, error: BaseException, /, *, ends: bool) -> None:
        """Called after a turn was rolled back; see `AfterRollback`."""
        ...

    def published(self, model: Any, /) -> None:
        """Called with the newest model that is on disk."""
        ...


class DurableRun(Generic[Model, Msg]):
    """One run of a journalled program."""

    def __init__(
        self, program: Program[Model, Msg], durable: Durable, on_error: OnError, manager: EffectManager, *, on_loop: bool
    ) -> None:
        _check(durable)
        self._program = program
        self._durable = durable
        self._on_loop = on_loop
        self._schema: Schema[Model] = schema_of(program, None)
        self.journal: Journal[Msg] = durable.journal or durable.store.journal_unread(
            durable.key, durability=durable.durability, lease=durable.lease
        )
        self._own_thread = OwnThread(f"go_state disk {durable.key}")
        self.thread = durable.thread or self._own_thread  #: in which a run on an event loop uses the store
        self.given_up = threading.Event()  #: ends the wait for the lease
        self._is_live = False  # whether it has begun to take messages
        set_message_type(self.journal, program)
        if not isinstance(manager.timers.clock, SystemClock):
            self.journal.date_by(manager.timers.clock.time)
        self.entrance: Entrance[Msg] = Entrance(self.journal, on_loop=on_loop)
        check_on_error(on_error)
        self._on_error = on_error
        self.manager = manager
        self.onlooker: Onlooker | None = None
        self._reader: JournalConsumer[Msg] | None = None
        self.feed: DurableFeed[Model, Msg] | None = None
        self.chain = chain_of(program)
        self._stands = False  # whether the last flush of the run is done
        self._unshown = False  # whether the view has not seen the last model by then
        self._stop = StopRequest()
        self._make_loop()

    def _make_loop(self) -> None:
        """Make the loop. What is on disk is shown by the feed: to middleware after its yield, the onlooker and the view."""
        steps: Steps[Model, Msg] = Steps.of(self._program) if self.chain is None else self.chain.steps(self._program)
        middleware = None if self.chain is None else AtTurn(self.chain.turned)
        hooks = Hooks(subscribed(self._program.subscriptions, self.manager), middleware, self.onlooker)
        # A message whose command has failed is not recorded as set aside: its turn stays, and replays repeat it.
        failures: Failures[Msg] = Failures(self._recorded, on_failure=self._on_error, lists=False)
        self.loop: Loop[Model, Msg] = Loop(
            steps, self.manager, hooks=hooks, failures=failures, after_rollback=self.onlooker, stop=self._stop
        )

    def _recorded(self, message: Msg, position: Any, error: Exception) -> Any:
        """Decide what becomes of a failing message, and have it remembered where it is set aside."""
        policy = decide(self._on_error, message, position, error)
        return Raise() if policy is None else SetAside(Aside(self.journal, position, error, policy.buffer))

    def flow(self) -> Flow[None]:
        """Load, replay, and run live until the journal is closed and drained."""
        if self.onlooker is not None:
            self._stop = self.onlooker.stop
            self._make_loop()
        try:
            if not (yield from self._taken()):
                return
            yield self.with_disk(self._open)  # first of all: there is one run of a program
            assert self._reader is not None
            yield from self._run(self._reader)
            yield from self._left()
        except GeneratorExit:
            self._let_go()  # whoever drives the flow drops it: nobody waits for a thread any more
            raise
        except BaseException:
            yield from self._left()
            raise

    async def end_thread(self) -> None:
        """End the thread, unless it is that of other runs as well."""
        await self._own_thread.aclose()

    def close_thread(self) -> None:
        """End the thread where no event loop is left to wait for it."""
        self._own_thread.close()

    def with_disk(self, fn: Callable[[], Any], *, certain: bool = False) -> Blocking:
        """Return the wait for a function that uses the store."""
        return Blocking(fn, self.thread, certain=certain)

    def _taken(self) -> Flow[bool]:
        """Wait for the lease of the journal; False where the app was asked to end first."""
        lease = self._durable.lease or self.journal.if_held
        try:
            yield Blocking(lambda: self.journal.acquire(lease, given_up=self.given_up), self.thread, cancel=self.given_up.set)
        except Closed:
            if self.onlooker is None:
                raise
            return False
        return True

    def _open(self) -> None:
        if not self.journal.journal_id:
            self.journal.begin()
        self._reader = self.journal.consumer(name=PROGRAM)

    def _let_go(self) -> None:
        if self._reader is None:
            self.journal.let_go()
        else:
            self._reader.close()

    def _left(self) -> Flow[None]:
        """Write what is through, also when the run fails, and let go of the journal."""

        def leave() -> None:
            try:
                if self._is_live:
                    self.journal.flush()
            finally:
                self._let_go()

        yield self.with_disk(leave, certain=True)
        if self._is_live and self.onlooker is not None and self.feed is not None:
            # The turns that are on disk now stay, whatever the run ends by: those who wait for them wait no longer.
            self._unshown = not self.feed.has_shown(self.loop.model)
            self.onlooker.published(self.loop.model)
            self._stands = True

    def show_last(self) -> Flow[None]:
        """Show what the last turns have made, where the run has ended before it came to that."""
        if not self._stands:
            return
        if self._unshown and self._program.view is not None:
            self._program.view(self.loop.model)
        if self.chain is not None and (waits := self.chain.shown()) is not None:
            yield waits

    def _run(self, reader: JournalConsumer[Msg]) -> Flow[None]:
        keyframe, aside = yield self.with_disk(self._look_back)
        self.feed = feed = DurableFeed(self, reader, keyframe, aside, on_loop=self._on_loop)
        feed.listen_to(self.manager)
        if self.onlooker is not None:
            self.onlooker.listen_to(feed)
        if self._is_stopping() or not (yield from self._begin(keyframe, feed)):
            return
        self._is_live = True
        yield from self.loop.live(feed)
        if not self.loop.stopped:
            yield from feed.end()

    def _is_stopping(self) -> bool:
        """Return whether the app was asked to end, and not by a turn that is replayed, before the run has come to its first turn."""
        return self._stop.is_made and self.given_up.is_set()

    def _look_back(self) -> tuple[Keyframe[Model] | None, set[int]]:
        """Return the newest snapshot and the positions of the messages that were set aside."""
        keyframe = self._load()
        self.journal.warn_of_changes()
        return keyframe, set(self.journal.set_aside())

    def _load(self) -> Keyframe[Model] | None:
        return load(self._schema, self.journal, PROGRAM, self._durable.restore)

    def _begin(self, keyframe: Keyframe[Model] | None, feed: DurableFeed[Model, Msg]) -> Flow[bool]:
        """Restore the model, or make the first one, and perform what belongs to that; False if a stop was requested meanwhile."""
        program, journal = self._program, self.journal
        if keyframe is None:
            start = yield self.with_disk(lambda: journal.statistics().start)
            if start:
                raise UsageError(f"the journal {journal.name!r} begins at {start} and no snapshot covers what was before it")
            model, commands = read_step(program.init(), "init")
        else:
            model, commands = keyframe.model, ()
        applied = feed.position
        first = 0 if keyframe is None else keyframe.position
        yield self.with_disk(journal.flush)
        model = yield from self._folded(replayed(program), model, first, applied)
        if self._is_stopping():
            return False
        manager = self.manager
        manager.note_in(journal)
        yield from self._resume(applied, begun=keyframe is not None or applied > first)
        if self._is_stopping():
            return False
        name = "init"
        if keyframe is not None or applied > first:
            commands = () if program.on_restore is None else program.on_restore(model)
            name = f"restore/{applied}"
        manager.names.name_turns(lambda: f"{journal.journal_id}/{name}")
        sent = manager.perform(commands)
        manager.names.name_turns(lambda: f"{journal.journal_id}/{manager.names.where()}")
        self.loop.model = model
        if keyframe is None or keyframe.revision != program.revision:
            yield from feed.save(sent)  # turn 0, its messages with it; or the first model that today's update goes on from
        elif sent:
            feed.commit(sent)
        if manager.held:
            manager.begin()
        self.loop.follow(model)
        yield from feed.publish()
        return True

    def _folded(self, program: Program[Any, Any], model: Any, start: int, end: int) -> Flow[Any]:
        """Replay the messages from `start` to before `end`, silently."""
        thread = self.thread if self._on_loop else None
        return (yield from replay_flow(program, self.journal, model, start, end, thread=thread, is_stopping=self._is_stopping))

    def _resume(self, applied: int, *, begun: bool) -> Flow[None]:
        """Hold the commands again that were under way when the last run ended; `begun` tells whether turn 0 is through."""
        yield from resume_flow(
            self._program, self.journal, self.manager, applied, self.with_disk, self._folded, self._is_stopping, begun=begun
        )


class AtTurn:
    """A hook that is called at each turn, whether or not it is on disk."""

    def __init__(self, turned: Callable[[Any], object]) -> None:
        self._turned = turned

    def committed(self, model: object) -> None:
        self._turned(model)


class DurableFeed(LogFeed[Msg], Generic[Model, Msg]):
    """The feed of a durable run: between two chunks it flushes what has to be on disk, saves, and shows the model."""

    def __init__(
        self,
        run: DurableRun[Model, Msg],
        reader: JournalConsumer[Msg],
        keyframe: Keyframe[Model] | None,
        aside: set[int],
        *,
        on_loop: bool,
    ) -> None:
        super().__init__(reader, on_loop=on_loop)
        self.thread = run.thread
        self._cursor = reader
        self._run = run
        self._journal = run.journal
        self._snapshots = run._durable.snapshots
        self._aside = aside
        self._saving: Saving[Model] | None = None  # the save under way
        self._saved = keyframe
        self._saved_at = time.monotonic()
        self._shown: Any = _NOTHING
        self._version = 0 if keyframe is None else keyframe.version

    @property
    def position(self) -> int:
        """The position of the first message that is not through."""
        committed: int = self._reader.committed
        return committed

    def take(self) -> Flow[Iterator[Msg] | None]:
        """Give the next messages, with None in the place of those that were set aside."""
        self._commit((), self._given())
        if self._saving is not None or self._save_due():
            yield from self._go_on_saving()
        self._most = max(self._until_save(), 1)  # overdue where a large model was being saved: one begins next
        if self._journal.needs_flush(self._cursor):
            yield self._run.with_disk(self._journal.flush)
        if not self._cursor.has_moved():
            yield from self.publish()
        messages = yield from self._readable()
        if self._aside and messages is not None:
            return self._without_those_set_aside(messages)
        return messages

    def _readable(self) -> Flow[Iterator[Msg] | None]:
        """Give the next messages; one that cannot be read is set aside, if on_error says so, before it is decoded."""
        while True:
            try:
                return (yield from super().take())
            except Incompatible as error:  # of the message that the reader stands at
                position = self._cursor.position
                undecoded = yield self._run.with_disk(partial(self._journal.undecoded, position))
                failed = FailedMessage(undecoded, position, error)
                policy = decide(self._run._on_error, failed.message, position, error)
                if policy is None:
                    raise
                taken = Aside(self._journal, position, error, policy.buffer).put(failed)
                yield Answer(taken, "the put of SetAside's buffer")

    def _without_those_set_aside(self, messages: Iterator[Msg]) -> Iterator[Msg]:
        nothing: Any = None  # what a turn passes over, as everywhere
        aside = self._aside
        # No call between the messages and the yield, so that Ctrl-C finds a message given or not given.
        for position, message in enumerate(messages, self.last_position() + 1):
            yield nothing if position in aside else message

    def turn(self) -> Turn:
        """Return the turn as every replay will see it."""
        return self._journal.turn(self.last_position())

    # ------------------------------------------------------------------ what a flush takes along

    def _since_save(self) -> int:
        return self.position - (0 if self._saved is None else self._saved.position)

    def _save_due(self) -> bool:
        seconds = self._snapshots.seconds
        late = seconds is not None and time.monotonic() >= self._saved_at + seconds
        return self._since_save() > 0 and (late or self._until_save() <= 0)

    def _until_save(self) -> int:
        """Return how many messages there may be in a chunk for the next snapshot to stand where it has to."""
        every = self._snapshots.every
        return CHUNK_LIMIT if every is None or self._saving is not None else min(CHUNK_LIMIT, every - self._since_save())

    def _idle(self) -> Flow[None]:
        """Wait for messages, but no longer than until the next snapshot is due; one that is under way is gone on with instead."""
        if self._saving is not None:
            yield from self._go_on_saving()
            return
        seconds = self._snapshots.seconds
        if seconds is None or not self._since_save():
            yield from super()._idle()
            return
        left = self._run.manager.left(self._is_drained)
        due = max(self._saved_at + seconds - time.monotonic(), 0)
        try:
            yield Messages(self._reader, due if left is None else min(due, left))
        except TimedOut:
            self._run.manager.inbox.is_awaited = False
            if self._save_due():
                yield from self.save()
        finally:
            self._run.manager.inbox.is_awaited = False

    def save(self, messages: Sequence[Msg] = ()) -> Flow[None]:
        """Write a snapshot of the model and all that a flush writes, and with them, or not at all, the messages."""
        if self._saving is None or self._saving.position != self.position:
            self._begin_saving()
        while not (yield self._run.with_disk(lambda: self._save_a_slice(messages))):
            pass
        yield from self.publish()

    def _go_on_saving(self) -> Flow[None]:
        """Save for a few milliseconds: a small model whole, and of a large one as much as there is time for between two turns."""
        if self._saving is None:
            self._begin_saving()
        if (yield self._run.with_disk(self._save_a_slice)):
            yield from self.publish()

    def _begin_saving(self) -> None:
        run, position = self._run, self.position
        marks = {MARK: Mark(position, self._journal.journal_id)}
        self._saving = Saving(run._schema, self._journal, run._durable.key, run.loop.model, position, marks)

    def _save_a_slice(self, messages: Sequence[Msg] = ()) -> bool:
        """Go on with the save; tell whether it is done."""
        saving, self._saving = self._saving, None  # one that fails is not gone on with
        if saving is None:
            return True
        data = saving.go_on()
        if data is None:
            self._saving = saving
            return False
        self._saved_as(saving, data, messages)
        return True

    def _saved_as(self, saving: Saving[Model], data: bytes | InParts, messages: Sequence[Msg]) -> None:
        run, position = self._run, saving.position
        run._schema.remember_types(run._durable.store)
        replaces = None if self._saved is None else self._saved.position
        keep, needed = self._snapshots.keep, min([position, *positions_under_way(self._journal)])
        snapshot = Snapshot(run._durable.key, position, data, self._version, replaces, keep, needed)
        self._version = self._journal.snapshot(snapshot, messages)
        self._forget(position)
        self._saved, self._saved_at = Keyframe(position, saving.model, self._version, run._program.revision), time.monotonic()

    def _forget(self, covered: int) -> None:
        """Drop the messages that a snapshot covers, every cursor has passed and the retention does not ask for."""
        retain, journal, durable = self._run._durable.retention, self._journal, self._run._durable
        if retain is None:
            return
        before = min([covered, *durable.store.keyframes(durable.key)])
        if (slowest := journal.slowest()) is not None:
            before = min(before, slowest)
        if retain.messages is not None:
            before = min(before, covered - retain.messages)
        if retain.seconds is not None:
            before = min(before, journal.entered_by(retain.seconds))
        if before - journal.statistics().start >= BLOCK:  # a transaction for a block's worth at least
            journal.truncate(before)

    def publish(self) -> Flow[None]:
        """Show the view the model, now that it is on disk: the newest, where several turns were flushed together."""
        run = self._run
        model, view, onlooker = run.loop.model, run._program.view, run.onlooker
        is_new, self._shown = model is not self._shown, model
        wait = None if run.chain is None else run.chain.shown()
        if onlooker is not None:
            onlooker.published(model)
        if view is not None and is_new:
            view(model)
        if wait is not None:
            yield wait

    def has_shown(self, model: Model) -> bool:
        """Return whether the view was shown this model last."""
        return model is self._shown

    def end(self) -> Flow[None]:
        """Save what has changed since the last snapshot."""
        if self._saved is None or self._saved.position != self.position:
            yield from self.save()
        else:
            yield from self.publish()
