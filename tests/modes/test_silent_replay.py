"""The replay with which a durable run begins belongs to the run's own thread or task, and can be ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import go_state as gs

COUNT = 5000


def init() -> gs.Step[int, int]:
    return 0, ()


def counting(seen: Callable[[int], object]) -> gs.Program[int, int]:
    """Return a program that tells which messages it is given."""

    def update(model: int, msg: int) -> gs.Step[int, int]:
        seen(msg)
        return model + 1, ()

    return gs.Program(init, update)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[gs.LMDBStore]:
    """Give a store in which many messages lie between the snapshot and where the program has come."""
    with gs.LMDBStore(tmp_path / "bot.lmdb") as opened:
        with suppress(ZeroDivisionError), gs.start(counting(lambda msg: 1 // (msg + 1)), store=opened, key="bot") as app:
            for number in range(COUNT):
                app.send(number)
            app.apply(-1)  # on which it fails
        yield opened


def test_updates_are_called_on_the_loop(store: gs.LMDBStore) -> None:
    """A resource that belongs to the loop's thread may be used by update in a replay as well."""
    threads: set[threading.Thread] = set()

    async def main() -> int:
        program = counting(lambda _: threads.add(threading.current_thread()))
        async with gs.start_async(program, store=store, key="bot") as app:
            return app.model

    assert asyncio.run(main()) == COUNT
    assert threads == {threading.current_thread()}


def test_a_replay_on_a_loop_can_be_cancelled(store: gs.LMDBStore) -> None:
    """It ends in the middle, and the next one goes on from the same place."""
    seen: list[int] = []

    async def main() -> None:
        task: asyncio.Task[Any]

        def cancel(message: int) -> None:
            seen.append(message)
            if message == 100:
                task.cancel()

        task = asyncio.create_task(gs.run_async(counting(cancel), store=store, key="bot"))
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert 100 <= len(seen) < COUNT
    with gs.start(counting(lambda _: None), store=store, key="bot") as app:
        assert app.model == COUNT


def test_a_replay_in_a_thread_can_be_ended(store: gs.LMDBStore) -> None:
    """An app that is asked to end without draining does not replay to the end first."""
    seen: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def wait(message: int) -> None:
        seen.append(message)
        if message == 100:
            begun.set()
            assert go_on.wait(30)

    app = gs.start(counting(wait), store=store, key="bot")
    assert begun.wait(30)
    app.life.ask_to_end(drain=False)
    go_on.set()
    app.stop(timeout=30)
    assert len(seen) < COUNT
