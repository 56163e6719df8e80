"""`stop(drain=False)` ends an app after the turn that is being taken, however that turn ends: nothing else of the program runs."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from app_support import KINDS, Kind

import go_state as gs


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    """Give each kind of app."""
    with ExitStack() as ends:
        yield Kind(request.param, tmp_path, ends)


async def taken_by(kind: Kind, update: Any, messages: range, **options: Any) -> list[Any]:
    """Start an app, send it the messages together, wait for its end, and return what its program has done."""
    done: list[Any] = []

    def step(model: int, msg: int) -> gs.Step[int, int]:
        made: gs.Step[int, int] = update(app, done, model, msg)
        return made

    app = kind.start(gs.Program(lambda: (0, ()), step), **options)
    await kind(app, "ready", timeout=20)
    app.send(*messages)
    await kind(app, "wait", 20)
    return done


async def test_a_turn_that_asks_and_is_set_aside_is_the_last(kind: Kind) -> None:
    """The message after one that is set aside stays in the queue."""

    def update(app: Any, done: list[Any], model: int, msg: int) -> gs.Step[int, int]:
        done.append(msg)
        if msg == 12:
            app.stop(drain=False)
            raise ValueError("twelve")
        return model + 1, ()

    assert await taken_by(kind, update, range(40), on_error=gs.SetAside(gs.Buffer())) == list(range(13))


async def test_a_turn_whose_message_cannot_be_stored_is_the_last(tmp_path: Path) -> None:
    """The same of a turn that is set aside at its commit."""

    def update(app: Any, done: list[Any], model: int, msg: int) -> gs.Step[int, Any]:
        done.append(msg)
        if msg == 12:
            app.stop(drain=False)
            return model, [gs.Cmd.send("no number, which is all that the journal stores")]
        return model + 1, ()

    with ExitStack() as ends:
        kind = Kind("thread journal", tmp_path, ends)
        assert await taken_by(kind, update, range(40), on_error=gs.SetAside(gs.Buffer())) == list(range(13))


async def test_what_commands_have_produced_is_not_delivered_after_it(kind: Kind) -> None:
    """Neither `ok=` nor what follows in a `seq` is called once the turn that has asked for the end is over."""
    returned = threading.Event()

    def update(app: Any, done: list[Any], model: int, msg: int) -> gs.Step[int, int]:
        done.append(msg)
        if msg == 0:
            call = gs.Cmd.call(returned.set, ok=lambda _: done.append("ok"), thread=True)
            return model, [gs.Cmd.seq(call, lambda: done.append("then"))]
        if msg == 1:
            returned.wait(20)
            while not app.life.manager.has_arrivals and "then" not in done:
                time.sleep(0.001)  # the command's thread has a step to go
            app.stop(drain=False)
        return model + 1, ()

    done = await asyncio.wait_for(taken_by(kind, update, range(2)), 40)
    assert [each for each in done if each not in ("ok", "then")] == [0, 1]
    assert done[-1] == 1
