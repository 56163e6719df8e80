"""What a journal and its store remember of readers and journals that are no more needed."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

import go_state as gs
from go_state.storage.journal.journal import Journal


@pytest.fixture
def store(tmp_path: Path) -> Iterator[gs.LMDBStore]:
    with gs.LMDBStore(tmp_path / "s") as store:
        yield store


@pytest.fixture
def journal(store: gs.LMDBStore) -> Journal[int]:
    """Return a journal of ten messages, of which a reader that is gone has read three."""
    journal: Journal[int] = store.journal("j", of=int)
    journal.put(*range(10))
    with journal.consumer(name="mailer") as reader:
        reader.cursor.take(3)
        reader.commit()
    return journal


def test_a_store_keeps_no_journal_that_was_closed(store: gs.LMDBStore) -> None:
    """A program for each key opens any number of journals, one after the other."""
    journal = store.journal("j", of=int)
    journal.put(1)
    with journal.consumer() as reader:
        journal.close()
        assert reader.get() == 1
    seen = weakref.ref(journal)
    del journal, reader
    gc.collect()
    assert seen() is None
    assert store.journal("j", of=int).slice() == [1]


def test_a_reader_that_was_removed_holds_no_message(journal: Journal[int]) -> None:
    """A reader that will not come back keeps its messages in the journal until it is removed."""
    with pytest.raises(gs.UsageError, match="'mailer' has only come to 3"):
        journal.truncate(8)
    journal.remove_reader("mailer")
    assert journal.truncate(8) == 8
    assert journal.cursors() == {}


def test_a_reader_that_was_removed_begins_anew(store: gs.LMDBStore, journal: Journal[int]) -> None:
    """It is as if there had been none, in this process and in the next."""
    journal.remove_reader("mailer")
    journal.close()
    again = store.journal("j", of=int)
    assert again.cursors() == {}
    with again.consumer(name="mailer") as reader:
        assert reader.get() == 0


def test_a_reader_that_is_open_or_unknown_is_not_removed(journal: Journal[int]) -> None:
    """The error names the readers that there are."""
    with journal.consumer(name="mailer"), pytest.raises(gs.UsageError, match="'mailer' of the journal 'j' is open"):
        journal.remove_reader("mailer")
    with pytest.raises(gs.UsageError, match=r"no reader 'mial': there are 'mailer'"):
        journal.remove_reader("mial")


def test_a_programs_reader_stays_with_its_snapshots(store: gs.LMDBStore) -> None:
    """Without its position the program would take messages again that its snapshot has."""

    def update(model: int, msg: int) -> gs.Step[int, int]:
        return model + msg, ()

    journal = store.journal("j", of=int)
    journal.close()
    gs.run(gs.Program(lambda: (0, ()), update), journal)
    with pytest.raises(gs.UsageError, match="stays with its snapshots"):
        store.journal("j").remove_reader("program")
