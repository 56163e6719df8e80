"""The app: a running program that others send to, ask and watch; in a thread and in a task, in memory and on a journal."""

from __future__ import annotations

import asyncio
import inspect
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from app_support import KINDS, Kind

import go_state as gs
from go_state.modes.app.pending_replies import PendingReply
from go_state.waking.waker import ThreadWaker


@dataclass(frozen=True)
class Counter:
    count: int = 0
    name: str = ""


@dataclass(frozen=True)
class Add:
    by: int


@dataclass(frozen=True)
class Fail:
    why: str


@dataclass(frozen=True)
class Later:
    by: int


Msg = Add | Fail | Later


def update(model: Counter, msg: Msg) -> gs.Step[Counter, Msg]:
    match msg:
        case Add(by):
            return replace(model, count=model.count + by), [gs.Cmd.reply(model.count)]
        case Later(by):
            return model, [gs.Cmd.send(Add(by), Add(by))]
        case Fail(why):
            raise ValueError(why)


counter: gs.Program[Counter, Msg] = gs.Program(lambda: (Counter(), ()), update)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    with ExitStack() as ends:
        yield Kind(request.param, tmp_path, ends)


async def test_apply_and_ask(kind: Kind) -> None:
    """Apply returns the model that its own turn has made, ask what the turn has answered."""
    app = kind.start(counter)
    await kind(app, "ready", 5)
    assert (app.model, app.version, app.state) == (Counter(), 1, "ready")
    app.send(Add(1), Add(2))
    assert await kind(app, "apply", Add(3), timeout=5) == Counter(6)
    assert await kind(app, "ask", Add(4), timeout=5) == 6
    with pytest.raises(gs.errors.NoReply):
        await kind(app, "ask", Later(1), timeout=5)
    await kind(app, "stop")
    assert (app.model, app.state, app.error) == (Counter(12), "stopped", None)
    assert app.statistics().processed == 7
    assert await kind(app, "wait") == Counter(12)


async def test_each_apply_gets_its_own_model(kind: Kind) -> None:
    """A hundred that apply at once each get the model of their own turn."""
    app = kind.start(counter)
    models = await asyncio.gather(*[kind(app, "apply", Add(1), timeout=20) for _ in range(100)])
    await kind(app, "stop")
    assert sorted(model.count for model in models) == list(range(1, 101))


async def test_the_block_drains(kind: Kind) -> None:
    """Leaving the block takes everything through its turn, the messages of its commands included; then send is refused."""
    app = kind.start(counter)

    async def body() -> None:
        app.send(*[Later(1)] * 100)

    await kind.within(app, body)
    assert app.model == Counter(200)
    for use in (lambda: app.send(Add(1)), lambda: app.life.put_for(PendingReply(ThreadWaker(), asks=False), Add(1))):
        with pytest.raises(gs.Closed):
            use()


async def test_a_failure_reaches_everybody(kind: Kind) -> None:
    """What the program fails with ends the app, and is raised from apply, ask, wait, watchers and the block."""
    app = kind.start(counter)
    caught: list[BaseException | None] = []

    async def body() -> None:
        watcher = app.watch()
        assert watcher.get_nowait() == Counter()
        waiting = [asyncio.ensure_future(w) for w in (watcher.get_async(20), app.wait_async(20))]
        await asyncio.sleep(0)
        first = asyncio.ensure_future(app.apply_async(Fail("boo"), timeout=20))
        second = asyncio.ensure_future(app.ask_async(Add(1), timeout=20))
        caught.extend(await asyncio.gather(*waiting, first, second, return_exceptions=True))

    with pytest.raises(ValueError, match="boo") as raised:
        await kind.within(app, body)
    assert caught == [raised.value] * 4 or (caught[:3] == [raised.value] * 3 and isinstance(caught[3], gs.Closed))
    assert (app.state, app.error, app.model) == ("failed", raised.value, Counter())
    with pytest.raises(gs.Closed):
        app.send(Add(1))


async def test_init_that_fails(kind: Kind) -> None:
    """A program that does not come to its first model raises from the block, which is not entered."""

    def init() -> Any:
        raise KeyError("init")

    app = kind.start(gs.Program(init, update))

    async def body() -> None:
        pytest.fail("the block was entered")

    with pytest.raises(KeyError):
        await kind.within(app, body)
    assert app.state == "failed"


async def test_the_body_s_error_ends_the_app_at_once(kind: Kind) -> None:
    """A block that raises does not drain; its error passes on, with a note of the app's own if that has failed as well."""
    app = kind.start(counter)
    entered, go_on = threading.Event(), threading.Event()

    def slow(model: Counter, msg: Add) -> gs.Step[Counter, Add]:
        entered.set()
        go_on.wait(20)
        return replace(model, count=model.count + 1), ()

    await kind(app, "stop")
    if kind.on_loop:
        return  # there a slow update would keep this test from raising
    app = kind.start(gs.Program(counter.init, slow), **({} if kind._store is None else {"restore": None}))

    async def body() -> None:
        app.send(*[Add(1)] * 10)
        await asyncio.to_thread(entered.wait, 20)
        threading.Timer(0.05, go_on.set).start()
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        await kind.within(app, body)
    assert app.statistics().processed < 10
    assert app.state == "stopped"


