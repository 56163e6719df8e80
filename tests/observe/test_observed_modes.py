"""Every mode tells its observers what it does: each event, in order, with what it says."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from observe_support import SECRET, Add, Do, Fail, Kept, Model, Msg, program

import go_state as gs
from go_state.observe import (
    CommandCancelled,
    CommandDone,
    CommandFailed,
    CommandRetried,
    CommandStarted,
    Flush,
    LeaseReleased,
    LeaseTaken,
    MessageSetAside,
    Restored,
    RunEnded,
    RunStarted,
    SnapshotSaved,
    SubscriptionEnded,
    SubscriptionStarted,
    Turn,
    TurnFailed,
)

LONG = 20.0


def add(model: int, msg: Add) -> int:
    return model + msg.by


def closed(*messages: Any) -> gs.Buffer[Any]:
    buffer: gs.Buffer[Any] = gs.Buffer()
    buffer.put(*messages)
    buffer.close()
    return buffer


def through(mode: str, messages: list[Msg], folder: Path, **options: Any) -> None:
    """Take the messages through a mode of threads."""
    with gs.LMDBStore(folder / "s.lmdb") as store:
        if mode == "run":
            gs.run(program, closed(*messages), **options)
        elif mode == "ports":
            queue = Port(*messages)
            gs.run(program, producer=queue, consumer=queue, **options)
        elif mode == "batch":
            gs.batch(program, messages, **options)
        elif mode == "aggregate":
            gs.aggregate(program, messages, store=store, key="k", **options)
        elif mode == "keyed aggregate":
            gs.aggregate(program, messages, store=store, key=lambda msg: "k", **options)
        elif mode == "start":
            with gs.start(program, **options) as app:
                app.send(*messages)
        elif mode == "durable start":
            with gs.start(program, store=store, key="k", **options) as app:
                app.send(*messages)
        elif mode == "durable run":
            journal = store.journal("k", of=Msg)
            journal.put(*messages)
            journal.close()
            gs.run(program, journal, **options)
        else:
            with gs.start_keyed(program, **options) as apps:
                apps.send("k", *messages)


async def through_async(mode: str, messages: list[Msg], folder: Path, **options: Any) -> None:
    """Take the messages through a mode of event loops."""
    with gs.LMDBStore(folder / "s.lmdb") as store:
        if mode == "run":
            await gs.run_async(program, closed(*messages), **options)
        elif mode == "batch":
            await gs.batch_async(program, messages, **options)
        elif mode == "aggregate":
            await gs.aggregate_async(program, messages, store=store, key="k", **options)
        elif mode == "keyed aggregate":
            await gs.aggregate_async(program, messages, store=store, key=lambda msg: "k", **options)
        elif mode == "start":
            async with gs.start_async(program, **options) as app:
                app.send(*messages)
        elif mode == "durable start":
            async with gs.start_async(program, store=store, key="k", **options) as app:
                app.send(*messages)
        else:
            async with gs.start_keyed_async(program, **options) as apps:
                apps.send("k", *messages)


class Port:
    """A queue of somebody's own, which ends when it is empty."""

    def __init__(self, *messages: Any) -> None:
        self.messages = deque(messages)

    def put(self, *messages: Any) -> None:
        self.messages += messages

    def get(self) -> Any:
        if not self.messages:
            raise gs.Closed
        return self.messages.popleft()

    def commit(self) -> None: ...

    def rollback(self) -> None: ...


ASYNC = ["run", "batch", "aggregate", "keyed aggregate", "start", "durable start", "start_keyed"]
MODES = [*ASYNC, "ports", "durable run"]
KEYS = {"run": None, "ports": None, "batch": None, "start": None}
_STORED = (Flush, SnapshotSaved, LeaseTaken, LeaseReleased, Restored)


def check(mode: str, kept: Kept) -> None:
    """Look at what two turns, one that fails and one with a command have told."""
    key = KEYS.get(mode, "k")
    assert kept.names(without=_STORED) == [
        *["RunStarted", "Turn", "TurnFailed", "MessageSetAside", "CommandStarted", "Turn", "CommandDone", "Turn", "RunEnded"]
    ]
    assert {event.program for event in kept.events} == {"shop"}
    own = kept.of(Turn, TurnFailed, MessageSetAside, CommandStarted, CommandDone)
    assert {event.key for event in own} == {key}
    assert [event.message for event in kept.of(Turn, TurnFailed)] == ["Add", "Fail", "Do", "Add"]
    assert [event.error for event in kept.of(TurnFailed, MessageSetAside)] == ["LookupError"] * 2
    started, done = kept.of(CommandStarted)[0], kept.of(CommandDone)[0]
    assert (started.id, started.function, started.message) == (done.id, done.function, done.message)
    assert (started.function, started.message) == ("fetch", "Do")
    assert all(event.seconds >= 0 for event in kept.of(Turn, TurnFailed, CommandDone, RunEnded))
    if mode not in ("ports",):
        assert [event.position for event in kept.of(Turn, TurnFailed)][:3] == [0, 1, 2]
        assert started.position == 2


