"""A journal as the source of an aggregate: how far it was read is stored with the models, and read on from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from go_state.buffer.consumer import Consumer
from go_state.core.errors import Lagged, SourceChanged, UsageError
from go_state.core.ports import Log, Position

if TYPE_CHECKING:
    from go_state.storage.journal.journal import Journal
    from go_state.storage.snapshots.snapshot import Mark


def journal_marks(source: object) -> JournalMarks | None:
    """Return the mark of how far the source was read, if it is a journal or a reader of one."""
    journal = source.buffer if isinstance(source, Consumer) else source
    if not isinstance(journal, Log):
        return None
    from go_state.storage.journal.journal import Journal  # here: an aggregate of a file need not wait for it

    return JournalMarks(journal, from_the_start=journal is source) if isinstance(journal, Journal) else None


class JournalMarks:
    """What a journal is called among sources, and how it is known again. Positions are those of its messages."""

    def __init__(self, journal: Journal[object], *, from_the_start: bool) -> None:
        self.name = f"journal {journal.name}"
        self._journal = journal
        self._from_the_start = from_the_start  # or from where a reader stands, which was told where to begin

    def fingerprint(self) -> str:
        """Return what tells this journal from every other; empty before anything was written to it."""
        return self._journal.journal_id

    def begin(self, marks: Mapping[str, Mark]) -> Position:
        """Return the position to read on from, None at first; the journal is looked at as other processes have written it by now.

        Raises `SourceChanged` for another journal or an older copy, and `Lagged` if it misses what follows.
        """
        self._journal.lease.refresh()
        mark = marks.get(self.name)
        if mark is None:
            if self._from_the_start:
                self._check(0)
            return None
        if mark.fingerprint not in ("", self._journal.journal_id):
            raise SourceChanged(self.name, "it is another journal of the same name, or it was begun anew")
        self._check(mark.position)
        return mark.position

    def is_of_own_program(self, marks: Mapping[str, Mark]) -> bool:
        """Return whether the model is that of the program which keeps this journal, and has all that the journal holds.

        Raises `UsageError` if there is more: to take it is for the program, which knows what of its commands is done.
        """
        from go_state.modes.keeping.keyframes import MARK

        mark = marks.get(MARK)
        if mark is None or mark.fingerprint != self._journal.journal_id:
            return False
        self._journal.lease.refresh()
        if self._journal.statistics().end > mark.position:
            raise UsageError(
                f"the model is that of the program whose messages the journal {self._journal.name!r} holds, and has them up to "
                f"position {mark.position}: go on with it by gs.start, or give the aggregate another key="
            )
        return True

    def _check(self, position: int) -> None:
        found = self._journal.statistics()
        if found.end < position:
            raise SourceChanged(
                self.name,
                f"it ends at position {found.end}, and was read up to {position}: it may be an older copy",
                "restore the journal, or the models, from a backup that fits the other",
            )
        if position < found.start:
            error = Lagged(found.start - position, found.start)
            error.add_note(
                f"The aggregate has counted the journal {self._journal.name!r} up to position {position}, and what follows was "
                f"truncated: restore the journal, or begin under a key of its own with a reader, journal.consumer(), of what is left."
            )
            raise error


def begun_in_journal(journal: JournalMarks, source: object, marks: Mapping[str, Mark]) -> tuple[object, Position, bool]:
    """Return what to read, after which position, and whether there is anything to read, by the marks that are stored."""
    if journal.is_of_own_program(marks):
        return (), None, False  # it is all counted
    return source, journal.begin(marks), True
