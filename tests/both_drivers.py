"""Both drivers under one name."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import go_state as gs


@dataclass(frozen=True)
class Drivers:
    """The modes under one driver."""

    name: str
    run: Callable[..., Any]
    batch: Callable[..., Any]
    aggregate: Callable[..., Any]


def _blocking(mode: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: asyncio.run(mode(*args, **kwargs))


THREAD = Drivers("thread", gs.run, gs.batch, gs.aggregate)
LOOP = Drivers("loop", _blocking(gs.run_async), _blocking(gs.batch_async), _blocking(gs.aggregate_async))


@pytest.fixture(params=[THREAD, LOOP], ids=lambda each: each.name)
def drivers(request: pytest.FixtureRequest) -> Drivers:
    """Give the modes in a thread, then on an event loop; a test module makes it its own by `drivers = <module>.drivers`."""
    found: Drivers = request.param
    return found
