"""A retry into the models of an aggregate: each letter is removed in the transaction that saves the model of its message."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Generic, TypeVar

from go_state.core.ports import Write
from go_state.core.program import Program
from go_state.dead_letters.again import Reading, Tally
from go_state.modes.aggregate.aggregate import fold
from go_state.modes.keeping.filing import LetterFiling, LetterWriter
from go_state.modes.options import Snapshots
from go_state.runtime.flow.waits import Flow
from go_state.runtime.on_error import FailedMessage, Kind, Letters, SetAside
from go_state.storage.letters.box import LetterBox
from go_state.storage.letters.letter import Letter

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_TOGETHER = 1000  # messages between two saves: what a crash has the next retry do again, from models that do not have it


def retry_into_models(
    program: Program[Model, Msg],
    letters: Letters,
    chosen: Iterator[Letter],
    key: str | Callable[[Msg], str],
    reading: Reading[Msg],
    tally: Tally,
    env: object,
) -> None:
    """Fold the letters' messages into their models, in order."""
    box = letters.box
    filing = RetryFiling(LetterFiling(LetterWriter(program), kept_in=box.store), box, reading, tally)
    on_error: SetAside[object] = SetAside(letters)
    snapshots = Snapshots(every=_TOGETHER)
    fold(program, filing.messages(chosen), box.store, key, {"on_error": on_error, "snapshots": snapshots, "env": env}, filing)


class RetryFiling(Generic[Msg]):
    """Removes the letters whose messages are given, and keeps those that fail again, with each save."""

    def __init__(self, filing: LetterFiling[Msg], box: LetterBox, reading: Reading[Msg], tally: Tally) -> None:
        self._filing = filing
        self._box = box
        self._reading = reading
        self._tally = tally
        self._given: dict[object, tuple[Letter, Msg]] = {}  # by position, since the last save

    def messages(self, letters: Iterator[Letter]) -> Iterator[Msg]:
        """Give the message of each letter, whose removal is written with what it leads to."""
        number = 0
        for letter in letters:
            if letter.failed == "command":
                self._tally.left += 1
                continue
            try:
                message = self._reading.message(letter)
            except Exception as error:
                self._failed_again(letter, error)
                continue
            self._given[number] = letter, message
            self._filing.change(self._box, letter.id, None)
            self._tally.done += 1
            number += 1
            yield message

    def _failed_again(self, letter: Letter, error: Exception) -> None:
        self._tally.failed += 1
        self._filing.change(self._box, letter.id, letter.failed_again(error))

    def file(self, box: LetterBox, failed: FailedMessage[object], kind: Kind) -> Flow[None]:
        """Keep the letter of a message that fails again, and a new one of whatever else fails, such as a message of a command."""
        letter, message = self._given[failed.position]
        if kind == "turn" and failed.message is message:
            self._tally.done -= 1
            self._failed_again(letter, failed.error)
            return
        new = self._filing.writer.letter(failed, kind)
        own_id = f"{letter.id}.{os.urandom(4).hex()}"
        self._filing.change(box, own_id, replace(new, id=own_id, source=letter.source, position=letter.position))
        return
        yield

    # ------------------------------------------------------------------ what the save asks

    @property
    def is_full(self) -> bool:
        """Whether so much waits for the save that it is due."""
        return self._filing.is_full

    def writes(self) -> dict[str, Write]:
        """Return what the save is to write for the letters."""
        return self._filing.writes()

    def written(self) -> None:
        """Called when all of it is stored; nothing is running then that could fail for what was given before."""
        self._filing.written()
        self._given = {}

    def noted(self) -> Mapping[LetterBox, int]:
        """Return what `go_back` takes."""
        return self._filing.noted()

    def go_back(self, to: Mapping[LetterBox, int]) -> None:
        """Forget what was filed since."""
        self._filing.go_back(to)
