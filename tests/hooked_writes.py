"""Something in the place of a journal's writes: one that fails, is slow, or looks on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from go_state.storage.journal.journal import Journal
from go_state.storage.records.records import Written
from go_state.storage.records.writes.together import Job


class Writes:
    """The writes of one journal, which a test replaces and restores."""

    def __init__(self, journal: Journal[Any]) -> None:
        self._records: Any = journal.parts.records
        self._job = self._records.job

    def write(self, entry: Any) -> int:
        """Write as the journal does; return the number of the transaction."""
        job = self._job(entry)
        self._records.store.together.write(job)
        return int(self._records.written(entry, job.outcome()))

    def replace(self, fn: Callable[[Any], int]) -> None:
        """Call `fn(entry)` in the place of each write."""

        def job(entry: Any) -> Job[Written]:
            number = fn(entry)
            return Job(lambda transaction: (number, self._records.journal_id))

        self._records.job = job

    def restore(self) -> None:
        """Write as before."""
        self._records.job = self._job