async def test_set_aside_answers_the_one_who_waits(kind: Kind) -> None:
    """A message that is set aside raises its error from apply, and the app goes on."""
    app = kind.start(counter, on_error=gs.SetAside(gs.Buffer()))
    with pytest.raises(ValueError, match="boo"):
        await kind(app, "apply", Fail("boo"), timeout=5)
    assert await kind(app, "apply", Add(1), timeout=5) == Counter(1)
    await kind(app, "stop")


async def test_stop_without_drain_leaves_the_queue(kind: Kind) -> None:
    """Without drain the app ends after the turn under way; those whose turn did not come get Closed."""
    app = kind.start(counter)
    await kind(app, "ready")
    app.send(*[Add(1)] * 5000)
    waiting = asyncio.ensure_future(kind(app, "apply", Add(1), timeout=20))
    await kind(app, "stop", drain=False)
    outcome = (await asyncio.gather(waiting, return_exceptions=True))[0]
    assert isinstance(outcome, gs.Closed) or outcome == Counter(5001)
    assert app.statistics().processed + app.statistics().queue_size >= 5000


async def test_timeouts(kind: Kind) -> None:
    """A wait that times out says so, the message stays in the queue, and the app is none the worse."""
    block = threading.Event()

    def slow(model: Counter, msg: Add) -> gs.Step[Counter, Add]:
        block.wait(0.05)
        return replace(model, count=model.count + msg.by), ()

    app = kind.start(gs.Program(counter.init, slow))
    with pytest.raises(gs.TimedOut, match="stays in the queue"):
        await kind(app, "apply", Add(1), timeout=0.0)
    assert await kind(app, "apply", Add(1), timeout=20) == Counter(2)
    app.send(*[Add(1)] * 100)
    with pytest.raises(gs.TimedOut, match="messages are left"):
        await kind(app, "stop", timeout=0.0)
    assert await kind(app, "wait", 20)


def test_waiting_inside_a_turn_raises() -> None:
    """Apply, ask, wait and ready inside a turn, or in a thread whose event loop runs, raise at once and say what to do."""
    errors: list[BaseException] = []

    def view(model: Counter) -> None:
        for wait in (lambda: app.apply(Add(1)), lambda: app.ask(Add(1)), lambda: app.wait(), lambda: app.ready()):
            try:
                wait()
            except gs.UsageError as error:
                errors.append(error)

    holder: list[Any] = []
    app: Any = None

    def update_that_waits(model: Counter, msg: Add) -> gs.Step[Counter, Add]:
        view(model)
        return model, ()

    app = gs.start(gs.Program(counter.init, update_that_waits))
    holder.append(app)
    with app:
        app.send(Add(1))
    assert len(errors) == 4
    assert all("return a command" in str(error) for error in errors)

    async def main() -> None:
        async with gs.start_async(counter) as other:
            for wait in (lambda: other.apply(Add(1)), other.stop, other.wait):
                with pytest.raises(gs.errors.InsideLoop):
                    wait()

    asyncio.run(main())


def test_stop_inside_a_turn_asks_for_the_end() -> None:
    """A command that stops its own app does not wait for itself."""
    app: Any = None

    def stop() -> None:
        app.stop()

    program: gs.Program[int, int] = gs.Program(lambda: (0, ()), lambda model, msg: (model + msg, [stop]))
    app = gs.start(program)
    app.ready()
    app.send(1)
    assert app.wait(5) == 1


async def test_watchers_see_the_last_model(kind: Kind) -> None:
    """A watcher sees increasing models, skips what it has no time for, ends with the last one and then the app's end."""
    app = kind.start(counter)
    seen: list[int] = []

    async def follow() -> None:
        seen.extend([model.count async for model in app.watch()])

    following = asyncio.ensure_future(follow())
    await kind(app, "ready")
    for _ in range(300):
        app.send(Add(1))
        if random.random() < 0.1:
            await asyncio.sleep(0)
    await kind(app, "stop")
    await following
    assert seen == sorted(set(seen))
    assert (seen[-1], app.version) == (300, app.life.observers.models.version)


def test_the_view_comes_after_the_model_is_there() -> None:
    """The view is shown what `app.model` has, turn by turn, and a view that fails ends the app with the turn kept."""
    shown: list[tuple[int, int]] = []
    app: Any = None

    def view(model: Counter) -> None:
        if app is not None:
            shown.append((model.count, app.model.count))
        if model.count == 3:
            raise OSError("no paper")

    app = gs.start(gs.Program(counter.init, update, view=view))
    with pytest.raises(OSError, match="no paper"), app:
        app.send(*[Add(1)] * 5)
    assert [pair for pair in shown if pair[0]] == [(1, 1), (2, 2), (3, 3)]
    assert app.model == Counter(3)