@pytest.mark.parametrize("mode", MODES)
def test_in_a_thread(mode: str, tmp_path: Path) -> None:
    """Turns, a failing one, a command and its message are told in order, with position, class and key."""
    kept = Kept()
    through(mode, [Add(), Fail(), Do("task")], tmp_path, observe=kept, on_error=gs.SetAside(gs.Buffer()))
    check(mode, kept)


@pytest.mark.parametrize("mode", ASYNC)
async def test_on_an_event_loop(mode: str, tmp_path: Path) -> None:
    """The same in the modes of event loops."""
    kept = Kept()
    await through_async(mode, [Add(), Fail(), Do("task")], tmp_path, observe=[kept], on_error=gs.SetAside(gs.Buffer()))
    check(mode, kept)


@pytest.mark.parametrize("mode", MODES)
def test_what_ends_a_run(mode: str, tmp_path: Path) -> None:
    """A turn that ends the run is told as failed, and the run by what it has failed with."""
    kept = Kept()
    with pytest.raises((LookupError, ExceptionGroup)):
        through(mode, [Add(), Fail(), Add()], tmp_path, observe=kept)
    assert kept.names(without=_STORED) == ["RunStarted", "Turn", "TurnFailed", "RunEnded"]
    assert kept.of(RunEnded)[0].error == "LookupError"


@pytest.mark.parametrize("mode", MODES)
def test_a_run_without_observers_is_the_same(mode: str, tmp_path: Path) -> None:
    """None, and a list of none, observe nothing."""
    for number, observe in enumerate((None, [])):
        (tmp_path / str(number)).mkdir()
        through(mode, [Add(), Do("task")], tmp_path / str(number), observe=observe)


# ------------------------------------------------------------------ commands


def commands(*messages: Msg, **options: Any) -> Kept:
    """Return what a run tells of its commands, at a clock that jumps."""
    kept = Kept()
    clock = gs.testing.SimClock(jumps=True)
    gs.batch(program, messages, observe=kept, clock=clock, **options)
    return kept


def test_a_failure_that_becomes_a_message() -> None:
    """The command has failed, whatever becomes of it; its end is told once."""
    kept = commands(Do("err"))
    assert kept.names() == ["RunStarted", "CommandStarted", "Turn", "CommandFailed", "Turn", "RunEnded"]
    assert kept.of(CommandFailed)[0].error == "LookupError"


def test_a_failure_that_is_set_aside() -> None:
    """The turn stays, and its message is set aside."""
    kept = commands(Do("unhandled"), on_error=gs.SetAside())
    assert kept.names() == ["RunStarted", "CommandStarted", "Turn", "CommandFailed", "MessageSetAside", "RunEnded"]
    assert kept.of(MessageSetAside)[0].message == "Do"


def test_retries_by_the_clock_of_the_run() -> None:
    """Each wait is told with how many tries there were, and the failure with the seconds of them all."""
    kept = commands(Do("retry"))
    assert [(event.tries, event.wait) for event in kept.of(CommandRetried)] == [(1, 1), (2, 2)]
    assert kept.of(CommandFailed)[0].seconds == 3


def test_a_timer_by_the_clock_of_the_run() -> None:
    """A timer is a command whose function is called "after"."""
    kept = commands(Do("after"))
    started, done = kept.of(CommandStarted)[0], kept.of(CommandDone)[0]
    assert (started.function, done.seconds) == ("after", 5)


def test_cancelled_and_replaced() -> None:
    """A command whose place another takes is cancelled, and so is one that is named."""
    kept = commands(Do("after"), Do("after"), Do("cancel"))
    told = kept.names(without=[Turn, RunStarted, RunEnded])
    assert told == ["CommandStarted", "CommandCancelled", "CommandStarted", "CommandCancelled"]
    assert all(event.seconds == 0 for event in kept.of(CommandCancelled))


def test_what_the_end_of_a_run_cancels() -> None:
    """It is told before the end of the run; what has not begun has no seconds."""
    kept, begun = Kept(), threading.Event()

    async def forever() -> None:
        begun.set()
        await __import__("asyncio").sleep(LONG)

    both = [gs.Cmd.call(forever), gs.Cmd.call(forever)]
    waits: gs.Program[int, str] = gs.Program(lambda: (0, both), lambda model, msg: (model, ()), name="waits")
    with gs.start(waits, observe=kept, effects=gs.Effects(at_once=1)) as app:
        assert begun.wait(LONG)
        app.stop(drain=False)
    assert kept.names() == ["RunStarted", "CommandStarted", "CommandCancelled", "CommandCancelled", "RunEnded"]
    second, first = kept.of(CommandCancelled)  # the newest first
    assert first.seconds is not None
    assert second.seconds is None
    assert (first.message, first.position) == ("", None)


