"""Where a batch that halts at a message ends: with what came before it, at a position from which the next run begins at it.

    the source's own message fails      its turn is rolled back; what runs is waited for; the position is that before the message
    a message of a command fails, or    back to the last moment at which nothing was queued or running, before a message of the
    a command fails after its turn      source: models are values, so the one of that moment is still there
    the source has no positions         there is nowhere to go back to: the turn is rolled back, and what runs is waited for

Positions and models are noted only in a batch whose `on_error` may halt, and not in a run of messages that the loop has whole: until one
of its turns sends something, only a message of the source can fail. To note each of them took two to five times as long as their turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

from go_state.core.ports import Position
from go_state.modes.batch.source_reader import SourceReader
from go_state.runtime.turn import Loop

Msg = TypeVar("Msg")
Held = TypeVar("Held")  # the model as a loop has it: the program's own, or of a keyed aggregate its last change


class Counts(NamedTuple):
    """How many messages a feed has taken from its source, had none in their place, and queued."""

    taken: int
    idle: int
    queued: int


class Quiet(NamedTuple, Generic[Held]):
    """A moment before a message of the source at which nothing was queued or running."""

    model: Held
    position: Position
    counts: Counts
    passed_over: int
    set_aside: int
    letters: int


class Rewind(NamedTuple, Generic[Held]):
    """What a mode keeps beside the model: called with it at quiet moments, and to go back to the last one."""

    mark: Callable[[Held], object]
    revert: Callable[[Held], object]
    forget: Callable[[], object]  # called when there is no such moment to go back to


class Halting(Generic[Held, Msg]):
    """Notes where a batch would end, before each message of its source."""

    def __init__(self, loop: Loop[Held, Msg], reader: SourceReader[Msg], rewind: Rewind[Held] | None) -> None:
        self.before: Position = reader.position()  #: the position before the message last given
        self._loop = loop
        self._reader = reader
        self._rewind = rewind
        self._quiet: Quiet[Held] | None = None

    def noting(self, run: Iterator[Msg | None], counts: Callable[[], Counts]) -> Iterator[Msg | None]:
        """Give the messages, and note before each of them where the batch stands."""
        reader, manager = self._reader, self._loop.manager
        while True:
            self.before = reader.position()
            if not manager.count and not manager.has_arrivals:
                self.note(self.before, counts())
            for message in run:
                yield message
                break
            else:
                return

    def forget(self) -> None:
        """Note nothing until the next `note`: a message of the source alone can fail, before which everything stands."""
        if self._rewind is not None:
            self._rewind.forget()

    def note(self, before: Position, counts: Counts) -> None:
        """Note where the batch stands before a message of its source, when nothing is queued or running."""
        self.before = before
        loop, failures = self._loop, self._loop.failures
        if self._rewind is not None:
            self._rewind.mark(loop.model)
        self._quiet = Quiet(loop.model, self.before, counts, loop.passed_over, len(failures.set_aside), failures.letters)

    def go_back(self) -> Counts:
        """Go back to the last quiet moment."""
        quiet, loop, failures = self._quiet, self._loop, self._loop.failures
        assert quiet is not None  # before the first message nothing was running
        if self._rewind is not None:
            self._rewind.revert(quiet.model)
        loop.model, loop.passed_over, self.before = quiet.model, quiet.passed_over, quiet.position
        failures.letters = quiet.letters
        del failures.set_aside[quiet.set_aside :]
        return quiet.counts
