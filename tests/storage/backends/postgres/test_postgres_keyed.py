"""Keyed programs on Postgres: woken by the times in the store, and writing together."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

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
