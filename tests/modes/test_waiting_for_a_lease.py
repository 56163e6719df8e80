"""While somebody else has the journal, and `lease="wait"`, nobody waits longer than was asked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import postgres_server as servers
import pytest

import go_state as gs
from go_state.storage.backends.lmdb.leases.byte_locks import LeaseLocks
from go_state.storage.journal.journal import Journal
from go_state.storage.records.lease import LeaseWait


def update(model: tuple[int, ...], msg: int) -> gs.Step[tuple[int, ...], int]:
    return (*model, msg), [gs.Cmd.reply(len(model))]


def init() -> gs.Step[tuple[int, ...], int]:
    return (), ()


program = gs.Program(init, update)
postgres_server = servers.postgres_server
durabilities = pytest.mark.parametrize("durability", ["group", "put"])


class Other:
    """Somebody else who has the journal."""

    def __init__(self, path: Path) -> None:
        self._lease = LeaseLocks(str(path)).lease("bot")
        self._lease.acquire()

    def ends(self) -> None:
        self._lease.release()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bot.lmdb"


@pytest.fixture
def store(path: Path) -> Iterator[gs.LMDBStore]:
    with gs.LMDBStore(path) as opened:
        yield opened


@pytest.fixture
def other(path: Path, store: gs.LMDBStore) -> Iterator[Other]:
    somebody = Other(path)
    yield somebody
    somebody.ends()


@pytest.fixture
def journal(store: gs.LMDBStore) -> Journal[int]:
    found: Journal[int] = store.journal("bot", of=int, lease="wait")
    return found


def test_a_task_that_waits_can_be_cancelled(journal: Journal[int], other: Other) -> None:
    """A put on a loop ends with its timeout, the second as the first, and what they wait for is taken once it is free."""

    async def main() -> None:
        first = asyncio.create_task(journal.put_async(1))
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(journal.put_async(2), 0.05)
        other.ends()
        await first
        await journal.close_async()

    asyncio.run(asyncio.wait_for(main(), 30))
    assert journal.slice() == [1]


def test_a_closed_journal_is_not_waited_for(journal: Journal[int], other: Other) -> None:
    """Every task that waits to put is told."""

    async def main() -> list[Any]:
        putting = [asyncio.create_task(journal.put_async(number)) for number in range(3)]
        await asyncio.sleep(0)
        await journal.close_async()
        return await asyncio.gather(*putting, return_exceptions=True)

    assert [type(error) for error in asyncio.run(asyncio.wait_for(main(), 30))] == [gs.errors.UsedAfterClose] * 3


def test_a_journal_is_read_while_a_task_waits_to_put(store: gs.LMDBStore, path: Path) -> None:
    """What is on disk is given at once."""
    with store.journal("bot", of=int) as before:
        before.put(7)
    other, journal = Other(path), store.journal("bot", of=int, lease="wait")

    async def main() -> int:
        reader, putting = journal.consumer(), asyncio.create_task(journal.put_async(1))
        await asyncio.sleep(0)
        found: int = await asyncio.wait_for(reader.get_async(), 10)
        other.ends()
        await putting
        await reader.close_async()
        return found

    assert asyncio.run(asyncio.wait_for(main(), 30)) == 7


def test_who_waits_behind_another_can_stop_waiting(journal: Journal[int], other: Other) -> None:
    """Of two who wait for the lease each gives up by itself."""
    waits = [LeaseWait(), LeaseWait()]

    def wait(given_up: LeaseWait) -> None:
        with pytest.raises(gs.Closed):
            journal.lease.acquire(given_up=given_up)
        ended.append(given_up)

    ended: list[LeaseWait] = []
    threads = [threading.Thread(target=wait, args=(each,)) for each in waits]
    for thread in threads:
        thread.start()
    for given_up, thread in zip(reversed(waits), reversed(threads), strict=True):
        given_up.set()
        thread.join(20)
    assert ended == waits[::-1]


def test_a_lease_that_cannot_be_taken_is_told_with_advice(path: Path, store: gs.LMDBStore) -> None:
    """What the system says of its file is not raised as it is."""
    for number in "0123456789abcdef":
        Path(f"{path}-owners-{number}").mkdir()
    with pytest.raises(gs.errors.StoreUnavailable, match=r"cannot be taken .*: check that it can be read and written"):
        store.journal("bot", of=int).put(1)


def waiting(store: gs.LMDBStore, **how: Any) -> gs.App[tuple[int, ...], int]:
    return gs.start(program, store=store, key="bot", lease="wait", **how)


@durabilities
def test_no_call_waits_longer_than_it_was_asked_to(store: gs.LMDBStore, other: Other, durability: Any) -> None:
    """Send returns, apply and stop hold their timeout, and stop without draining ends the app."""
    app = waiting(store, durability=durability)
    app.send(1)
    with pytest.raises(gs.TimedOut):
        app.apply(2, timeout=0.05)
    assert app.statistics().queue_size == 2
    with pytest.raises(gs.TimedOut, match="2 messages are left"):
        app.stop(timeout=0.05)
    app.stop(drain=False)
    assert isinstance(app.error, gs.errors.LeaseHeld), "two messages were accepted and not written"


@durabilities
def test_the_same_on_an_event_loop(store: gs.LMDBStore, other: Other, durability: Any) -> None:
    """Every wait ends in time, and an app that was sent nothing ends at once."""

    async def main() -> None:
        app = gs.start_async(program, store=store, key="bot", lease="wait", durability=durability)
        with pytest.raises(gs.TimedOut):
            await app.ready_async(0.05)
        with pytest.raises(gs.TimedOut):
            await app.ask_async(2, timeout=0.05)
        await app.stop_async(drain=False)
        unused = gs.start_async(program, store=store, key="bot", lease="wait", durability=durability)
        await unused.stop_async()
        with pytest.raises(gs.Closed):
            await unused.wait_async()

    before = set(threading.enumerate())
    asyncio.run(asyncio.wait_for(main(), 30))
    assert not set(threading.enumerate()) - before


@durabilities
def test_what_was_sent_meanwhile_has_its_turn(store: gs.LMDBStore, other: Other, durability: Any) -> None:
    """Messages wait for the lease in the order in which they were sent, and before those that are sent later."""
    app = waiting(store, durability=durability)
    app.send(1)
    app.send(2, 3)
    other.ends()
    with app:
        assert app.ask(4, timeout=30) == 3
        app.send(5)
    assert app.model == (1, 2, 3, 4, 5)
    assert list(store.journal("bot", of=int).slice()) == [1, 2, 3, 4, 5]


def test_a_loop_sends_while_the_lease_is_waited_for(store: gs.LMDBStore, other: Other) -> None:
    """The answer comes once the other has ended."""

    async def main() -> Any:
        app = gs.start_async(program, store=store, key="bot", lease="wait")
        asking = asyncio.create_task(app.ask_async(1))
        await asyncio.sleep(0)
        other.ends()
        async with app:
            return await asking

    assert asyncio.run(asyncio.wait_for(main(), 30)) == 0


def test_ctrl_c_ends_the_entering_of_a_block(store: gs.LMDBStore, other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block is left with it, and the app has ended."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    app = waiting(store)
    monkeypatch.setattr(app, "ready", interrupted)
    with pytest.raises(KeyboardInterrupt):
        app.__enter__()
    assert app.state == "stopped"


def test_a_put_that_waits_ends_when_the_journal_is_closed(store: gs.LMDBStore, other: Other) -> None:
    """The thread that closes does not wait, and the message has not entered."""
    journal = store.journal("bot", of=int, lease="wait")
    told: list[BaseException] = []

    def put() -> None:
        try:
            journal.put(1)
        except gs.Closed as error:
            told.append(error)

    thread = threading.Thread(target=put)
    thread.start()
    journal.close()
    thread.join(30)
    assert len(told) == 1


@pytest.mark.slow
def test_a_lease_of_a_database_is_given_up_as_well(postgres_server: servers.PostgresServer) -> None:
    """The app ends while the session of another holds the lock, and keeps no connection."""
    dsn, schema = postgres_server.dsn, postgres_server.fresh_schema()
    with (
        gs.PostgresStore(dsn, schema=schema) as first,
        gs.start(program, store=first, key="bot"),
        gs.PostgresStore(dsn, schema=schema) as second,
    ):
        app = gs.start(program, store=second, key="bot", lease="wait")
        with pytest.raises(gs.TimedOut):
            app.apply(1, timeout=0.05)
        with pytest.raises(gs.TimedOut):
            app.stop(timeout=0.05)
        app.stop(drain=False, timeout=30)
        assert isinstance(app.error, gs.errors.LeaseHeld)
