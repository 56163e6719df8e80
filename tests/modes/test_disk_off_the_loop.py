"""No mode uses the disk on the thread of an event loop, in none of its phases, nor an executor that is not its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import postgres_server as servers
import pytest
from no_disk_on_the_loop import WatchedLMDBStore, WatchedPostgresStore, run_watched

import go_state as gs


@dataclass(frozen=True)
class Sum:
    total: int = 0
    last: float = 0.0


@dataclass(frozen=True)
class Add:
    by: int


@dataclass(frozen=True)
class Call:
    """Calls a command that does not end by itself."""


@dataclass(frozen=True)
class Bad:
    """Makes update fail."""


Msg = Add | Call | Bad


def init() -> gs.Step[Sum, Msg]:
    return Sum(), ()


async def hang() -> None:
    await asyncio.Event().wait()


def update(model: Sum, msg: Msg, turn: gs.Turn) -> gs.Step[Sum, Msg]:
    match msg:
        case Add(by):
            return replace(model, total=model.total + by, last=turn.at), [gs.Cmd.reply(model.total + by)]
        case Call():
            return model, [gs.Cmd.call(hang)]
        case Bad():
            raise ValueError("bad")


program = gs.Program(init, update)
durabilities = pytest.mark.parametrize("durability", ["group", "put"])


postgres_server = servers.postgres_server
Watched = WatchedLMDBStore | WatchedPostgresStore


@pytest.fixture(params=["lmdb", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    if request.param == "lmdb":
        with WatchedLMDBStore(tmp_path / "state.lmdb") as opened:
            yield opened
        return
    server: servers.PostgresServer = request.getfixturevalue("postgres_server")
    with WatchedPostgresStore(server.dsn, schema=server.fresh_schema()) as database:
        yield database


def app(store: Watched, **how: Any) -> gs.App[Sum, Msg]:
    return gs.start_async(program, store=store, key="bot", **how)


@durabilities
def test_an_app_from_its_opening_to_its_end(store: Watched, durability: Any) -> None:
    """Messages before the first model, after an idle moment, at once and one by one."""

    async def main() -> Sum:
        opened = app(store, durability=durability, snapshots=gs.Snapshots(every=3, keep=2))
        opened.send(Add(1))
        async with opened:
            assert await opened.ask_async(Add(1)) == 2
            for _ in range(3):
                await opened.apply_async(Add(1))
                await asyncio.sleep(0)
            opened.send(Add(1), Add(1))
            await asyncio.gather(*(opened.apply_async(Add(1)) for _ in range(20)))
            assert opened.statistics().processed == 27
            opened.send(Add(1))
        return opened.model

    assert run_watched(main(), store.seen).total == 28


@durabilities
def test_a_restart_replays_and_resumes(store: Watched, durability: Any) -> None:
    """What a life that failed has left is replayed, and its commands go on."""

    async def left() -> None:
        async with app(store, durability=durability) as opened:
            for _ in range(2000):
                opened.send(Add(1))
            opened.send(Call())
            await opened.apply_async(Add(1))
            opened.send(Bad())

    async def main() -> Sum:
        with pytest.raises(ValueError, match="bad"):
            await left()
        async with app(store, durability=durability, on_error=gs.SetAside(gs.Buffer())) as opened:
            assert opened.statistics().commands_running == 1
            model = await opened.apply_async(Add(1))
            await opened.stop_async(drain=False)
            return model

    assert run_watched(main(), store.seen).total == 2002


@durabilities
def test_a_backlog_on_disk_is_read(store: Watched, durability: Any) -> None:
    """Messages of a journal that is written before any program reads it."""
    journal = store.journal("bot", of=Msg, durability=durability)
    for _ in range(3):
        journal.put(*map(Add, [1] * 2000))
    journal.close()
    model = run_watched(gs.run_async(program, journal, store=store, key="bot"), store.seen)
    assert model.total == 6000


def test_retention_forgets(store: Watched) -> None:
    """Messages that a snapshot covers are deleted."""

    async def main() -> None:
        how = gs.Snapshots(every=1500)
        async with app(store, snapshots=how, retention=gs.Retain(messages=0)) as opened:
            for _ in range(4000):
                opened.send(Add(1))
            await opened.apply_async(Add(1))

    run_watched(main(), store.seen)
    assert store.journal("bot").statistics().start > 0


@durabilities
def test_a_failing_program_ends(store: Watched, durability: Any) -> None:
    """A message that update fails on ends the app, and one that is set aside does not."""

    async def main() -> None:
        async with app(store, durability=durability, on_error=gs.SetAside(gs.Buffer())) as opened:
            with pytest.raises(ValueError, match="bad"):
                await opened.apply_async(Bad())
            await opened.apply_async(Add(1))
        with pytest.raises(ValueError, match="bad"):
            await left_by_a_bad_message()

    async def left_by_a_bad_message() -> None:
        async with app(store, durability=durability) as opened:
            opened.send(Bad())
            await opened.wait_async()

    run_watched(main(), store.seen)


@durabilities
def test_a_cancelled_run_ends(store: Watched, durability: Any) -> None:
    """Its cursor is written before the task has ended."""
    journal = store.journal("bot", of=Msg, durability=durability)
    journal.put(Add(1))

    async def main() -> None:
        shown = asyncio.Event()
        seen = replace(program, view=lambda model: shown.set() if model.total else None)
        task = asyncio.create_task(gs.run_async(seen, journal, store=store, key="bot"))
        await shown.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    run_watched(main(), store.seen)
    assert journal.cursors()["program"] == 1


def test_an_app_that_is_cancelled_before_it_begins(store: Watched) -> None:
    """It has ended, and what was sent to it is written by whoever opens its journal next."""

    async def main() -> None:
        opened = app(store)
        opened.send(Add(1))
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            if task.get_name().startswith("go_state"):
                task.cancel()
        with pytest.raises(gs.Closed):
            await opened.wait_async()

    run_watched(main(), store.seen)
    assert store.journal("bot", of=Msg).slice() == [Add(1)]


def test_programs_of_many_keys(store: Watched) -> None:
    """They are opened, put to rest and opened again."""

    async def main() -> None:
        async with gs.start_keyed_async(program, store=store, limit=2) as apps:
            for number in range(6):
                apps[f"{number % 3}"].send(Add(1))
                await apps[f"{number % 3}"].apply_async(Add(1))

    run_watched(main(), store.seen)


def test_a_thread_sends_to_an_app_on_a_loop(store: Watched) -> None:
    """A thread that waits for its own put does not make the loop wait."""

    async def main() -> Sum:
        async with app(store, durability="put") as opened:
            threads = [threading.Thread(target=opened.send, args=(Add(1),)) for _ in range(5)]
            for thread in threads:
                thread.start()
            await opened.watch().get_async(where=lambda model: model.total == 5)
            for thread in threads:
                thread.join()
        return opened.model

    assert run_watched(main(), store.seen).total == 5


def test_a_coroutine_sends_to_an_app_in_a_thread(store: Watched) -> None:
    """The app's own thread writes what comes from a loop."""

    async def main(opened: gs.App[Sum, Msg]) -> Sum:
        opened.send(Add(1))
        return await opened.apply_async(Add(1))

    with gs.start(program, store=store, key="bot", durability="put") as opened:
        assert run_watched(main(opened), store.seen).total == 2
