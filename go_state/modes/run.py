"""Run: every message of a queue, until it is closed and drained."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from go_state.core.errors import UsageError
from go_state.core.ports import Consumer, Log, Producer, Reader, Store
from go_state.core.program import Program, takes_key
from go_state.middleware.chain import chain_of
from go_state.modes.limits import Retain, Snapshots
from go_state.runtime.after_commit import Hooks
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.effects.timers import Clock
from go_state.runtime.feeds.feed import Feed
from go_state.runtime.feeds.log_feed import LogFeed
from go_state.runtime.feeds.port_feed import PortFeed
from go_state.runtime.flow.driver import drive, drive_async, refuse_running_loop
from go_state.runtime.on_error import Failures, OnError, Raise
from go_state.runtime.replaying import Replaying
from go_state.runtime.resources import Effects, resources_of
from go_state.runtime.steps import Steps
from go_state.runtime.subscriptions import subscribed
from go_state.runtime.turn import Loop

if TYPE_CHECKING:
    from go_state.modes.durable.durable import DurableRun
    from go_state.storage.journal.writer import Durability
    from go_state.storage.records.lease import IfHeld

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def run(
    program: Program[Model, Msg],
    buffer: Log[Msg] | None = None,
    *,
    producer: Producer[Msg] | None = None,
    consumer: Consumer[Msg] | None = None,
    replaying: Callable[[], bool] | None = None,
    on_error: OnError = Raise(),
    store: Store | None = None,
    key: str | None = None,
    snapshots: Snapshots | None = None,
    durability: Durability | None = None,
    lease: IfHeld | None = None,
    restore: int | None = None,
    retention: Retain | None = None,
    env: object = None,
    effects: Effects | None = None,
    clock: Clock | None = None,
) -> Model:
    """Run the program in the calling thread until its queue is closed and drained, and return the last model.

    The queue is a `buffer`, read from its oldest message on, or a `producer` with `put` and a `consumer` with `get`, `commit`
    and `rollback`, whose end is `Closed`. While `replaying()` is true no command is performed and no view is shown. `on_error`
    says what becomes of a message that the program fails on: `Raise()`, `SetAside(buffer)` or a function that returns one.

    With a `store` and a `key` the run is durable: its queue is `store.journal(key)`, which is opened unless it is given as
    `buffer` (a journal that was closed already, to be drained, has to be given: another one would wait for messages). A run of a
    journal is always durable, and needs neither: the journal knows its store and its name. A message
    reaches update only once it is on disk, and after any crash the program goes on from its newest snapshot and the messages after
    it, which are replayed silently up to where it had come. `snapshots` says when to save besides at the end, `durability` when
    messages are committed to disk (see `Journal`), and `lease` whether to "fail" or "wait" while another process runs the program.
    The view is shown what is on disk: the newest model where several turns were committed together. Messages that were set aside
    are passed over for good.
    Where the newest snapshot is damaged, `restore` names the position of the earlier one to go on from. `retention` says which
    messages to keep that nobody needs any more; by default all.

    Commands that go on after their turn are performed as `effects` says; the run ends when none of them is under way, and cancels
    them when it fails. `env` is what they get from `gs.env`, and `clock` a `gs.testing.SimClock` for tests.

    Raises what `init`, `update`, `view`, a command or the queue raises, `ProgramError` for a step that is none, and `InsideLoop`
    in a thread whose event loop runs.
    """
    refuse_running_loop("run")
    how = (store, key, snapshots, durability, lease, restore, retention)
    manager = EffectManager(resources_of(env, effects, clock), on_loop=False)
    if is_durable(buffer, how):
        ports = (buffer, producer, consumer, replaying)
        durable = durable_run(program, ports, on_error, manager, False, *how)
        with manager:
            drive(durable.flow())
        return durable.loop.model
    loop: Loop[Model, Msg] = plain_loop(without_key(program, "run"), manager, Failures(on_error, lists=False), replaying)
    with Queue(buffer, producer, consumer, on_loop=False) as feed, manager:
        drive(loop.run(feed))
    return loop.model


async def run_async(
    program: Program[Model, Msg],
    buffer: Log[Msg] | None = None,
    *,
    producer: Producer[Msg] | None = None,
    consumer: Consumer[Msg] | None = None,
    replaying: Callable[[], bool] | None = None,
    on_error: OnError = Raise(),
    store: Store | None = None,
    key: str | None = None,
    snapshots: Snapshots | None = None,
    durability: Durability | None = None,
    lease: IfHeld | None = None,
    restore: int | None = None,
    retention: Retain | None = None,
    env: object = None,
    effects: Effects | None = None,
    clock: Clock | None = None,
) -> Model:
    """Run the program on the running event loop, as `run` does in a thread.

    `update`, commands and the view are called on the loop, which is given back every few milliseconds, between messages. Of a
    custom producer and consumer `put_async`, `get_async`, `commit_async` and `rollback_async` are preferred where they exist;
    what the methods return is awaited if it can be.
    """
    how = (store, key, snapshots, durability, lease, restore, retention)
    manager = EffectManager(resources_of(env, effects, clock), on_loop=True)
    if is_durable(buffer, how):
        ports = (buffer, producer, consumer, replaying)
        durable = durable_run(program, ports, on_error, manager, True, *how)
        try:
            async with manager:
                await drive_async(durable.flow())
        finally:
            await durable.end_thread()
        return durable.loop.model
    loop: Loop[Model, Msg] = plain_loop(without_key(program, "run"), manager, Failures(on_error, lists=False), replaying)
    async with Queue(buffer, producer, consumer, on_loop=True) as feed, manager:
        await drive_async(loop.run(feed))
    return loop.model


class Folding(Protocol[Model, Msg]):
    """What has models to begin from: it folds that around a program's steps, and hears of commits in its own way."""

    def steps(self, own: Steps[Model, Msg], /) -> Steps[Any, Msg]:
        """Return the steps to take, made of the program's own."""
        ...

    def hooks(self, own: Hooks, /) -> Hooks:
        """Return what is called after a commit of those steps, made of what is called with the program's models."""
        ...


