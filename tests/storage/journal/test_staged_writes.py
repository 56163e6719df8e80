"""Messages that are staged have their place while they are written, and lose it where they cannot be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hooked_writes import Writes

import go_state as gs
from go_state.storage.journal.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal[str]]:
    with gs.LMDBStore(tmp_path / "log.lmdb") as store:
        yield store.journal("log", of=str, durability="put")


def failing_once(journal: Journal[str], monkeypatch: pytest.MonkeyPatch, during: Callable[[], object]) -> None:
    """Have the next write fail, after something else has happened meanwhile."""
    writes = Writes(journal)

    def fail(entry: Any) -> int:
        writes.restore()
        during()
        raise gs.errors.StoreFull("the disk is full")

    writes.replace(fail)


def test_what_cannot_be_written_leaves_no_gap(journal: Journal[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's own messages, which enter while a put fails, move up to its place."""
    journal.put("first")
    with journal.consumer(name="program") as reader:
        failing_once(journal, monkeypatch, lambda: reader.cursor.settle(0, ["own", "own as well"]))
        with pytest.raises(gs.errors.StoreFull):
            journal.put("refused", "refused as well")
        journal.put("last")
        assert reader.cursor.take(10) == ["first", "own", "own as well", "last"]
    assert [(each.position, each.message) for each in journal.read()] == [
        (0, "first"), (1, "own"), (2, "own as well"), (3, "last")
    ]  # fmt: skip


def test_what_nobody_waits_for_outlives_the_failure_of_another(journal: Journal[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that was left to be written is written with the next flush, and its place is told once it has one."""
    places: list[int] = []
    journal.put("first")
    journal.inlet.put_later("left", know=places.append)
    failing_once(journal, monkeypatch, lambda: None)
    with pytest.raises(gs.errors.StoreFull):
        journal.put("refused")
    assert places == []
    journal.put("last")
    assert journal.slice() == ["first", "left", "last"]
    assert places == [1]


def test_looking_does_not_wait_for_the_disk(journal: Journal[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """While messages are written a reader is told that there is none yet, and statistics are given."""
    looked: list[Any] = []
    journal.put("first")
    reader = journal.consumer("newest")
    writes = Writes(journal)

    def slow(entry: Any) -> int:
        looked.append((reader.cursor.take_written(1), journal.writer.rules.backlog(0).size))
        return writes.write(entry)

    writes.replace(slow)
    journal.put("second")
    assert looked == [([], 2)]
    assert reader.cursor.take(1) == ["second"]
    reader.close()


def test_a_write_that_says_it_failed_and_did_not_is_counted(journal: Journal[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was committed before the connection was lost is put, and nothing that entered meanwhile is taken for it."""
    writes = Writes(journal)

    def lose(entry: Any) -> int:
        writes.restore()
        writes.write(entry)
        reader.cursor.settle(0, ["own"])
        raise gs.errors.StoreUnavailable("the connection was lost")

    journal.put("first")
    with journal.consumer(name="program") as reader:
        writes.replace(lose)
        journal.put("second")
        journal.put("last")
        assert reader.cursor.take(10) == ["first", "second", "own", "last"]
    assert [each.message for each in journal.read()] == ["first", "second", "own", "last"]


@pytest.mark.parametrize("is_there", [True, False], ids=["written", "not-written"])
def test_what_nobody_knows_of_is_found_out_later(
    journal: Journal[str], monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    """A put hears of the failure; whether its message is there is known, and counted, once the store answers again."""
    journal.put("first")
    with journal.consumer(name="program") as reader, monkeypatch.context() as lost:
        writes = Writes(journal)

        def lose(entry: Any) -> int:
            if is_there:
                writes.write(entry)
            reader.cursor.settle(0, ["own"])
            raise gs.errors.StoreUnavailable("the connection was lost")

        def refuse() -> None:
            raise gs.errors.StoreUnavailable("there is none")

        writes.replace(lose)
        lost.setattr(journal.parts.records, "refresh", refuse)
        with pytest.raises(gs.errors.StoreUnavailable, match="was lost"):
            journal.put("second")
        lost.undo()
        writes.restore()
        journal.put("last")
        assert reader.cursor.take(10) == ["first", *(["second"] if is_there else []), "own", "last"]


def test_a_reader_that_begins_behind_what_is_refused_misses_nothing(
    journal: Journal[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was opened at the end while a write was under way that fails: what enters later is read by it."""
    journal.put("first")
    late: list[Any] = []

    def open_one() -> None:
        late.append(journal.consumer("newest"))
        program.cursor.settle(0, ["own"])

    with journal.consumer(name="program") as program:
        failing_once(journal, monkeypatch, open_one)
        with pytest.raises(gs.errors.StoreFull):
            journal.put("refused")
        journal.flush()
        assert late[0].cursor.take(10) == ["own"]
        late[0].close()


def test_a_task_whose_loop_is_closed_does_not_lead(journal: Journal[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits behind one that was left on a closed loop writes instead of it."""
    loop, tasks = asyncio.new_event_loop(), []

    def leave_one() -> None:
        tasks.append(loop.create_task(journal.put_async("left")))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    journal.put("first")
    failing_once(journal, monkeypatch, leave_one)
    with pytest.raises(gs.errors.StoreFull):
        journal.put("refused")
    putting = threading.Thread(target=journal.put, args=("last",), daemon=True)
    putting.start()
    putting.join(30)
    assert not putting.is_alive()
    assert journal.slice() == ["first", "left", "last"]
    left: Any = tasks[0]
    left.get_coro().close()  # nobody runs it any more
    left._log_destroy_pending = False
