"""An aggregate of partitions that is interrupted, cancelled, or run with threads that change at every step, loses and repeats nothing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Generator, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from interrupts import Interrupt
from streams_support import TALLY, Add, Tally, begin, key_of, log_of, update

import go_state as gs
from go_state.testing.streams.log import AsyncLogSource

WHOLE = {"p0k0": 3, "p1k0": 3}


def counts(store: Any) -> dict[str, int]:
    """Read the rest, and return how many messages each model has."""
    result = gs.aggregate(TALLY, log_of(2, 3).source(ends=True), store=store, key=key_of)
    return {key: model.count for key, model in result.models.items()}


@pytest.mark.slow
def test_ctrl_c_at_many_points() -> None:
    """What was saved stays, the rest is read by the next run, and each message counts once."""
    for nth in range(1, 12_000, 211):  # of all points, as many as take seconds
        store, source = gs.MemoryStore(), log_of(2, 3).source(ends=True, at_once=2)
        with suppress(KeyboardInterrupt), Interrupt(nth):
            gs.aggregate(TALLY, source, store=store, key=key_of, snapshots=gs.Snapshots(every=2))
        assert counts(store) == WHOLE, nth


class CancelledAtStep:
    """A coroutine whose task is cancelled as soon as it waits for the nth time."""

    def __init__(self, coroutine: Coroutine[Any, Any, object], nth: int) -> None:
        self._coroutine, self._left = coroutine, nth

    @property
    def has_ended_before(self) -> bool:
        return self._left > 0

    def __await__(self) -> Generator[Any, Any, None]:
        task, step = asyncio.current_task(), partial(self._coroutine.send, None)
        assert task is not None
        while True:
            try:
                wait = step()
            except StopIteration:
                return
            self._left -= 1
            if self._left == 0:
                asyncio.get_running_loop().call_soon(task.cancel)
            try:
                step = partial(self._coroutine.send, (yield wait))
            except BaseException as error:
                step = partial(self._coroutine.throw, error)


@pytest.mark.slow
@pytest.mark.parametrize("in_thread", [True, False])
def test_a_cancellation_at_every_step(in_thread: bool) -> None:
    """Wherever its task is cancelled, what was saved is whole, and the source is closed."""

    async def act(nth: int) -> bool:
        store, log = gs.MemoryStore(), log_of(2, 3).source(ends=True, at_once=2)
        source: Any = log if in_thread else AsyncLogSource(log)
        options: Any = {"snapshots": gs.Snapshots(every=1)}
        step = CancelledAtStep(gs.aggregate_async(TALLY, source, store=store, key=key_of, **options), nth)
        with suppress(asyncio.CancelledError):
            await asyncio.ensure_future(step)
        assert all(reading.is_closed for reading in log.readings)
        assert await asyncio.to_thread(counts, store) == WHOLE
        return step.has_ended_before

    nth = 1
    while not asyncio.run(act(nth)):
        nth += 1
    assert nth >= 10, "it has more steps than that"


@pytest.fixture
def _quick_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_quick_switches")
@pytest.mark.parametrize("loop", [False, True])
def test_commands_of_many_partitions_in_threads(loop: bool) -> None:
    """Arrivals from threads wake the holder, whenever they come: none is slept through."""

    def asking(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        if msg.n % 2 == 0:
            return update(model, msg)[0], [gs.Cmd.call(Add, msg.key, msg.n + 1, ok=_same, thread=True)]
        return update(model, msg)

    log = log_of(20, 0)
    for partition in log.records:
        log.put(partition, Add(f"k{partition}", 0))
    program = gs.Program(begin, asking, name="T")
    store = gs.MemoryStore()
    if loop:
        result = asyncio.run(gs.aggregate_async(program, log.source(ends=True), store=store, key=key_of))
    else:
        result = gs.aggregate(program, log.source(ends=True), store=store, key=key_of)
    assert dict(result.models) == {f"k{partition}": Tally(2, 1) for partition in log.records}


def _same(message: Add) -> Add:
    return message
