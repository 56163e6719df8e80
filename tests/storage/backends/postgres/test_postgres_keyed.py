"""Keyed programs on Postgres: woken by the times in the store, and writing together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import postgres_server as servers
import pytest
from postgres_server import PostgresServer

import go_state as gs
from go_state.modes.keyed_apps import alarm
from go_state.testing import SimClock

pytestmark = pytest.mark.processes

postgres_server = servers.postgres_server


@dataclass(frozen=True)
class Guild:
    due: Mapping[str, float]
    reminded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Remind:
    what: str
    at: float


@dataclass(frozen=True)
class Due:
    what: str


def update(model: Guild, msg: Remind | Due) -> gs.Step[Guild, Remind | Due]:
    if isinstance(msg, Remind):
        return replace(model, due={**model.due, msg.what: msg.at}), ()
    left = {what: at for what, at in model.due.items() if what != msg.what}
    return replace(model, due=left, reminded=(*model.reminded, msg.what)), ()


def subscriptions(model: Guild) -> list[gs.Sub[Remind | Due]]:
    return [gs.Sub.each(model.due, lambda what, at: gs.Sub.at(at, Due(what)))]


guild: gs.Program[Guild, Remind | Due] = gs.Program(lambda: (Guild({}), ()), update, subscriptions=subscriptions)


def test_what_rests_is_woken_and_writes_share_a_transaction(postgres_server: PostgresServer) -> None:
    """Fifty guilds get their reminders once, from a connection that is another than the one that has stored them."""
    clock, schema = SimClock(), postgres_server.fresh_schema()
    with (
        gs.PostgresStore(postgres_server.dsn, schema=schema) as store,
        gs.start_keyed(guild, store=store, clock=clock) as guilds,
    ):
        for number in range(50):
            guilds.send(str(number), Remind("match", 100.0 + number))
        guilds.settle(60)
    with (
        gs.PostgresStore(postgres_server.dsn, schema=schema) as store,
        gs.start_keyed(guild, store=store, clock=clock) as guilds,
    ):
        assert (guilds.statistics().resting, guilds.statistics().due) == (50, 100.0)
        clock.advance(1000)
        guilds.settle(60)
        assert [guilds[str(number)].model.reminded for number in range(50)] == [("match",)] * 50


def test_what_another_process_runs_is_not_woken_twice(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another connection holds the lease, a program is looked at again now and then, and woken once it is let go."""
    monkeypatch.setattr(alarm, "RETRY", 0.05)
    schema = postgres_server.fresh_schema()
    with (
        gs.PostgresStore(postgres_server.dsn, schema=schema) as one,
        gs.PostgresStore(postgres_server.dsn, schema=schema) as two,
        gs.start_keyed(guild, store=one) as first,
    ):
        first["a"].apply(Remind("soon", time.time() + 0.3))
        first["a"].apply(Remind("later", time.time() + 2.0))
        with gs.start_keyed(guild, store=two) as second:
            while "soon" not in first["a"].model.reminded:
                time.sleep(0.01)
            time.sleep(0.5)  # meanwhile the other looks at it some ten times, and finds that it is not due, or run by another
            assert "a" not in second
            first.stop()
            while "a" not in second:  # nobody uses it: the alarm starts it when it is due
                time.sleep(0.01)
            second["a"].settle(10)
            while len(second["a"].model.reminded) < 2:
                time.sleep(0.01)
            assert second["a"].model.reminded == ("soon", "later")


async def test_a_lease_that_is_lost_takes_no_other_key_along(postgres_server: PostgresServer) -> None:
    """In a write of many journals together one belongs to somebody else by now: that key is told, and the others are written."""
    schema, keys, failed = postgres_server.fresh_schema(), [str(number) for number in range(40)], dict[str, BaseException]()
    with (
        gs.PostgresStore(postgres_server.dsn, schema=schema) as one,
        gs.PostgresStore(postgres_server.dsn, schema=schema) as two,
    ):
        async with gs.start_keyed_async(guild, store=one, on_failed=lambda key, error: failed.update({key: error})) as guilds:
            await asyncio.gather(*(guilds[key].apply_async(Remind("first", 1e12)) for key in keys))
            # The session of the leases ends, of which their holder does not know; its writes have others.
            of_leases = "FROM pg_locks WHERE locktype = 'advisory' GROUP BY pid HAVING count(*) >= 40"
            postgres_server.execute(f"SELECT pg_terminate_backend(pid) {of_leases}")
            async with gs.start_async(guild, store=two, key="7") as other:
                await other.apply_async(Remind("other", 1e12))
                with counted(one) as transactions:
                    told = await asyncio.gather(
                        *(guilds[key].apply_async(Remind("second", 1e12)) for key in keys), return_exceptions=True
                    )
                    await guilds.settle_async(60)
                assert len(transactions) < len(keys)
                assert (await other.apply_async(Remind("last", 1e12))).due.keys() == {"first", "other", "last"}
            assert [key for key, each in zip(keys, told, strict=True) if isinstance(each, BaseException)] == ["7"]
            assert isinstance(told[7], gs.errors.AppEnded)
            assert (failed.keys(), type(failed["7"])) == ({"7"}, gs.errors.LeaseHeld)
            assert all("second" in guilds[key].model.due for key in keys if key != "7")
        for key in keys:
            found = gs.history.peek(guild, two, key)
            assert found is not None
            assert set(found.model.due) == ({"first", "other", "last"} if key == "7" else {"first", "second"})


@contextmanager
def counted(store: gs.PostgresStore) -> Iterator[list[object]]:
    """Count the transactions in which journals are written."""
    together: Any = store.together
    backend, begun = together._backend, list[object]()

    class Counting:
        @contextmanager
        def transaction(self, **options: Any) -> Iterator[Any]:
            begun.append(options)
            with backend.transaction(**options) as transaction:
                yield transaction

    together._backend = Counting()
    try:
        yield begun
    finally:
        together._backend = backend
