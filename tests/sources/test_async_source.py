"""A source that is read on an event loop, with positions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from streams_support import TALLY, Add, Tally, key_of

import go_state as gs
from go_state.core.errors import SourceChanged


class Letters:
    """A list of messages that come one by one, each after the loop has had its turn."""

    def __init__(self, messages: list[Any], kind: str = "one") -> None:
        self.name = "letters"
        self.messages = messages
        self.kind = kind
        self.closed = 0

    def fingerprint(self) -> str:
        return self.kind

    def recognise(self, fingerprint: str) -> None:
        if fingerprint != self.kind:
            raise SourceChanged(self.name, "it is another kind")

    def read_async(self, after: Any = None) -> Pass:
        return Pass(self, 0 if after is None else after)


class Pass:
    def __init__(self, source: Letters, position: int) -> None:
        self.source = source
        self.position = position

    async def __aiter__(self) -> AsyncIterator[Any]:
        for message in self.source.messages[self.position :]:
            await asyncio.sleep(0)
            self.position += 1
            yield message
        if not self.source.messages:
            await asyncio.sleep(60)

    async def close_async(self) -> None:
        self.source.closed += 1


async def test_it_is_read_on_from_its_position() -> None:
    """Each message counts once, and the pass is closed."""
    store, letters = gs.MemoryStore(), Letters([Add("k", 0), Add("k", 1)])
    first = await gs.aggregate_async(TALLY, letters, store=store, key=key_of)
    assert (first.processed, first.position, letters.closed) == (2, 2, 1)
    letters.messages.append(Add("k", 2))
    second = await gs.aggregate_async(TALLY, letters, store=store, key=key_of)
    assert (second.processed, second.models["k"]) == (1, Tally(3, 2))
    whole = await gs.aggregate_async(TALLY, letters, store=store, key="one model")
    assert (whole.processed, whole.position) == (3, 3)


async def test_a_save_has_the_position_of_what_had_its_turn() -> None:
    """Also while the next message is on its way."""
    positions: list[int] = []
    letters = Letters([Add("k", n) for n in range(6)])
    await gs.aggregate_async(
        TALLY,
        letters,
        store=gs.MemoryStore(),
        key=key_of,
        snapshots=gs.Snapshots(every=2),
        budget=30,
        on_commit=lambda _, position: positions.append(position),
    )
    assert positions == [2, 4, 6]


async def test_another_source_raises() -> None:
    """It is known again, as every source is."""
    store = gs.MemoryStore()
    await gs.aggregate_async(TALLY, Letters([Add("k", 0)]), store=store, key=key_of)
    with pytest.raises(SourceChanged):
        await gs.aggregate_async(TALLY, Letters([Add("k", 0)], "two"), store=store, key=key_of)


async def test_a_budget_ends_a_wait_for_it() -> None:
    """And closes it."""
    letters = Letters([])
    result = await gs.batch_async(TALLY, letters, budget=0.05)
    assert (result.ended, letters.closed) == ("budget", 1)


def test_a_thread_is_told_what_to_use() -> None:
    """The twin for event loops."""
    with pytest.raises(gs.UsageError, match="batch_async or aggregate_async"):
        gs.batch(TALLY, Letters([]))
