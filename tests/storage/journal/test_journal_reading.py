"""Reading a journal that somebody else writes, and names that hold any bytes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.storage.journal.journal import Journal
from go_state.storage.records.layout import Times
from go_state.storage.records.records import Records
from go_state.storage.records.writes.entry import Entry


@pytest.fixture
def store(tmp_path: Path) -> Iterator[gs.LMDBStore]:
    with gs.LMDBStore(tmp_path / "s") as store:
        yield store


def between_reads(store: gs.LMDBStore, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Call `act` once, right after the next reading transaction, as another process might."""
    real, pending = store.backend.transaction, [act]

    class Read:
        def __init__(self, write: bool, of: Collection[bytes] | None) -> None:
            self.write, self.opened = write, real(write=write, of=of)

        def __enter__(self) -> Any:
            return self.opened.__enter__()

        def __exit__(self, *error: Any) -> Any:
            left = self.opened.__exit__(*error)
            if pending and not self.write:
                pending.pop()()
            return left

    monkeypatch.setattr(store.backend, "transaction", lambda *, write=False, of=None: Read(write, of))


def others(store: gs.LMDBStore) -> Records:
    """Return the records as another process sees them, which has the lease."""
    return Records(store, "j")


def append(records: Records, count: int, **more: Any) -> None:
    records.write(Entry(records.end, messages=[b"1"] * count, times=[Times(count, 0)], **more))


@pytest.mark.parametrize("position", [109, 109 + 65_536, int.from_bytes(b"\0m\0m\0m\0m", "big")])
def test_a_position_is_not_taken_for_a_name(store: gs.LMDBStore, position: int) -> None:
    """The bytes of a block's position, or of a message set aside, may end as the name of a journal's own record does."""
    records = others(store)
    records.start = records.end = position
    append(records, 1, set_aside={position: "skipped"})
    assert store.journal_names() == ["j"]


def test_a_key_with_a_nul_has_no_snapshot_of_a_journal(store: gs.LMDBStore) -> None:
    """A position may begin with the bytes that a key ends with: `keyframes` does not take it for one of that key's."""
    with store.backend.transaction(write=True) as transaction:
        transaction.put(b"k/a\0" + bytes(8), b"")
    assert store.keyframes("a\0\0") == []


def test_a_cursor_is_read_with_the_end(store: gs.LMDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process may append and commit while the journal is opened: it is not damaged."""
    writer = others(store)
    append(writer, 1)
    between_reads(store, monkeypatch, lambda: append(writer, 5, cursors={"mailer": 6}))
    cursors = store.journal("j", of=int).cursors()
    assert cursors == {}


def test_a_journal_that_grows_while_it_is_asked_has_no_gap(store: gs.LMDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for the position at the end gives nothing, also when another process appends right then."""
    writer = others(store)
    append(writer, 1)
    reader = others(store)
    between_reads(store, monkeypatch, lambda: append(writer, 1))
    assert reader.block(1) is None


def test_statistics_of_a_journal_that_was_emptied(store: gs.LMDBStore) -> None:
    """Another process may append and then forget everything: what there is now is an empty journal at its end."""
    writer = others(store)
    append(writer, 3)
    journal = store.journal("j", of=int)
    append(writer, 3)
    writer.truncate(6)
    journal.statistics()  # by which it is found out
    statistics = journal.statistics()
    assert (statistics.start, statistics.end, statistics.size, statistics.oldest_age) == (6, 6, 0, None)


def test_refresh_finds_what_another_process_has_written(store: gs.LMDBStore) -> None:
    """A journal that is only read tells the end and the cursors of when it was looked at last."""
    writer = others(store)
    append(writer, 1)
    journal = store.journal("j", of=int)
    append(writer, 2, cursors={"mailer": 3})
    journal.lease.refresh()
    assert (journal.statistics().end, journal.cursors()) == (3, {"mailer": 3})


def test_what_is_folded_has_no_gap(store: gs.LMDBStore) -> None:
    """`chunks` and `exactly` begin and end where they are told, or raise: nothing is passed over in silence."""
    journal = store.journal("j", of=int)
    journal.put(*range(10))
    journal.flush()
    journal.truncate(4)
    with pytest.raises(gs.errors.Lagged):
        list(journal.history.chunks(2, 8))
    with pytest.raises(gs.errors.Corrupt, match="ends at position 10"):
        list(journal.history.chunks(5, 12))
    with pytest.raises(gs.errors.Lagged):
        list(journal.history.exactly(3, 8))
    assert list(journal.history.chunks(5, 8)) == [(5, [5, 6, 7])]
    assert [each.message for each in journal.history.exactly(9, 10)] == [9]


@pytest.fixture
def unreadable(store: gs.LMDBStore, tmp_path: Path) -> Iterator[Journal[int]]:
    """Give a journal with a message in its middle that is of another type."""
    with gs.LMDBStore(tmp_path / "unreadable") as before:
        before.journal("j", of=int | str).put(1, "two", 3)
    with gs.LMDBStore(tmp_path / "unreadable") as now:
        yield now.journal("j", of=int)


def test_what_is_skipped_while_it_is_being_read_is_passed_over(unreadable: Journal[int]) -> None:
    """A reader that has the block in memory hears of it."""
    with unreadable.consumer() as reader:
        assert reader.cursor.take(3) == [1]
        unreadable.skip(1)
        assert reader.cursor.take(3) == [None, 3]


def test_what_is_set_aside_is_found_while_it_is_being_written(
    unreadable: Journal[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves the memory for the disk between two looks."""
    unreadable.lease.acquire()
    unreadable.run_record.set_aside(1, "Incompatible")
    look, flushes = unreadable.parts.records.set_aside, [unreadable.flush]

    def then_flush() -> dict[int, str]:
        found = look()
        while flushes:
            flushes.pop()()
        return found

    monkeypatch.setattr(unreadable.parts.records, "set_aside", then_flush)
    assert [each.message for each in unreadable.read()] == [1, None, 3]


def test_who_takes_the_lease_sees_what_the_dead_have_written(store: gs.LMDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed writer has committed last LMDB shows to the next writer, and to nobody before: so the look is a write."""
    kinds: list[bool] = []
    journal, real = store.journal("j", of=int), store.backend.transaction

    def noted(*, write: bool = False) -> Any:
        kinds.append(write)
        return real(write=write)

    monkeypatch.setattr(store.backend, "transaction", noted)
    journal.lease.acquire()
    assert kinds == [True]
