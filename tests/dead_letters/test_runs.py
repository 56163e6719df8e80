"""Runs and apps, in memory and in a journal, with every policy and every way to fail."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers


@dataclass(frozen=True)
class Add:
    by: int


def refuse() -> None:
    raise ValueError("no")


def update(model: int, msg: Add) -> gs.Step[int, Add]:
    if msg.by == -1:
        raise ValueError("no")
    return model + msg.by, [refuse] if msg.by == -2 else [gs.Cmd.call(refuse, thread=True)] if msg.by == -3 else ()


summing: gs.Program[int, Add] = gs.Program(lambda: (0, ()), update)
WAYS = [-1, -2, -3]


def journal_of(store: gs.LMDBStore, *messages: Add) -> Any:
    journal = store.journal("sum", of=Add)
    journal.put(*messages)
    journal.close()
    return journal


@pytest.mark.parametrize("bad", WAYS)
@pytest.mark.parametrize("policy", [gs.Raise(), gs.Halt()])
def test_a_journalled_run_ends_with_what_came_before(tmp_path: Path, drivers: Drivers, bad: int, policy: Any) -> None:
    """Raised or halted, what was processed is kept and the message is named; a turn that was rolled back comes again."""
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = journal_of(store, Add(1), Add(2), Add(bad))
        with pytest.raises(ValueError, match="no") as raised:
            drivers.run(summing, journal, store=store, key="sum", on_error=policy)
        assert any("Add" in note and "position 2" in note for note in raised.value.__notes__)
    with gs.LMDBStore(tmp_path / "s") as store:
        done = store.journal("sum").cursors()["program"]
        assert done == (3 if bad == -3 else 2)
        assert gs.replay(summing, store.journal("sum"), until=done) == (0 if bad == -3 else 3)


@pytest.mark.parametrize("bad", WAYS)
@pytest.mark.parametrize("own_store", [True, False])
def test_letters_of_a_journalled_run(tmp_path: Path, drivers: Drivers, bad: int, own_store: bool) -> None:
    """In the journal's own store or in another, the letter is there once, and later lives pass over the message."""
    with gs.LMDBStore(tmp_path / "s") as store, gs.LMDBStore(tmp_path / "other") as other:
        letters = gs.DeadLetters(store if own_store else other, "bot")
        options: Any = {"store": store, "key": "sum", "on_error": gs.SetAside(letters)}
        expected = 1 + 2 + (bad if bad == -3 else 0)
        assert drivers.run(summing, journal_of(store, Add(1), Add(bad), Add(2)), **options) == expected
        (letter,) = letters
        assert json.loads(letter.message or b"") == ["Add", {"by": bad}]
        assert (letter.source, letter.position, letter.journal) == ("journal sum", 1, "sum")
        assert letter.failed == ("command" if bad == -3 else "turn")
        assert drivers.run(summing, journal_of(store, Add(4)), **options) == expected + 4
        assert list(letters) == [letter]


@pytest.mark.parametrize("bad", WAYS)
def test_letters_of_a_run_in_memory(drivers: Drivers, bad: int) -> None:
    """They are written at once."""
    with gs.MemoryStore() as store:
        letters = gs.DeadLetters(store)
        buffer: gs.Buffer[Add] = gs.Buffer()
        buffer.put(Add(1), Add(bad), Add(2))
        buffer.close()
        assert drivers.run(summing, buffer, on_error=gs.SetAside(letters)) == 3 + (bad if bad == -3 else 0)
        assert [each.message for each in letters] == [b'["Add",{"by":%d}]' % bad]


@pytest.mark.parametrize("bad", WAYS)
def test_halt_in_a_run_in_memory_is_raise(drivers: Drivers, bad: int) -> None:
    """There is no result that could name the message; the error does."""
    buffer: gs.Buffer[Add] = gs.Buffer()
    buffer.put(Add(1), Add(bad), Add(2))
    buffer.close()
    with pytest.raises(ValueError, match="no"):
        drivers.run(summing, buffer, on_error=gs.Halt())


def test_halt_of_a_batch_over_a_list_a_fetch_and_a_buffer(drivers: Drivers) -> None:
    """Without positions what came before is kept; a reader of a buffer stands at the message."""
    messages = [Add(1), Add(2), Add(-1), Add(4)]
    found = drivers.batch(summing, messages, on_error=gs.Halt())
    assert (found.model, found.ended, found.processed, found.failed.message) == (3, "failed", 2, Add(-1))
    fetched = iter([(messages, False)])
    found = drivers.batch(summing, lambda: next(fetched), on_error=gs.Halt())
    assert (found.model, found.ended, found.processed, found.failed.message) == (3, "failed", 2, Add(-1))
    buffer: gs.Buffer[Add] = gs.Buffer()
    buffer.put(*messages)
    with buffer.consumer() as reader:
        found = drivers.batch(summing, reader, on_error=gs.Halt())
        assert (found.model, found.position) == (3, 2)
        assert reader.get() == Add(-1)


def test_halt_of_an_aggregate_of_a_journal(tmp_path: Path, drivers: Drivers) -> None:
    """The next run begins at the message."""
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("in", of=Add)
        journal.put(Add(1), Add(2), Add(-1), Add(4))
        for _ in range(2):
            found = drivers.aggregate(summing, journal, store=store, key="sum", on_error=gs.Halt())
            assert (found.model, found.position, found.failed.message) == (3, 2, Add(-1))
        found = drivers.aggregate(summing, journal, store=store, key="sum", on_error=gs.SetAside())
        assert (found.model, found.position) == (7, 4)


def test_halt_with_a_queue_of_ones_own_is_refused(drivers: Drivers) -> None:
    """The message would stay in the queue, and be given twice."""
    buffer: gs.Buffer[Add] = gs.Buffer()
    with buffer.consumer() as reader, pytest.raises(gs.UsageError, match="Halt"):
        drivers.batch(summing, [Add(1)], producer=buffer, consumer=reader, on_error=gs.Halt())


def test_bad_records_with_a_queue_of_ones_own(tmp_path: Path, drivers: Drivers) -> None:
    """They never enter it, and are set aside all the same."""
    (tmp_path / "n.jsonl").write_text('{"by":1}\n{\n{"by":2}\n')
    buffer: gs.Buffer[Add] = gs.Buffer()
    source = gs.sources.JSONLines(tmp_path / "n.jsonl", Add)
    with buffer.consumer() as reader:
        found = drivers.batch(summing, source, producer=buffer, consumer=reader, on_error=gs.SetAside())
    assert (found.model, found.processed, [each.message for each in found.set_aside]) == (3, 2, [b"{"])


@pytest.mark.slow
def test_many_letters_need_no_memory(tmp_path: Path) -> None:
    """Thirty thousand letters are written, listed and dropped in a few megabytes."""
    import tracemalloc

    with gs.LMDBStore(tmp_path / "s") as store:
        letters = gs.DeadLetters(store)
        tracemalloc.start()
        found = gs.aggregate(summing, (Add(-1) for _ in range(30_000)), store=store, key="n", on_error=gs.SetAside(letters))
        assert found.letters == len(letters) == letters.drop_all() == 30_000
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
        tracemalloc.stop()
