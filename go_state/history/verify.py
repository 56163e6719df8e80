"""Verify: every message of a journal through today's update, twice, and every snapshot compared with the model at its position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from go_state.core.program import Program
from go_state.middleware.chain import replayed
from go_state.modes.keeping.keyframes import Keyframe, keyframes, set_message_type, step
from go_state.modes.run import without_key
from go_state.storage.codec.difference import Difference, difference
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.codec.program_types import model_type
from go_state.storage.journal.journal import Journal

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_STEP = 1000  # messages between two calls of `progress`


class Finding(NamedTuple):
    """What is wrong at the message at `position`: the message's type, and the path in the model at which two values differ."""

    position: int
    message: str
    what: str
    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"position {self.position} ({self.message}): {self.what}; {self.path} is {self.found} and was {self.expected}"


class Verified(NamedTuple):
    """What `verify` has found: how many messages it has folded, how many snapshots it has compared, and the first thing wrong."""

    messages: int
    snapshots: int
    finding: Finding | None

    @property
    def ok(self) -> bool:
        """Whether nothing was found wrong."""
        return self.finding is None


def verify(program: Program[Model, Msg], journal: Journal[Msg], *, progress: Callable[[int], object] | None = None) -> Verified:
    """Fold the journal through today's update and report the first message after which the model is not what it was.

    Every update is run twice, with the same turn: a difference between the two shows chance or a clock, and a model that is not the
    same after the update shows that it was changed in place. Every snapshot is compared with the model folded to its position. If
    `Program(revision=)` has grown, only what that revision has made is checked, from its first snapshot on.

    `progress` is called with the position now and then, for a progress bar.

    A child process reads the whole file first, because a damaged page can end the process that reads it. Raises `Corrupt` with the
    position of what is damaged, and what `update` raises, with a note of the position.
    """
    program = replayed(without_key(program, "verify"))
    set_message_type(journal, program)
    journal.flush()
    journal.store.check_damage()
    journal.refresh()
    return _Verification(program, journal).run(progress)


class _Verification(Generic[Model, Msg]):
    """One verification of a journal: it counts what it has compared as it goes."""

    def __init__(self, program: Program[Model, Msg], journal: Journal[Msg]) -> None:
        self._program = program
        self._journal = journal
        self._codec = JsonCodec[Model](model_type(program))
        frames = keyframes(program, journal)
        self._frames = [frame for frame in frames if frame.revision == program.revision]
        if self._frames and self._frames[0].version == 0 and len(self._frames) < len(frames):
            del self._frames[0]  # what init returns belongs to another revision's messages
        self._stored: dict[int, Keyframe[Model]] = {}  # the snapshots that are yet to be compared, by their positions
        self._last = 0  # the position of the snapshot that was compared last
        self._messages = self._snapshots = 0

    def run(self, progress: Callable[[int], object] | None) -> Verified:
        if not self._frames:
            return Verified(0, 0, None)
        self._journal.refresh()  # after the snapshots: none of them stands beyond the end
        end = self._journal.flush()
        first, *others = self._frames
        self._stored = {frame.position: frame for frame in others}
        self._last, model, aside = first.position, first.model, self._journal.set_aside()
        for position, _, message in self._journal.exactly(first.position, end):
            if progress is not None and position % _STEP == 0:
                progress(position)
            finding = self._compare_snapshot(position, model)
            if finding is None and position not in aside and message is not None:
                model, finding = self._update_twice(model, position, message)
            if finding is not None:
                return self._verified(finding)
        return self._verified(self._compare_snapshot(end, model))

    def _verified(self, finding: Finding | None) -> Verified:
        return Verified(self._messages, self._snapshots, finding)

    def _compare_snapshot(self, position: int, model: Model) -> Finding | None:
        """Compare the model with the snapshot at the position, if there is one."""
        frame = self._stored.get(position)
        if frame is None:
            return None
        if (differs := difference(frame.model, model)) is not None:
            what = f"the snapshot is not reached from the one at {self._last}: update has changed, or what it was given"
            return _finding(position, None, what, differs)
        self._snapshots, self._last = self._snapshots + 1, position
        return None

    def _update_twice(self, model: Model, position: int, message: Msg) -> tuple[Model, Finding | None]:
        """Return the model after the message, and what is wrong if two updates of equal models differ, or change their model."""
        program, journal, codec = self._program, self._journal, self._codec
        try:
            before = codec.encode(model)
            after = step(program, journal, model, position, message)
            if codec.encode(model) != before:
                changed = difference(codec.decode(before), model)
                again = after
            else:
                changed, again = None, step(program, journal, codec.decode(before), position, message)
        except Exception as error:
            error.add_note(f"verify was at position {position}, a message of type {type(message).__qualname__}")
            raise
        if changed is not None:
            return after, _finding(position, message, "update changes the model that it is given", changed)
        if (differs := difference(after, again)) is not None:
            return after, _finding(position, message, "two runs of update differ", differs)
        self._messages += 1
        return after, None


def _finding(position: int, message: object, what: str, differs: Difference) -> Finding:
    kind = "snapshot" if message is None else type(message).__qualname__
    return Finding(position, kind, what, differs.path, repr(differs.expected), repr(differs.found))