def plain_loop(
    program: Program[Model, Msg],
    manager: EffectManager,
    failures: Failures[Msg],
    replaying: Callable[[], bool] | None,
    kept: Folding[Model, Msg] | None = None,
) -> Loop[Any, Msg]:
    """Return the loop of a program that nobody but its own view looks at, from the models of `kept` if that is given."""
    chain, subscriptions = chain_of(program), program.subscriptions
    steps: Steps[Any, Msg] = Steps.of(program) if chain is None else chain.steps(program)
    gate: Replaying[Any, Msg] | None = None if replaying is None else Replaying(replaying)
    if gate is not None and subscriptions is not None:
        subscriptions = gate.subscriptions(subscriptions)
    hooks = Hooks(subscribed(subscriptions, manager), chain, view=program.view)
    if kept is not None:
        steps, hooks = kept.steps(steps), kept.hooks(hooks)
    if gate is not None:
        steps, hooks = gate.steps(steps), hooks.muted(gate.is_muted)
    return Loop(steps, manager, hooks=hooks, failures=failures)


def durable_run(
    program: Program[Model, Msg],
    ports: tuple[Any, ...],
    on_error: OnError,
    manager: EffectManager,
    on_loop: bool,
    store: Any,
    key: Any,
    *how: Any,
) -> DurableRun[Model, Msg]:
    """Return the durable run of these arguments, or raise `UsageError`."""
    from go_state.modes.durable.durable import Durable, DurableRun  # here: a program that stores nothing need not wait for them
    from go_state.storage.journal.journal import Journal

    buffer, *others = ports
    if isinstance(buffer, Journal):  # which knows both
        store, key = buffer.store if store is None else store, buffer.name if key is None else key
    if store is None or key is None:
        raise UsageError(
            "a durable run has both a store= and a key=, which names its journal and snapshots; other runs keep nothing"
        )
    if any(other is not None for other in others):
        raise UsageError("a durable run reads its own journal: leave producer=, consumer= and replaying= out")
    if buffer is not None and not (isinstance(buffer, Journal) and buffer.name == key):
        raise UsageError(f"the queue of a durable run is its journal: leave it out, or give store.journal({key!r})")
    snapshots, *rest = how
    durable = Durable(buffer, store, key, Snapshots() if snapshots is None else snapshots, *rest)
    return DurableRun(without_key(program, "run"), durable, on_error, manager, on_loop=on_loop)


def is_durable(buffer: object, how: tuple[Any, ...]) -> bool:
    """Tell whether a run of this queue, with these arguments that only a durable run has, is durable."""
    journals = sys.modules.get("go_state.storage.journal.journal")  # whoever has a journal has imported it
    return any(argument is not None for argument in how) or (journals is not None and isinstance(buffer, journals.Journal))


def checked(program: Program[Model, Msg]) -> Program[Model, Msg]:
    """Return the program, or raise `UsageError` when it is none."""
    if not isinstance(program, Program):
        raise UsageError(f"the first argument is a gs.Program(init, update), not a {type(program).__qualname__}")
    return program


def without_key(program: Program[Model, Msg], called: str) -> Program[Model, Msg]:
    """Return a program whose init is called without a key, or raise `UsageError`."""
    if takes_key(checked(program)):
        raise UsageError(f"the program's init takes a key, and {called} has none to give: use aggregate with key=")
    return program


class Queue(Generic[Msg]):
    """The feed of a buffer, or of a producer and a consumer, for the length of a `with` block."""

    def __init__(
        self, buffer: Log[Msg] | None, producer: Producer[Msg] | None, consumer: Consumer[Msg] | None, *, on_loop: bool
    ) -> None:
        self._opened: Any = None  # a Reader of our own, which is a context manager as well
        self.feed: Feed[Msg]
        if buffer is not None:
            if producer is not None or consumer is not None:
                raise UsageError("give a buffer, or a producer and a consumer, not both")
            if not isinstance(buffer, Log):
                raise UsageError(f"a {type(buffer).__qualname__} is no buffer: give a gs.Buffer, or producer= and consumer=")
            self._opened = buffer.consumer()
            self.feed = LogFeed(self._opened, on_loop=on_loop)
        elif isinstance(producer, Producer) and isinstance(consumer, Consumer):
            self.feed = feed_of(producer, consumer, on_loop=on_loop)
        else:
            raise UsageError("the queue is a buffer, or a producer= with put and a consumer= with get, commit and rollback")

    def __enter__(self) -> Feed[Msg]:
        return self.feed

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(self.feed, PortFeed):
            self.feed.close()
        if self._opened is not None:
            self._opened.close()

    async def __aenter__(self) -> Feed[Msg]:
        return self.feed

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self.feed, PortFeed):
            await self.feed.close_async()
        if self._opened is not None:
            await self._opened.aclose()


def feed_of(producer: Producer[Msg], consumer: Consumer[Msg], *, on_loop: bool) -> LogFeed[Msg] | PortFeed[Msg]:
    """Return the feed of a log where both are of one log, and the one of two ports otherwise."""
    if isinstance(consumer, Reader) and consumer.belongs_to(producer):
        return LogFeed(consumer, on_loop=on_loop)
    return PortFeed(producer, consumer, on_loop=on_loop)
