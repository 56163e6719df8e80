"""Verifying a journal: every message through today's update, twice, and every snapshot compared with what that comes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from go_state.core.program import Program
from go_state.history.replay import Finding, Verified
from go_state.modes.keeping.keyframes import Keyframe, keyframes, step
from go_state.storage.codec.codec import JsonCodec, model_type
from go_state.storage.codec.difference import Difference, difference
from go_state.storage.journal.journal import Journal

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_STEP = 1000  # messages between two calls of `progress`


class Verification(Generic[Model, Msg]):
    """One verification of a journal."""

    def __init__(self, program: Program[Model, Msg], journal: Journal[Msg]) -> None:
        self._program = program
        self._journal = journal
        self._codec = JsonCodec[Model](model_type(program))
        frames = keyframes(program, journal)
        self._frames = [frame for frame in frames if frame.revision == program.revision]
        if self._frames and self._frames[0].version == 0 and len(self._frames) < len(frames):
            del self._frames[0]  # what init gives belongs to another revision's messages

    def run(self, progress: Callable[[int], object] | None) -> Verified:
        if not self._frames:
            return Verified(0, 0, None)
        self._journal.lease.refresh()  # after the snapshots: none of them stands beyond the end
        end = self._journal.flush()
        first, *others = self._frames
        stored = {frame.position: frame for frame in others}
        model, aside, messages, snapshots = first.model, self._journal.set_aside(), 0, 0
        last = first.position
        for position, _, message in self._journal.history.exactly(first.position, end):
            if progress is not None and position % _STEP == 0:
                progress(position)
            finding = self._reached(stored, position, model, last)
            if finding is not None:
                return Verified(messages, snapshots, finding)
            if position in stored:
                snapshots, last = snapshots + 1, position
            if position in aside or message is None:
                continue
            try:
                after, again, changed = self._twice(model, position, message)
            except Exception as error:
                error.add_note(f"verify was at position {position}, a message of type {type(message).__qualname__}")
                raise
            if changed is not None:
                what = "update changes the model that it is given"
                return Verified(messages, snapshots, self._finding(position, message, what, changed))
            if (differs := difference(after, again)) is not None:
                what = "two runs of update differ"
                return Verified(messages, snapshots, self._finding(position, message, what, differs))
            model, messages = after, messages + 1
        finding = self._reached(stored, end, model, last)
        return Verified(messages, snapshots + (end in stored and finding is None), finding)

    def _twice(self, model: Model, position: int, message: Msg) -> tuple[Model, Model, Difference | None]:
        program, journal, codec = self._program, self._journal, self._codec
        before = codec.encode(model)
        after = step(program, journal, model, position, message)
        if codec.encode(model) != before:
            return after, after, difference(codec.decode(before), model)
        again = step(program, journal, codec.decode(before), position, message)
        return after, again, None

    def _reached(self, stored: dict[int, Keyframe[Model]], position: int, model: Model, last: int) -> Finding | None:
        frame = stored.get(position)
        differs = None if frame is None else difference(frame.model, model)
        if differs is None:
            return None
        what = f"the snapshot is not reached from the one at {last}: update has changed, or what it was given"
        return self._finding(position, None, what, differs)

    @staticmethod
    def _finding(position: int, message: Any, what: str, differs: Difference) -> Finding:
        kind = "snapshot" if message is None else type(message).__qualname__
        return Finding(position, kind, what, differs.path, repr(differs.expected), repr(differs.found))
