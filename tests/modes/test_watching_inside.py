"""Watching an app from inside: in a turn it would never end, and in a command it ends when nothing but commands is left of the app."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from app_support import KINDS, Kind

import go_state as gs

LONG = 30.0  # seconds: what hangs fails here


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    with ExitStack() as ends:
        yield Kind(request.param, tmp_path, ends)


async def test_waiting_for_a_change_in_a_turn_is_refused(kind: Kind) -> None:
    """A turn that waits for a change of its own app would wait for itself."""

    def update(model: int, msg: str) -> gs.Step[int, str]:
        app.changes().get(LONG)
        return model + 1, ()

    app = kind.start(gs.Program(lambda: (0, ()), update))
    with pytest.raises(gs.UsageError, match="waits for a turn"):
        await kind(app, "apply", "go")


@pytest.mark.slow
@pytest.mark.parametrize("what", [lambda app: app.watch(), lambda app: app.changes()])
async def test_a_command_that_follows_its_app_ends_with_it(kind: Kind, what: Callable[[Any], AsyncIterator[Any]]) -> None:
    """What a command follows gives every newest model until no other turn comes, and then ends; the block does not wait for more."""

    async def follow() -> None:
        async for _ in what(app):
            pass

    def update(model: int, msg: str) -> gs.Step[int, str]:
        return model + 1, [gs.Cmd.call(follow)] if msg == "follow" else ()

    app = kind.start(gs.Program(lambda: (0, ()), update))

    async def body() -> None:
        await kind(app, "apply", "follow")
        await kind(app, "apply", "more")

    async with asyncio.timeout(LONG):
        await kind.within(app, body)
    assert app.state == "stopped"


async def test_a_command_in_a_thread_that_follows_its_app_ends_with_it(kind: Kind) -> None:
    """It ends in a thread as it does in a task, and nothing is left running."""

    def follow() -> None:
        for _ in app.watch():
            pass

    def update(model: int, msg: str) -> gs.Step[int, str]:
        return model + 1, [gs.Cmd.call(follow, thread=True)]

    app = kind.start(gs.Program(lambda: (0, ()), update))

    async def body() -> None:
        await kind(app, "apply", "follow")

    async with asyncio.timeout(LONG):
        await kind.within(app, body)
    assert not app.cancelled
