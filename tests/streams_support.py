"""What the tests of partitioned sources share: a program that refuses messages out of order, and the three ways to read a source."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import go_state as gs
from go_state.testing.streams.log import AsyncLogSource, LogSource, PartitionedLog


@dataclass(frozen=True)
class Tally:
    count: int = 0
    last: int = -1


@dataclass(frozen=True)
class Add:
    key: str
    n: int


def update(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
    assert msg.n == model.last + 1, f"{msg.key}: {msg.n} after {model.last}"
    return Tally(model.count + 1, msg.n), ()


def begin() -> gs.Step[Tally, Add]:
    return Tally(), ()


TALLY = gs.Program(begin, update, name="Tally")


def key_of(msg: Add) -> str:
    return msg.key


def log_of(partitions: int, each: int, keys: int = 1) -> PartitionedLog[Add]:
    """Return a log with so many messages in each partition, over keys of its own."""
    log: PartitionedLog[Add] = PartitionedLog(partitions)
    for partition in log.records:
        log.put(partition, *(Add(f"p{partition}k{n % keys}", n // keys) for n in range(each)))
    return log


@dataclass(frozen=True)
class Reads:
    """A way to read a log."""

    name: str
    aggregate: Callable[..., Any]


def _thread(program: Any, source: LogSource[Any], **options: Any) -> Any:
    return gs.aggregate(program, source, **{"key": key_of, **options})


def _loop_over_thread(program: Any, source: LogSource[Any], **options: Any) -> Any:
    return asyncio.run(gs.aggregate_async(program, source, **{"key": key_of, **options}))


def _loop(program: Any, source: LogSource[Any], **options: Any) -> Any:
    return asyncio.run(gs.aggregate_async(program, AsyncLogSource(source), **{"key": key_of, **options}))


WAYS = [Reads("thread", _thread), Reads("loop over a thread", _loop_over_thread), Reads("loop", _loop)]


@pytest.fixture(params=WAYS, ids=lambda each: each.name)
def reads(request: pytest.FixtureRequest) -> Reads:
    """Give each way; a test module makes it its own by `reads = streams_support.reads`."""
    found: Reads = request.param
    return found
