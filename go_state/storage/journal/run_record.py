"""What only a run writes into its journal: which messages were set aside, and which of its commands are running.

These notes are made in memory and go to disk with the next flush: a message that was set aside together with the cursor that passes
it, a command together with what its turn commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from go_state.buffer.log import Log
from go_state.core.turn import Turn
from go_state.storage.journal.tail import Tail
from go_state.storage.records.records import Records


class Notes(NamedTuple):
    """What a flush writes of a run: the positions set aside and why, the names of the running commands, None if as before, and letters."""

    aside: Mapping[int, str]
    running: list[str] | None
    beside: Mapping[str, bytes | None]


class RunRecord:
    """The notes of one run; the log's lock guards them."""

    def __init__(self, records: Records, log: Log[Any], tail: Tail[Any], aside: dict[int, str]) -> None:
        self._records = records
        self._log = log
        self._tail = tail
        self._aside = (
            aside  # set aside since the last flush; shared with `MessageType`, which reads over what cannot be decoded
        )
        self._running: dict[str, None] = {}  # the names of the commands of the run that writes the journal
        self._beside: dict[str, bytes | None] = {}  # letters, by their key in the store, since the last flush
        self._changed = False  # whether those differ from what is on disk

    # ------------------------------------------------------------------ messages

    def turn(self, position: int) -> Turn:
        """Return the turn of the message at the position, the same in every replay."""
        with self._log.lock:
            return Turn(self._tail.entered(position), position, f"{self._records.journal_id}/{position}")

    def set_aside(self, position: int, kind: str, letters: Mapping[str, bytes] = MappingProxyType({})) -> None:
        """Make replays pass over a message; it is written with the cursor that passes it. `kind` says why, such as "ValueError".

        What is written together with that are `letters`, by their keys in the store.
        """
        with self._log.lock:
            self.set_aside_locked(position, kind)
            self._beside.update(letters)

    def add_letters(self, letters: Mapping[str, bytes]) -> None:
        """Write letters by their keys in the store, with the next flush: of messages whose commands have failed after their turn."""
        with self._log.lock:
            self._beside.update(letters)

    def set_aside_locked(self, position: int, kind: str) -> None:
        """Do the same. Lock held."""
        self._aside[position] = kind
        self._tail.forget(position)

    def all_set_aside(self) -> dict[int, str]:
        """Return the positions that runs and replays pass over, and why."""
        with self._log.lock:
            aside = dict(self._aside)  # first: what is written meanwhile is found on disk
        return self._records.set_aside() | aside

    # ------------------------------------------------------------------ commands

    def running(self) -> list[str]:
        """Return the names of the commands that are running, or were when the last run ended."""
        with self._log.lock:
            if self._running or self._changed:
                return list(self._running)
        return self._records.under_way()

    def opened(self, name: str) -> None:
        """Note a command that is running; it is written with what its turn commits, or before."""
        with self._log.lock:
            self._running[name] = None
            self._changed = True

    def ended(self, names: Sequence[str]) -> None:
        """Note that commands have ended; it is written with what they have sent, or after."""
        with self._log.lock:
            for name in names:
                self._running.pop(name, None)
            self._changed = True

    # ------------------------------------------------------------------ what the writer asks, with the lock held

    @property
    def has_unwritten(self) -> bool:
        """Whether there is something to write. Lock held, or to be asked again with it."""
        return bool(self._aside or self._beside) or self._changed

    def notes(self) -> Notes:
        """Return what is to be written. Lock held."""
        return Notes(dict(self._aside), list(self._running) if self._changed else None, dict(self._beside))

    def written(self, notes: Notes) -> None:
        """Called when the notes are on disk. Lock held."""
        for position in notes.aside:
            self._aside.pop(position, None)
        for key in notes.beside:
            self._beside.pop(key, None)
        if notes.running == list(self._running):
            self._changed = False
