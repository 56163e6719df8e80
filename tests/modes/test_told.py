"""What those who wait for an app are told: of their own message's turn, also when the app ends or fails, and of nobody else's."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from app_support import KINDS, Kind

import go_state as gs


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    with ExitStack() as ends:
        yield Kind(request.param, tmp_path, ends)


class Counting:
    """Counts, and does at the thirtieth message what a test wants."""

    def __init__(self, at_thirty: Any) -> None:
        self.at_thirty = at_thirty
        self.shown: list[int] = []
        self.heard: list[object] = []
        self.program: gs.Program[int, int] = gs.Program(
            lambda: (0, ()), self._update, view=self.shown.append, middleware=[self._middleware]
        )

    def _update(self, model: int, msg: int) -> gs.Step[int, int]:
        if msg == 30:
            self.at_thirty()
        return model + 1, ()

    def _middleware(self, proposal: Any) -> Iterator[None]:
        self.heard.append((yield))


async def told_by(app: Any) -> list[Any]:
    """Apply the messages from 1 to 60 at once, and return what comes of each."""
    await app.ready_async()
    waiting = [asyncio.create_task(app.apply_async(number, timeout=20)) for number in range(1, 61)]
    return await asyncio.gather(*waiting, return_exceptions=True)


async def test_who_has_had_a_turn_is_told_its_model_when_the_app_stops(kind: Kind) -> None:
    """The others hear that the app has ended; the app, the view and the middleware have the last turn that is through."""
    counting = Counting(lambda: app.stop(drain=False))
    app = kind.start(counting.program)
    told = await told_by(app)
    await app.wait_async(20)
    assert told[:30] == list(range(1, 31))
    assert {(type(each), each.__cause__) for each in told[30:]} == {(gs.errors.AppEnded, None)}
    assert (app.model, counting.shown[-1], counting.heard) == (30, 30, list(range(1, 31)))


async def test_who_has_had_a_turn_is_told_its_model_when_the_app_fails(kind: Kind) -> None:
    """The one whose message has failed gets the error, and the others a `Closed` whose cause it is."""

    def fail() -> None:
        raise ValueError("thirty")

    counting = Counting(fail)
    app = kind.start(counting.program)
    told = await told_by(app)
    with pytest.raises(ValueError, match="thirty"):
        await app.wait_async(20)
    assert told[:29] == list(range(1, 30))
    assert told[29] is app.error
    assert {(type(each), each.__cause__) for each in told[30:]} == {(gs.errors.AppEnded, app.error)}
    assert (app.model, counting.shown[-1], counting.heard) == (29, 29, list(range(1, 30)))


async def apply_for_ever(app: Any) -> None:
    """Apply one message after another."""
    while True:
        await app.apply_async(2, timeout=20)


async def test_what_a_command_fails_with_is_no_answer_of_another_turn(kind: Kind) -> None:
    """It ends the app after the turn that has begun it: that one is answered, and who comes after hears of the cause."""
    failed = asyncio.Event()

    async def fail() -> None:
        failed.set()
        raise OSError("no network")

    def update(model: int, msg: int) -> gs.Step[int, int]:
        return model + 1, [gs.Cmd.call(fail), gs.Cmd.reply(msg)] if msg == 1 else [gs.Cmd.send(2)]

    app = kind.start(gs.Program(lambda: (0, ()), update))
    assert await app.ask_async(1, timeout=20) == 1
    with pytest.raises(gs.Closed) as raised:
        await apply_for_ever(app)
    with pytest.raises(OSError, match="no network"):
        await app.wait_async(20)
    assert raised.value.__cause__ in (app.error, None)


async def test_only_the_turn_s_own_reply_is_an_answer(kind: Kind) -> None:
    """A batch or a run inside a command replies to nobody, and neither does init."""
    inner: gs.Program[int, int] = gs.Program(lambda: (0, ()), lambda model, msg: (model, [gs.Cmd.reply("of the batch")]))

    def run_another() -> None:
        if not kind.on_loop:
            gs.batch(inner, [1])

    def update(model: int, msg: int) -> gs.Step[int, int]:
        return model + 1, [gs.Cmd.reply("mine"), run_another] if msg else [run_another]

    app = kind.start(gs.Program(lambda: (0, [gs.Cmd.reply("of init")]), update))
    with pytest.raises(gs.errors.NoReply):
        await app.ask_async(0, timeout=20)
    assert await app.ask_async(1, timeout=20) == "mine"
    await kind(app, "stop")


def entries(error: BaseException) -> int:
    """Return how long the traceback is."""
    return len(list(traceback.walk_tb(error.__traceback__)))


async def test_an_error_that_many_raise_keeps_its_traceback(kind: Kind) -> None:
    """However many wait for a failed app, or look at it again, the traceback is that of the failure and of the last one to raise it."""

    def update(model: int, msg: int) -> gs.Step[int, int]:
        raise ValueError("boo")

    app = kind.start(gs.Program(lambda: (0, ()), update))
    await app.ready_async()
    app.send(1)
    lengths = set()
    for _ in range(5):
        for wait in (app.wait_async, app.watch(since=1).get_async, app.changes().get_async):  # of what has failed already
            with pytest.raises(ValueError, match="boo") as raised:
                await wait()
        lengths.add(entries(raised.value))
    assert len(lengths) == 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks are never eager")
async def test_an_app_begins_when_whoever_starts_it_has_it() -> None:
    """Where tasks are eager, too: an init that fails in a program of many keys is raised from the block."""
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]

    def init(key: str) -> Any:
        raise KeyError(key)

    apps = gs.start_keyed_async(gs.Program(init, lambda model, msg: (model, ())))
    with pytest.raises(ExceptionGroup, match="failed"):
        async with apps:
            apps["a"].send(1)


async def test_what_is_sent_after_a_failure_is_told_of_it(kind: Kind) -> None:
    """To say only that something is closed would leave whoever sends without the reason."""

    def update(model: int, msg: int) -> gs.Step[int, int]:
        raise ValueError(f"no {msg}")

    app = kind.start(gs.Program(lambda: (0, ()), update))
    with pytest.raises(ValueError, match="no 1"):
        await kind(app, "apply", 1)
    for use in (lambda: kind(app, "apply", 2), lambda: kind(app, "ask", 2), lambda: asyncio.to_thread(app.send, 2)):
        with pytest.raises(gs.Closed, match="has failed with a ValueError") as told:
            await use()
        assert isinstance(told.value.__cause__, ValueError)
