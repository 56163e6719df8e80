"""An app used from inside itself: in a turn, after one, in a command; what would wait for itself raises, and stop asks only."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from app_support import KINDS, Kind

import go_state as gs

IN_TURNS = [
    "update",
    "view",
    "inline command",
    "middleware",
    "after the turn",
    "result",
    "subscriptions",
    "on_error",
    "on_denied",
]

WAITS: list[Callable[[Any], object]] = [
    lambda app: app.apply("nested"),
    lambda app: app.ask("nested"),
    lambda app: app.ready(),
    lambda app: app.apply_async("nested"),
    lambda app: app.ask_async("nested"),
    lambda app: app.ready_async(),
    lambda app: app.watch(since=app.version).get(),
]
WAITS_FOR_THE_END: list[Callable[[Any], object]] = [
    lambda app: app.wait(),
    lambda app: app.wait_async(),
    lambda app: app.stop(timeout=20),
    lambda app: app.stop_async(timeout=20),
    lambda app: app.__exit__(None, None, None),
    lambda app: app.__aexit__(None, None, None),
]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    with ExitStack() as ends:
        yield Kind(request.param, tmp_path, ends)


def first_step(returned: object) -> object:
    """Return what a call has returned; of a coroutine, what it does up to its first wait."""
    if not inspect.iscoroutine(returned):
        return returned
    try:
        returned.send(None)
    except StopIteration as end:
        return end.value
    finally:
        returned.close()
    return "waits"


class Inside:
    """A program that does something once, at the given place of the message "go"."""

    def __init__(self, place: str, act: Callable[[Any], object]) -> None:
        self.place = place
        self.app: Any = None
        self._act: Callable[[Any], object] | None = act
        self.done = threading.Event()
        self.program: gs.Program[int, str] = gs.Program(
            lambda: (0, ()), self._update, view=self._view, middleware=[self._middleware], subscriptions=self._subscriptions
        )
        self.options: dict[str, Any] = {"on_error": self._on_error, "on_denied": lambda *_: self._at("on_denied")}

    def _at(self, place: str) -> None:
        if place == self.place and self._act is not None:
            act, self._act = self._act, None
            try:
                act(self.app)
            finally:
                self.done.set()

    def _update(self, model: int, msg: str) -> gs.Step[int, str]:
        if msg != "go":
            return model + 1, [gs.Cmd.reply("done")]
        self._at("update")
        if self.place == "on_error":
            raise ValueError("boo")
        commands: dict[str, Any] = {
            "inline command": lambda: self._at("inline command"),
            "result": gs.Cmd.call(int, ok=lambda _: self._at("result")),
            "thread": gs.Cmd.call(self._at, "thread", thread=True),
        }
        return model + 1, [commands.get(self.place)]

    def _view(self, model: int) -> None:
        if model:
            self._at("view")

    def _middleware(self, proposal: Any) -> Iterator[None]:
        self._at("middleware")
        if self.place == "on_denied":
            raise gs.Denied
        yield
        self._at("after the turn")

    def _subscriptions(self, model: int) -> Any:
        if model:
            self._at("subscriptions")
        return ()

    def _on_error(self, message: str, position: object, error: Exception) -> Any:
        self._at("on_error")
        return gs.SetAside(gs.Buffer())


async def ended(kind: Kind, inside: Inside) -> Any:
    """Start the app, send it "go", and return it when it has ended by itself."""
    inside.app = app = kind.start(inside.program, **inside.options)
    await app.ready_async()
    app.send("go")
    await app.wait_async(20)
    return app


@pytest.mark.parametrize("place", IN_TURNS)
async def test_in_a_turn_whatever_would_wait_for_itself_raises(kind: Kind, place: str) -> None:
    """Every wait raises `UsageError` at once, in both of its forms; a block that is left there asks for the end."""
    errors: list[str] = []

    def act(app: Any) -> None:
        for wait in (*WAITS, *WAITS_FOR_THE_END):
            with pytest.raises(gs.UsageError) as raised:
                first_step(wait(app))
            errors.append(str(raised.value))

    app = await ended(kind, Inside(place, act))
    assert (app.state, app.error, len(errors)) == ("stopped", None, 13)
    assert all("return a command" in error for error in errors)


@pytest.mark.parametrize("place", [*IN_TURNS, "thread"])
@pytest.mark.parametrize("stop", [lambda app: app.stop(), lambda app: app.stop_async(), lambda app: app.stop(drain=False)])
async def test_stop_from_inside_asks_and_returns(kind: Kind, place: str, stop: Callable[[Any], object]) -> None:
    """Wherever it is called, on a loop too, it does not wait for itself, and the app ends."""
    returned: list[object] = []
    app = await ended(kind, Inside(place, lambda app: returned.append(first_step(stop(app)))))
    assert (returned, app.state, app.error) == ([None], "stopped", None)


async def test_a_command_waits_for_turns_and_not_for_the_end(kind: Kind) -> None:
    """In a thread of its own it may apply and ask; what waits for the end, and so for the command, raises `UsageError`."""
    found: list[object] = []

    def act(app: Any) -> None:
        found.append(app.ask("another", timeout=20))
        for wait in WAITS_FOR_THE_END:
            with pytest.raises(gs.UsageError, match="waits for this command"):
                first_step(wait(app))
        found.append(app.state)

    app = await ended(kind, Inside("thread", act))
    assert (found, app.model) == (["done", "draining"], 2)


async def test_a_coroutine_command_waits_for_turns_and_not_for_the_end(kind: Kind) -> None:
    """So it is in a task, and in the tasks that it makes and waits for."""
    found: list[object] = []

    async def command() -> None:
        found.append(await asyncio.wait_for(app.apply_async("another"), 20))
        for wait in (app.wait_async, lambda: asyncio.gather(app.wait_async())):
            with pytest.raises(gs.UsageError, match="waits for this command"):
                await wait()
        await app.stop_async()

    program: gs.Program[int, str] = gs.Program(lambda: (0, ()), of_commands(lambda: [gs.Cmd.call(command)]))
    app = kind.start(program)
    await app.ready_async()
    app.send("go")
    assert (await app.wait_async(20), found) == (2, [2])


def of_commands(commands: Callable[[], Any]) -> Any:
    """Return an update that counts, and has commands for the message "go"."""

    def update(model: int, msg: str) -> gs.Step[int, str]:
        return model + 1, commands() if msg == "go" else ()

    return update


async def test_a_stream_may_end_its_app(kind: Kind) -> None:
    """A stream that stops its app goes on; one that waits for the end raises."""

    async def stream() -> Any:
        with pytest.raises(gs.UsageError):
            await app.wait_async()
        await app.stop_async()
        yield "last"

    def subscriptions(model: int) -> Any:
        return [gs.Sub.stream(stream, key="s")] if model else []

    app = kind.start(gs.Program(lambda: (0, ()), of_commands(tuple), subscriptions=subscriptions))
    await app.ready_async()
    app.send("go")
    await app.wait_async(20)
    assert app.error is None


@pytest.mark.parametrize("how", ["awaited", "gathered", "task", "bounded"])
@pytest.mark.parametrize("call", ["apply_async", "ask_async", "wait_async"])
async def test_what_a_middleware_returns_is_a_part_of_its_turn(tmp_path: Path, how: str, call: str) -> None:
    """However it waits for its own app, a task of its own included, it raises `UsageError`, which ends the app."""

    def middleware(proposal: Any) -> Any:
        yield
        waits = getattr(app, call)(*([] if call == "wait_async" else ["nested"]))
        match how:
            case "gathered":
                return asyncio.gather(waits)
            case "task":
                return asyncio.create_task(waits)
            case "bounded":
                return asyncio.wait_for(waits, 20)
        return waits

    with ExitStack() as ends:
        app = Kind("loop", tmp_path, ends).start(gs.Program(lambda: (0, ()), of_commands(tuple), middleware=[middleware]))
        app.send("go")
        with pytest.raises(gs.UsageError, match="waits for"):
            await app.wait_async(20)


async def test_a_middleware_may_wait_for_stop(tmp_path: Path) -> None:
    """What it returns may be `stop_async()`, which does not wait there, and what another returns is waited for all the same."""
    heard: list[str] = []

    def stops(proposal: Any) -> Any:
        yield
        return app.stop_async(drain=False)

    def says(proposal: Any) -> Any:
        yield
        return say()

    async def say() -> None:
        heard.append("said")

    app = gs.start_async(gs.Program(lambda: (0, ()), of_commands(tuple), middleware=[says, stops]))
    app.send("one", "two")
    assert await app.wait_async(20) in (1, 2)
    assert len(heard) == app.model


async def test_what_a_turn_begins_and_leaves_to_itself_may_wait(kind: Kind) -> None:
    """A task that a view makes is no part of the turn, also where it was begun through another event loop."""
    loop, models = asyncio.get_running_loop(), []
    follower: Any = None

    async def follow() -> None:
        models.append(await app.apply_async("another", timeout=20))
        models.append(await app.wait_async(20))

    def view(model: int) -> None:
        nonlocal follower
        if model == 1 and follower is None:
            follower = asyncio.create_task(follow()) if kind.on_loop else asyncio.run_coroutine_threadsafe(follow(), loop)

    app = kind.start(gs.Program(lambda: (0, ()), of_commands(tuple), view=view))
    await kind(app, "apply", "go")
    while not models:
        await app.watch(since=app.version).get_async(20) if app.model < 2 else await asyncio.sleep(0)
    await kind(app, "stop")
    await (follower if kind.on_loop else asyncio.wrap_future(follower))
    assert models == [2, 2]


async def test_what_a_command_leaves_to_itself_may_wait(tmp_path: Path) -> None:
    """A task that outlives the command that made it may wait for the app's end."""
    waiting: list[asyncio.Task[int]] = []

    async def later() -> int:
        await asyncio.sleep(0)  # where tasks are eager this one begins while the command runs, and counts as it
        return await app.wait_async()

    async def command() -> None:
        waiting.append(asyncio.create_task(later()))

    app = gs.start_async(gs.Program(lambda: (0, ()), of_commands(lambda: [gs.Cmd.call(command)])))
    async with app:
        app.send("go")
    assert await waiting[0] == 1


