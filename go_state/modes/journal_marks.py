"""A journal as the source of an aggregate: how far it was read is stored with the models, and read on from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from go_state.core.errors import Lagged, SourceChanged
from go_state.core.ports import Log, Reader

if TYPE_CHECKING:
    from go_state.storage.journal import Journal


def journal_marks(source: object) -> JournalMarks | None:
    """Return what marks how far the source was read, where it is a journal or a reader of one."""
    if not isinstance(source, (Log, Reader)):
        return None
    from go_state.storage.journal import Journal  # here: who aggregates a file need not wait for it
    from go_state.storage.journal_consumer import JournalConsumer

    journal = source.journal if isinstance(source, JournalConsumer) else source
    return JournalMarks(journal) if isinstance(journal, Journal) else None


class JournalMarks:
    """What a journal is called among sources, and how it is known again. Positions are those of its messages."""

    def __init__(self, journal: Journal[Any]) -> None:
        self.name = f"journal {journal.name}"
        self._journal = journal

    def catch_up(self) -> None:
        """Look how far other processes have written by now."""
        self._journal.catch_up()

    def fingerprint(self) -> str:
        """Return what tells this journal from every other; empty before anything was written to it."""
        return self._journal.salt

    def recognise(self, fingerprint: str, position: int) -> None:
        """Raise `SourceChanged` unless it is that journal and has all that was read of it, `Lagged` where it misses what follows."""
        journal = self._journal
        if fingerprint and fingerprint != journal.salt:
            raise SourceChanged(self.name, "it is another journal of the same name, or it was begun anew")
        found = journal.statistics()
        if found.end < position:
            raise SourceChanged(
                self.name,
                f"it ends at position {found.end}, and was read up to {position}: it may be an older copy",
                "restore the journal, or the models, from a backup that fits the other",
            )
        if position < found.start:
            error = Lagged(found.start - position, found.start)
            error.add_note(
                f"The aggregate has counted the journal {journal.name!r} up to position {position}, and what follows was "
                f"truncated: restore the journal, or begin again under another key."
            )
            raise error