def test_the_parts_of_a_seq_are_told_one_after_the_other() -> None:
    """Each part has an id of its own."""
    kept = commands(Do("seq"))
    told = [(type(event).__name__, event.id[-3:]) for event in kept.of(CommandStarted, CommandDone)]
    assert told == [("CommandStarted", "0.0"), ("CommandDone", "0.0"), ("CommandStarted", "0.1"), ("CommandDone", "0.1")]


def test_what_cannot_enter_the_queue_has_failed(tmp_path: Path) -> None:
    """A command whose message cannot be stored was not done."""
    kept = Kept()

    async def unstorable() -> Any:
        return object()

    def update(model: int, msg: int) -> gs.Step[int, int]:
        return model + msg, [gs.Cmd.call(unstorable)]

    with gs.LMDBStore(tmp_path / "s") as store:
        bad: gs.Program[int, int] = gs.Program(lambda: (0, ()), update)
        with gs.start(bad, store=store, key="k", observe=kept, on_error=gs.SetAside(gs.Buffer())) as app:
            app.send(1)
    assert [event.error for event in kept.of(CommandFailed)] == ["NotStorable"]
    assert not kept.of(CommandDone)


# ------------------------------------------------------------------ what is stored, and subscriptions


def test_a_durable_run_and_its_restart(tmp_path: Path) -> None:
    """The lease, flushes, snapshots; and after a restart one event for all that was replayed."""
    first, second = Kept(), Kept()
    snapshots = gs.Snapshots(every=2)
    with gs.LMDBStore(tmp_path / "s") as store:
        with gs.start(program, store=store, key="k", observe=first, snapshots=snapshots) as app:
            for _ in range(3):
                app.apply(Add())
        with gs.start(program, store=store, key="k", observe=second) as app:
            app.apply(Add())
    assert first.names()[:2] == ["RunStarted", "LeaseTaken"]
    assert first.names()[-2:] == ["LeaseReleased", "RunEnded"]
    assert not first.of(Restored)
    assert [event.position for event in first.of(SnapshotSaved)] == [0, 2, 3]
    assert sum(event.messages for event in first.of(Flush)) == 3
    assert second.names()[:3] == ["RunStarted", "LeaseTaken", "Restored"]
    assert (second.of(Restored)[0].position, second.of(Restored)[0].messages) == (3, 0)


def test_replayed_turns_have_no_events(tmp_path: Path) -> None:
    """A run that comes after a crash tells how many messages were replayed, and of none of them."""
    kept = Kept()
    with gs.LMDBStore(tmp_path / "s") as store:
        with pytest.raises(LookupError), gs.start(program, store=store, key="k") as app:
            app.send(*[Add()] * 5, Fail())
        with gs.start(program, store=store, key="k", observe=kept, on_error=gs.SetAside()) as app:
            assert app.apply(Add()).count == 6
    assert [event.messages for event in kept.of(Restored)] == [5]
    assert [event.message for event in kept.of(Turn)] == ["Add"]


def test_turns_replayed_by_predicate_have_no_events() -> None:
    """While `replaying()` is true a turn changes the model and nothing else; the others are told."""
    kept, seen = Kept(), list[int]()

    def replaying() -> bool:
        seen.append(1)
        return len(seen) <= 3  # of init and two messages

    gs.batch(program, [Add(), Add(), Add(), Add()], replaying=replaying, observe=kept)
    assert [event.position for event in kept.of(Turn)] == [2, 3]


def test_the_lease_that_was_lost(tmp_path: Path) -> None:
    """Somebody else who takes the journal ends the run, which says so."""
    kept = Kept()

    def lose_it(store: gs.LMDBStore) -> None:
        with gs.start(program, store=store, key="k", observe=kept) as app:
            app.apply(Add())
            app.life.run.journal.lease.lose()  # type: ignore[attr-defined]  # as a flush finds it, when another process has it
            app.apply(Add(), timeout=LONG)

    with gs.LMDBStore(tmp_path / "s") as store, pytest.raises(gs.Closed):
        lose_it(store)
    assert "LeaseLost" in kept.names()
    assert "LeaseReleased" not in kept.names()


