"""Aggregates and batches use no store on the thread of an event loop, and journals have a way that does not either."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hooked_writes import Writes
from no_disk_on_the_loop import WatchedLMDBStore, WatchedMemoryStore, run_watched

import go_state as gs


@dataclass(frozen=True)
class Sum:
    key: str = ""
    total: int = 0


@dataclass(frozen=True)
class Add:
    key: str
    by: int


def init(key: str) -> gs.Step[Sum, Add]:
    return Sum(key), ()


def update(model: Sum, msg: Add) -> gs.Step[Sum, Add]:
    if msg.by < 0:
        raise ValueError("negative")
    sent = [gs.Cmd.send(Add(msg.key + "'", 1))] if msg.by == 7 else ()
    return replace(model, total=model.total + msg.by), sent


keyed = gs.Program(init, update)
single = gs.Program(lambda: (Sum(), ()), update)
MESSAGES = [Add(f"k{number % 5}", number % 10) for number in range(50)]
durabilities = pytest.mark.parametrize("durability", ["group", "put"])


@pytest.fixture(params=["memory", "lmdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    opened: Any = WatchedMemoryStore() if request.param == "memory" else WatchedLMDBStore(tmp_path / "models.lmdb")
    with opened:
        yield opened


@pytest.fixture
def lmdb(tmp_path: Path) -> Iterator[WatchedLMDBStore]:
    with WatchedLMDBStore(tmp_path / "journal.lmdb") as opened:
        yield opened


def test_one_model_is_loaded_and_saved_elsewhere(store: Any) -> None:
    """Twice, and in mid-stream."""

    async def main() -> None:
        for _ in range(2):
            await gs.aggregate_async(single, MESSAGES, store=store, key="sum", snapshots=gs.Snapshots(every=10))

    run_watched(main(), store.seen)
    assert gs.load_model(single, store=store, key="sum").total == 460  # type: ignore[union-attr]


@pytest.mark.parametrize("cache", [1, 3, 100])
def test_models_by_key_are_what_they_are_in_a_thread(store: Any, cache: int) -> None:
    """Models are let go and loaded again, failing turns and messages of commands among them."""
    messages = [*MESSAGES, Add("new", -1), Add("new", 1), Add("k1", -1), Add("k1", 1), Add("@own", 1)]
    how: Any = {"key": lambda msg: msg.key, "cache": cache, "snapshots": gs.Snapshots(every=4), "on_error": gs.SetAside()}

    async def main() -> Any:
        await gs.aggregate_async(keyed, messages, store=store, **how)
        return await gs.aggregate_async(keyed, messages, store=store, retire=lambda model: model.total % 3 == 1, **how)

    result = run_watched(main(), store.seen)
    with gs.MemoryStore() as other:
        gs.aggregate(keyed, messages, store=other, **how)
        expected = gs.aggregate(keyed, messages, store=other, retire=lambda model: model.total % 3 == 1, **how)
        assert dict(result.models) == dict(expected.models)
        assert [each.message for each in result.set_aside] == [each.message for each in expected.set_aside]


@durabilities
def test_a_batch_reads_a_journal_elsewhere(lmdb: WatchedLMDBStore, durability: Any) -> None:
    """By itself, or by a named reader, which commits."""
    journal = lmdb.journal("source", of=Add, durability=durability)
    journal.put(*MESSAGES * 50)
    reader = journal.consumer(name="batch")

    async def main() -> tuple[int, int]:
        first = await gs.batch_async(single, journal)
        second = await gs.batch_async(single, reader)
        return first.model.total, second.model.total

    assert run_watched(main(), lmdb.seen) == (11500, 11500)
    assert reader.committed == 2500
    reader.close()


@durabilities
def test_a_journal_by_its_async_methods(lmdb: WatchedLMDBStore, durability: Any) -> None:
    """Putting, reading, committing and closing."""
    journal = lmdb.journal("log", of=Add, durability=durability)
    journal.put(*MESSAGES * 50)
    journal.flush()

    async def main() -> int:
        async with journal, journal.consumer() as reader:
            for message in MESSAGES * 50:
                assert await reader.get_async() == message
            await reader.commit_async()
            await asyncio.gather(*(journal.put_async(Add("x", each)) for each in range(20)))
            async with reader.transaction() as message:
                assert message == Add("x", 0)
            await journal.flush_async()
            await journal.close_async()
            return len([message async for message in reader])

    assert run_watched(main(), lmdb.seen) == 19


@durabilities
def test_a_run_of_a_journal_that_keeps_nothing(lmdb: WatchedLMDBStore, durability: Any) -> None:
    """A program may read a journal as it reads a buffer."""
    journal = lmdb.journal("log", of=Add, durability=durability)
    journal.put(*MESSAGES * 50)
    journal.close()
    assert run_watched(gs.run_async(single, journal), lmdb.seen).total == 11500


def test_tasks_that_put_share_a_sync(lmdb: WatchedLMDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What many tasks put at the same time takes two transactions at most."""
    journal = lmdb.journal("log", of=Add, durability="put")
    journal.lease.acquire()
    written: list[int] = []
    writes = Writes(journal)
    writes.replace(lambda entry: (written.append(len(entry.messages)), writes.write(entry))[1])

    async def main() -> None:
        await asyncio.gather(*(journal.put_async(Add("x", each)) for each in range(50)))
        await journal.close_async()

    run_watched(main(), lmdb.seen)
    assert len(written) <= 2
    assert [message.by for message in journal.slice()] == list(range(50))