async def test_an_app_begun_by_a_command_is_no_part_of_it(tmp_path: Path) -> None:
    """Its turns may use the app whose command has begun it, and the other way round."""
    found: list[object] = []

    def child(model: int, msg: str) -> gs.Step[int, str]:
        return model + 1, [gs.Cmd.call(ask)]

    async def ask() -> None:
        found.append(await parent.apply_async("from the child", timeout=20))

    async def command() -> None:
        async with gs.start_async(gs.Program(lambda: (0, ()), child)) as app:
            await app.apply_async("go", timeout=20)

    parent = gs.start_async(gs.Program(lambda: (0, ()), of_commands(lambda: [gs.Cmd.call(command)])))
    async with parent:
        parent.send("go")
        await parent.watch().get_async(20, where=lambda model: model == 2)
    assert found == [2]


async def test_a_command_that_waits_does_not_hold_up_an_end_without_drain(kind: Kind) -> None:
    """Who waits for a turn in a thread is told before the app waits for the thread."""
    told: list[object] = []
    entered = threading.Event()

    def command() -> None:
        entered.set()
        try:
            told.append(app.apply("never"))
        except gs.Closed as error:
            told.append(type(error))

    def blocked(model: int, msg: str) -> gs.Step[int, str]:
        return model + 1, [gs.Cmd.call(command, thread=True), *[gs.Cmd.send("go") for _ in range(2)]] if model < 50 else ()

    app = kind.start(gs.Program(lambda: (0, ()), blocked), effects=gs.Effects(at_once=1, grace=100))
    await app.ready_async()
    app.send("go")
    await asyncio.to_thread(entered.wait, 20)
    await kind(app, "stop", drain=False)
    assert told


def test_an_update_that_stops_its_app_may_be_replayed(tmp_path: Path) -> None:
    """A durable app on a loop replays in another thread, where a stop does not wait for the replay either."""
    stopped: list[int] = []
    app: Any = None

    def update(model: int, msg: str) -> gs.Step[int, str]:
        if msg == "stop":
            app.stop(drain=False)  # with no snapshot, so that the next life replays it
            stopped.append(model)
        return model + 1, ()

    async def life(*messages: str) -> int:
        nonlocal app
        app = gs.start_async(gs.Program(lambda: (0, ()), update), store=store, key="k")
        if messages:
            await app.ready_async()
            app.send(*messages)
        return await app.wait_async(20)  # type: ignore[no-any-return]

    with gs.LMDBStore(tmp_path / "s") as store:
        assert (asyncio.run(life("one", "stop")), asyncio.run(life())) == (2, 2)
    assert stopped == [1, 1]
