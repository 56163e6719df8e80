"""What a run notes in its journal is written, wherever Ctrl-C meets the note: `has_unwritten` is never false for something to write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from interrupts import Interrupt, at_every_point

import go_state as gs
from go_state.storage.journal.run_record import NO_NOTES, RunRecord

Note: TypeAlias = Callable[[RunRecord], object]
NOTES: dict[str, Note] = {
    "set aside": lambda record: record.set_aside(0, "ValueError", {"letter": b"of it"}),
    "letters": lambda record: record.add_letters({"letter": b"of it"}),
    "a command": lambda record: record.opened("command"),
    "its end": lambda record: record.ended(["command"]),
}


@pytest.mark.parametrize("note", NOTES.values(), ids=NOTES)
def test_what_was_noted_is_written(note: Note, tmp_path: Path) -> None:
    """An interrupted note is there or not, and then to be written; a message is set aside with its letter, or not yet."""

    def act(interrupt: Interrupt) -> None:
        with store.journal("j", of=int) as journal:
            journal.put(1)
            record = journal.run_record
            with interrupt:
                note(record)
            had = record.has_unwritten
            with journal.log.lock:
                notes = record.notes(0)
            assert had or notes is NO_NOTES
            assert not notes.aside or notes.beside
            with interrupt:
                record.written(notes)
            had = record.has_unwritten
            with journal.log.lock:
                assert had or record.notes(0) is NO_NOTES

    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        at_every_point(act)
