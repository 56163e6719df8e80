"""Readers and senders of a journal on an event loop: the loop is given back, and waits for no disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hooked_writes import Writes
from no_disk_on_the_loop import WatchedLMDBStore, run_watched

import go_state as gs
from go_state.storage.journal.journal import Journal


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchedLMDBStore]:
    with WatchedLMDBStore(tmp_path / "s") as store:
        yield store


def test_readers_in_many_places_wait_for_no_disk_on_the_loop(store: WatchedLMDBStore) -> None:
    """More blocks are read at a time than are kept: who finds its own gone has it read again in the thread."""
    blocks = range(0, 1200, 100)
    for first in blocks:
        with store.journal("j", of=int) as journal:
            journal.put(*range(first, first + 100))
    journal = store.journal("j", of=int)
    readers = [journal.consumer(first) for first in blocks]

    async def read(reader: Any) -> list[int]:
        return [await reader.get_async() for _ in range(100)]

    async def main() -> list[list[int]]:
        found = await asyncio.gather(*map(read, readers))
        for reader in readers:
            await reader.close_async()
        await journal.close_async()
        return found

    assert run_watched(main(), store.seen) == [list(range(first, first + 100)) for first in blocks]


def test_a_reader_gives_the_loop_back(store: WatchedLMDBStore) -> None:
    """Other tasks go on while one reads a backlog that is in memory."""
    journal: Journal[int] = store.journal("j", of=int)
    for number in range(15_000):
        journal.put(number)
    journal.flush()
    reader = journal.consumer()
    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    async def main() -> None:
        task = asyncio.create_task(other())
        async for number in reader:
            if number == 14_999:
                break
        task.cancel()
        await reader.close_async()
        await journal.close_async()

    run_watched(main(), store.seen)
    assert len(turns) > 1


def test_a_timeout_is_checked_and_told_as_it_was_given(store: WatchedLMDBStore) -> None:
    """A reader of a journal waits as one of a buffer does."""
    reader = store.journal("j", of=int).consumer()
    with pytest.raises(gs.UsageError, match="timeout is a number of seconds"):
        asyncio.run(asyncio.wait_for(reader.get_async(float("nan")), 30))
    with pytest.raises(gs.TimedOut, match=r"within 0\.01 seconds"):
        asyncio.run(reader.get_async(0.01))
    reader.close()


def test_what_a_full_disk_refuses_has_not_entered(store: WatchedLMDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A put that writes what is there has its own message enter after that, or not at all."""
    journal: Journal[int] = store.journal("j", of=int)
    journal.put(0)
    writes = Writes(journal)

    def fail(entry: Any) -> int:
        raise gs.errors.StoreFull("the disk is full")

    async def main() -> None:
        for number in range(1, 4096):
            await journal.put_async(number)
        writes.replace(fail)
        with pytest.raises(gs.errors.StoreFull):
            await journal.put_async(-1)
        writes.restore()
        await journal.close_async()

    run_watched(main(), store.seen)
    assert journal.slice() == list(range(4096))
