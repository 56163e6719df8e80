"""Histories of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from history_worlds import KINDS, World, Worlds, keyed, plain, some_sales
from postgres_server import postgres_server

__all__ = ["postgres_server"]


@pytest.fixture
def make_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., World]]:
    worlds = Worlds(tmp_path, lambda: request.getfixturevalue("postgres_server"))
    with worlds.ends:
        yield worlds.make


@pytest.fixture(params=[f"{kind}, {of}" for kind in KINDS for of in ("plain", "keyed")])
def world(request: pytest.FixtureRequest, make_world: Callable[..., World]) -> World:
    kind, _, of = request.param.rpartition(", ")
    return make_world(kind, keyed if of == "keyed" else plain, some_sales())
