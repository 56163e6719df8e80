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
from go_state.storage.records.writes.wakes import NOW, WakeRecord, WakeTimes, read_wake


class Notes(NamedTuple):
    """What a flush writes of a run: the positions set aside and why, the names of the running commands and when the program has
    something to do by itself, each None if as before, and letters.
    """

    aside: Mapping[int, str]
    running: list[str] | None
    wake: WakeRecord | None
    beside: Mapping[str, bytes | None]


NO_NOTES = Notes(MappingProxyType({}), None, None, MappingProxyType({}))  #: of a run that has nothing to write


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
        #: Whether there is something to write. It may be true for nothing, never false for something: it is set first.
        self.has_unwritten = False
        self.keeps_wake = False  #: whether it is written when the program has something to do by itself
        self._wake_name: bytes | None = (
            None  # of the record that says when the program has something to do; None if nobody asks
        )
        self._wake = self._stored_wake = WakeTimes()  # as the run knows it, and as it is on disk
        self._wake_of: tuple[int, int] | None = (
            None  # which messages and commands the run knew of; None before it has said anything
        )
        self._commands_noted = 0  # how often a command was noted that is running or has ended

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
            self.has_unwritten = True
            self._beside.update(letters)  # first: with the note alone, Ctrl-C in between would lose the message
            self.set_aside_locked(position, kind)

    def add_letters(self, letters: Mapping[str, bytes]) -> None:
        """Write letters by their keys in the store, with the next flush: of messages whose commands have failed after their turn."""
        with self._log.lock:
            self.has_unwritten = True
            self._beside.update(letters)

    def set_aside_locked(self, position: int, kind: str) -> None:
        """Do the same. Lock held."""
        self.has_unwritten = True
        self._aside[position] = kind
        self._tail.forget(position)

    def all_set_aside(self) -> dict[int, str]:
        """Return the positions that runs and replays pass over, and why."""
        with self._log.lock:
            aside = dict(self._aside)  # first: what is written meanwhile is found on disk
        return aside if self._records.is_new else self._records.set_aside() | aside

    # ------------------------------------------------------------------ commands

    def running(self) -> list[str]:
        """Return the names of the commands that are running, or were when the last run ended."""
        with self._log.lock:
            if self._running or self._changed:
                return list(self._running)
        return [] if self._records.is_new else self._records.running()

    def noted(self) -> list[str]:
        """Return the same to the run, which has noted all that were running when it began; the disk is not asked."""
        with self._log.lock:
            return list(self._running)

    def opened(self, name: str) -> None:
        """Note a command that is running; it is written with what its turn commits, or before."""
        with self._log.lock:
            self._running[name] = None
            self._changed = self.has_unwritten = True
            self._commands_noted += 1

    def ended(self, names: Sequence[str]) -> None:
        """Note that commands have ended; it is written with what they have sent, or after."""
        with self._log.lock:
            for name in names:
                self._running.pop(name, None)
            self._changed = self.has_unwritten = True
            self._commands_noted += 1

    # ------------------------------------------------------------------ when the program has something to do by itself

    def keep_wake(self, name: bytes) -> WakeTimes:
        """Keep, in the record of this name, when the program has something to do by itself; return what it has said so far."""
        found = WakeTimes() if self._records.is_new else read_wake(self._records.store.backend, name)
        with self._log.lock:
            self._wake_name, self._wake, self._stored_wake, self._wake_of = name, found, found, None
            self.keeps_wake = True
        return found

    def wake_at(self, times: WakeTimes, position: int) -> None:
        """Note when the program has something to do by itself, once the messages before the position are processed; it is written
        with what is written next. What is written when more has happened since says "at once".
        """
        with self._log.lock:
            self._wake, self._wake_of = times, (position, self._commands_noted)

    @property
    def stored_wake(self) -> float | None:
        """When the program has something to do by itself, as it is on disk."""
        return self._stored_wake.due

    @property
    def has_unwritten_wake(self) -> bool:
        """Whether that differs from what is on disk, of a program all of whose messages are processed."""
        return self._wake_name is not None and not self._wake.is_near(self._stored_wake)

    def _wake_record(self, processed: int) -> WakeRecord | None:
        if self._wake_name is None:
            return None
        is_behind = processed < self._tail.end or self._wake_of not in (None, (processed, self._commands_noted))
        times = self._wake._replace(due=NOW) if is_behind else self._wake
        return None if times.is_near(self._stored_wake) else WakeRecord(self._wake_name, times)

    # ------------------------------------------------------------------ what the writer asks, with the lock held

    def notes(self, processed: int) -> Notes:
        """Return what is to be written with the position up to which the program has processed the messages. Lock held."""
        self._count_unwritten()
        if self._wake_name is None and not self.has_unwritten:
            return NO_NOTES
        running = list(self._running) if self._changed else None
        return Notes(dict(self._aside), running, self._wake_record(processed), dict(self._beside))

    def written(self, notes: Notes) -> None:
        """Called when the notes are on disk. Lock held."""
        for position in notes.aside:
            self._aside.pop(position, None)
        for key in notes.beside:
            self._beside.pop(key, None)
        if notes.wake is not None:
            self._stored_wake = notes.wake.times
        if notes.running == list(self._running):
            self._changed = False
        self._count_unwritten()

    def _count_unwritten(self) -> None:
        self.has_unwritten = self._changed or bool(self._aside or self._beside)
