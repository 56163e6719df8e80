"""Messages that are staged have their place while they are written, and lose it where they cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.storage.journal import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal[str]]:
    with gs.LMDBStore(tmp_path / "log.lmdb") as store:
        yield store.journal("log", of=str, durability="put")


def failing_once(journal: Journal[str], monkeypatch: pytest.MonkeyPatch, during: Callable[[], object]) -> None:
    """Have the next write fail, after something else has happened meanwhile."""
    write = journal._records.write

    def fail(entry: Any) -> int:
        monkeypatch.setattr(journal._records, "write", write)
        during()
        raise gs.StoreFull("the disk is full")

    monkeypatch.setattr(journal._records, "write", fail)


def test_what_cannot_be_written_leaves_no_gap(journal: Journal[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A run's own messages, which enter while a put fails, move up to its place."""
    journal.put("first")
    with journal.consumer(name="program") as reader:
        failing_once(journal, monkeypatch, lambda: reader.settle(0, ["own", "own as well"]))
        with pytest.raises(gs.StoreFull):
            journal.put("refused", "refused as well")
        journal.put("last")
        assert reader.take(10) == ["first", "own", "own as well", "last"]
    assert [(each.position, each.message) for each in journal.read()] == [
        (0, "first"), (1, "own"), (2, "own as well"), (3, "last")
    ]  # fmt: skip


def test_what_nobody_waits_for_outlives_the_failure_of_another(journal: Journal[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that was left to be written is written with the next flush, and its place is told once it has one."""
    places: list[int] = []
    journal.put("first")
    journal.enqueue("left", know=places.append)
    failing_once(journal, monkeypatch, lambda: None)
    with pytest.raises(gs.StoreFull):
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
    write = journal._records.write

    def slow(entry: Any) -> int:
        looked.append((reader.take_written(1), journal.backlog(0).size))
        return write(entry)

    monkeypatch.setattr(journal._records, "write", slow)
    journal.put("second")
    assert looked == [([], 2)]
    assert reader.take(1) == ["second"]
    reader.close()
