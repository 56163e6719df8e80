"""Histories of every kind."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from history_worlds import BONUS, KINDS, Sale, World, Worlds, keyed, plain
from postgres_server import PostgresServer, postgres_server

__all__ = ["postgres_server"]


@pytest.fixture
def make_world(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[Callable[..., World]]:
    worlds = Worlds(tmp_path, postgres_server)
    with worlds.ends:
        yield worlds.make


def some_sales(number: int = 40) -> list[Sale]:
    """Return sales of three shops and the office, with refunds, and some that lead to another message."""
    chance = random.Random(7)
    amounts = [BONUS if index % 9 == 4 else chance.choice([-3, 1, 2, 5]) for index in range(number)]
    return [Sale(chance.choice(["office", "north", "south"]), amount) for amount in amounts]


@pytest.fixture(params=[f"{kind}, {of}" for kind in KINDS for of in ("plain", "keyed")])
def world(request: pytest.FixtureRequest, make_world: Callable[..., World]) -> World:
    kind, _, of = request.param.rpartition(", ")
    return make_world(kind, keyed if of == "keyed" else plain, some_sales())