def test_saves_of_an_aggregate(tmp_path: Path) -> None:
    """Each save with the position and how many models have changed, and on the next day where it goes on."""
    file = tmp_path / "f.jsonl"
    file.write_text('{"by": 1}\n{"by": 2}\n{"by": 3}\n')
    adding = gs.reducer(int, add)
    kept = Kept()
    with gs.LMDBStore(tmp_path / "s") as store:
        for _ in range(2):
            gs.aggregate(
                adding,
                gs.sources.JSONLines(file, Add),
                store=store,
                key=lambda msg: str(msg.by % 2),
                observe=kept,
            )
    assert [(event.key, event.models) for event in kept.of(SnapshotSaved)] == [(None, 2)]
    assert [event.messages for event in kept.of(Restored)] == [0]
    assert [event.key for event in kept.of(Turn)] == ["1", "0", "1"]


def test_subscriptions() -> None:
    """Begun with the first model, ended when the model asks for them no longer, and at the end."""
    kept = Kept()

    def subscriptions(model: int) -> list[gs.Sub[int]]:
        return [gs.Sub.every(1, 0, key="a"), *([gs.Sub.at(1e12, 0, key="b")] if model == 1 else [])]

    counts: gs.Program[int, int] = gs.Program(
        lambda: (0, ()), lambda model, msg: (model + msg, ()), subscriptions=subscriptions
    )
    gs.batch(counts, [1, 1], observe=kept, clock=gs.testing.SimClock())
    told = [(type(event).__name__, event.kind) for event in kept.of(SubscriptionStarted, SubscriptionEnded)]
    assert told == [
        ("SubscriptionStarted", "every"),
        ("SubscriptionStarted", "at"),
        ("SubscriptionEnded", "at"),
        ("SubscriptionEnded", "every"),
    ]


# ------------------------------------------------------------------ times, keys, contents


class Clock:
    """A clock that is set."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def enter(self, wake: Callable[[], object], /) -> None: ...

    def left(self, due: float | None, resting: Callable[[], bool], wake: Callable[[], object], /) -> float | None:
        return None

    def leave(self, wake: Callable[[], object], /) -> None: ...


def test_a_turn_takes_what_its_update_and_view_take() -> None:
    """By the clock of the run, from the beginning of update to the end of the view."""
    kept, clock = Kept(), Clock()

    def update(model: int, msg: int) -> gs.Step[int, int]:
        clock.now += msg
        return model + msg, ()

    def view(model: int) -> None:
        clock.now += 0.5 if model else 0

    slow: gs.Program[int, int] = gs.Program(lambda: (0, ()), update, view=view)
    gs.batch(slow, [1, 2], observe=kept, clock=clock)
    assert [event.seconds for event in kept.of(Turn)] == [1.5, 2.5]


def test_each_of_many_programs_has_its_key() -> None:
    """One observer for all of them."""
    kept = Kept()
    with gs.start_keyed(program, observe=kept) as apps:
        for key in ("a", "b"):
            apps[key].apply(Add())
    assert sorted((event.key, event.message) for event in kept.of(Turn)) == [("a", "Add"), ("b", "Add")]
    assert sorted(str(event.key) for event in kept.of(RunStarted)) == ["a", "b"]


EVERY: list[Msg] = [
    Add(),
    Fail(),
    *(Do(what) for what in ("task", "thread", "err", "unhandled", "retry", "after", "cancel", "seq")),
]


@pytest.mark.parametrize("mode", MODES)
def test_no_event_has_what_is_in_a_message_a_model_or_an_error(mode: str, tmp_path: Path) -> None:
    """A text that is in all of these is in no event, nor in the log."""
    kept = Kept()
    assert SECRET in repr(Model())
    through(mode, EVERY, tmp_path, observe=kept, on_error=gs.SetAside(gs.Buffer()), clock=gs.testing.SimClock(jumps=True))
    assert len(kept.events) > 30
    assert SECRET not in repr(kept.events)


def test_a_stop_tells_of_the_turn_that_was_the_last() -> None:
    """A turn after which the run ends is told as any other, once."""
    kept = Kept()

    def stopping(model: int) -> object:
        return app.stop() if model == 2 else None

    counts: gs.Program[int, int] = gs.Program(lambda: (0, ()), lambda model, msg: (model + msg, ()), view=stopping)
    with gs.start(counts, observe=kept) as app:
        app.ready()
        app.send(1, 1)
        app.wait()
    assert [event.position for event in kept.of(Turn)] == [0, 1]


def test_ctrl_c_in_update_is_told() -> None:
    """It ends the run by a turn that has failed, and is raised as ever."""
    kept = Kept()

    def update(model: int, msg: int) -> gs.Step[int, int]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gs.batch(gs.Program(lambda: (0, ()), update), [1], observe=kept)
    assert [event.error for event in kept.of(TurnFailed, RunEnded)] == ["KeyboardInterrupt"] * 2
