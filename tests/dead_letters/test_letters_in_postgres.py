"""Letters in Postgres: the same promises, and pages that are read in order."""

from __future__ import annotations

from dataclasses import dataclass

import postgres_server as servers
import pytest
from postgres_server import PostgresServer

import go_state as gs
from go_state.storage.letters.box import names

postgres_server = servers.postgres_server
pytestmark = pytest.mark.processes


@dataclass(frozen=True)
class Add:
    by: int


def update(model: int, msg: Add) -> gs.Step[int, Add]:
    if msg.by < 0:
        raise ValueError
    return model + msg.by, ()


def mended(model: int, msg: Add) -> gs.Step[int, Add]:
    return model + msg.by, ()


before: gs.Program[int, Add] = gs.Program(lambda: (0, ()), update, name="sum")
after: gs.Program[int, Add] = gs.Program(lambda: (0, ()), mended, name="sum")


def test_letters_in_postgres(postgres_server: PostgresServer) -> None:
    """An aggregate and a journalled program write them, a retry folds them, and more than a page of them is in order."""
    with gs.PostgresStore(postgres_server.dsn, schema=postgres_server.fresh_schema()) as store:
        letters, others = gs.DeadLetters(store, "night"), gs.DeadLetters(store, "bot")
        messages = [Add(1 if number % 2 else -1) for number in range(1200)]
        found = gs.aggregate(before, messages, store=store, key="n", on_error=gs.SetAside(letters))
        assert (found.model, found.letters) == (600, 600)
        assert [letter.position for letter in letters] == list(range(0, 1200, 2))
        with gs.start(before, store=store, key="bot", on_error=gs.SetAside(others)) as app:
            app.send(Add(-4))
            app.apply(Add(1))
        assert names(store) == ["bot", "night"]
        first = next(iter(letters))
        assert letters.drop(first.id) == 1
        assert letters.retry(after, key="n").done == 599
        assert gs.load_model(after, store=store, key="n") == 1
        assert others.retry(after).done == 1
        with gs.start(after, store=store, key="bot") as app:
            assert app.apply(Add(10)) == 7
        assert names(store) == []