def test_a_reply_of_a_child_reaches_the_asker() -> None:
    """A reply passes through Cmd.map as it is; a turn that is rolled back answers nobody."""

    def wrapped(model: int, msg: int) -> gs.Step[int, int]:
        return model + msg, gs.Cmd.map([gs.Cmd.reply("child"), None], str)

    with gs.start(gs.Program(lambda: (0, ()), wrapped)) as app:
        assert app.ask(1) == "child"
    assert gs.batch(gs.Program(lambda: (0, ()), wrapped), [1]).model == 1

    def failing(model: int, msg: int) -> Any:
        return model, [gs.Cmd.reply(msg), lambda: 1 / msg and None]

    with gs.start(gs.Program(lambda: (0, ()), failing), on_error=gs.SetAside(gs.Buffer())) as app:
        with pytest.raises(ZeroDivisionError):
            app.ask(0)
        assert app.ask(7) == 7


def test_a_full_buffer_refuses() -> None:
    """Where a bound was asked for, senders get Full and the program's own messages enter."""
    block = threading.Event()

    def slow(model: int, msg: int) -> gs.Step[int, int]:
        block.wait(20)
        return model + msg, ()

    with gs.start(gs.Program(lambda: (0, ()), slow), gs.Buffer(maxsize=2)) as app:
        app.send(1, 1)
        with pytest.raises(gs.Full):
            app.send(1)
        with pytest.raises(gs.Full):
            app.apply(1)
        block.set()


def test_no_thread_is_left(tmp_path: Path) -> None:
    """After the block no thread of the app lives, whatever has happened in it."""
    before = threading.active_count()
    for program in (counter, gs.Program(lambda: 1 / 0, update)):  # type: ignore[arg-type, return-value]
        try:
            with gs.start(program) as app:
                app.send(Add(1), Fail("x"))
        except (ZeroDivisionError, ValueError):
            pass
    assert threading.active_count() == before


async def test_a_cancelled_task_stops_the_app() -> None:
    """An app whose task is cancelled from outside is stopped, and nobody waits for ever."""
    app = gs.start_async(counter)
    await app.ready_async()
    waiting = asyncio.ensure_future(app.watch(since=1).get_async())
    await asyncio.sleep(0)
    app.host.task.cancel()  # type: ignore[union-attr]
    with pytest.raises(gs.Closed):
        await waiting
    assert app.state == "stopped"


@pytest.mark.slow
def test_many_starts_and_stops() -> None:
    """Ten thousand apps with eight senders and random ends: none hangs, and what was sent is processed, refused or left."""
    chance = random.Random(4)
    with ThreadPoolExecutor(8) as pool:
        for number in range(10_000):
            app = gs.start(counter)
            sent = [pool.submit(_send_some, app, chance.randrange(4)) for _ in range(8)]
            how = chance.randrange(3)
            if how == 0:
                app.ready()
            app.stop(drain=how != 2)
            taken = sum(each.result(30) for each in sent)
            statistics = app.statistics()
            assert taken == statistics.processed + statistics.queue_size, number
            assert how == 2 or statistics.queue_size == 0


def _send_some(app: gs.App[Any, Any], count: int) -> int:
    taken = 0
    for _ in range(count):
        try:
            app.send(Add(1))
        except gs.Closed:
            continue
        taken += 1
    return taken


def test_both_starts_take_the_same() -> None:
    """`start` and `start_async` have one signature."""
    assert inspect.signature(gs.start).parameters == inspect.signature(gs.start_async).parameters
    for wrong in (lambda: gs.start(counter, gs.Value()), lambda: gs.start(counter, key="k"), lambda: gs.start(update)):  # type: ignore[arg-type]
        with pytest.raises(gs.UsageError):
            wrong()


def test_an_app_that_was_cancelled_before_it_began_is_over() -> None:
    """Whoever waits for it elsewhere is freed."""

    async def start() -> Any:
        return gs.start_async(gs.reducer(int, lambda model, msg: model + msg))  # the loop ends before the task has begun

    app = asyncio.run(start())
    assert app.state == "stopped"
    with pytest.raises(gs.Closed):
        app.send(1)


async def test_the_view_sees_each_model_once(kind: Kind) -> None:
    """However often a program looks whether there is something to do, the view is shown what is new."""
    shown: list[Any] = []

    def update(model: Counter, msg: Add) -> gs.Step[Counter, Add]:
        return Counter(model.count + msg.by), ()

    app = kind.start(gs.Program(lambda: (Counter(0), ()), update, view=shown.append))

    async def body() -> None:
        await kind(app, "apply", Add(1))

    await kind.within(app, body)
    assert shown == [Counter(0), Counter(1)]


def test_an_app_whose_beginning_is_interrupted_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the thread begins leaves nobody with the app, and the journal to the next one."""
    start = threading.Thread.start

    def start_and_interrupt(thread: threading.Thread) -> None:
        start(thread)
        if thread.name.startswith("go_state app"):
            raise KeyboardInterrupt

    with gs.LMDBStore(tmp_path / "s") as store:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", start_and_interrupt)
            with pytest.raises(KeyboardInterrupt):
                gs.start(counter, store=store, key="k")
        with gs.start(counter, store=store, key="k") as app:
            assert app.apply(Add(1)) == Counter(1)
