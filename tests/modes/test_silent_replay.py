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


def counting(seen: Callable[[int], object], view: Callable[[int], object] | None = None) -> gs.Program[int, int]:
    """Return a program that tells which messages it is given, and which models it shows."""

    def update(model: int, msg: int) -> gs.Step[int, int]:
        seen(msg)
        return model + 1, ()

    return gs.Program(init, update, view=view)


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
    shown: list[int] = []

    async def main() -> None:
        program = counting(lambda _: threads.add(threading.current_thread()), shown.append)
        async with gs.start_async(program, store=store, key="bot"):
            pass

    asyncio.run(main())
    assert shown[0] == COUNT  # the message on which the other program failed is processed after that
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
    shown: list[int] = []
    with gs.start(counting(lambda _: None, shown.append), store=store, key="bot"):
        pass
    assert shown[0] == COUNT


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
