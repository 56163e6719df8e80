"""The snapshots of a durable run: when one is due, and how it is encoded and written in slices between which turns go on.

The model is a value, so what is saved is the model as it was when the save began, however many turns are processed meanwhile. Only
the last slice, which writes the record that makes the snapshot count, goes together with what a flush writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from go_state.modes.durable.beginning import positions_of
from go_state.modes.keeping.keyframes import MARK, Keyframe
from go_state.modes.keeping.waking import NeverWoken, Waking
from go_state.modes.options import Retain
from go_state.modes.settings import DurableSettings
from go_state.runtime.flow.waits import Blocking, Flow
from go_state.storage.journal.journal import Journal
from go_state.storage.records.layout import BLOCK
from go_state.storage.records.parts import InParts
from go_state.storage.records.writes.entry import Snapshot
from go_state.storage.records.writes.together import Steps
from go_state.storage.snapshots.snapshot import Mark, Schema
from go_state.system.own_thread import OwnThread, Stepwise

if TYPE_CHECKING:
    from go_state.runtime.observing.observation import Observation

Model = TypeVar("Model")
Msg = TypeVar("Msg")

SLICE = 0.005  # seconds: about what a turn may be late for, and as long as turns have between two slices


class Saving(Generic[Model]):
    """The save of one model, which stands before the message at `position`."""

    def __init__(
        self, schema: Schema[Model], journal: Journal[Msg], key: str, model: Model, position: int, marks: Mapping[str, Mark]
    ) -> None:
        self.model = model
        self.position = position
        self._sealing = schema.sealing(key, model, marks)
        self._pieces: Iterator[bytes] = self._sealing.body()
        self._parts = journal.parts.records.parts(key)

    def go_on(self) -> bytes | InParts | None:
        """Encode and write for about a slice; return the snapshot's data once all of it is written.

        Raises `NotStorable` for a model that would not read back equal, and what the store raises.
        """
        end = time.monotonic() + SLICE
        for piece in self._pieces:
            self._parts.add(piece)
            if time.monotonic() >= end:
                return None
        return self._parts.finish(self._sealing.seal())


class SnapshotWriter(Generic[Model, Msg]):
    """Writes the snapshots of one run, and drops the messages that nobody needs any more."""

    def __init__(
        self,
        settings: DurableSettings,
        schema: Schema[Model],
        revision: int,
        journal: Journal[Msg],
        newest: Keyframe[Model] | None,
        observation: Observation | None = None,
    ) -> None:
        self._settings = settings
        self._schema = schema
        self._revision = revision
        self._journal = journal
        self.saving: Saving[Model] | None = None  #: the save that has begun and is not done
        self._saved = newest
        self._saved_at = time.monotonic()
        self._observation = observation
        self._since = 0.0  # when the save has begun, for that

    # ------------------------------------------------------------------ when

    def stands_at(self, position: int) -> bool:
        """Return whether the newest snapshot stands before the message at the position."""
        return self._saved is not None and self._saved.position == position

    def is_due(self, position: int) -> bool:
        """Return whether a snapshot is to be written before the message at the position."""
        if not self._since_save(position):
            return False
        seconds = self._settings.snapshots.seconds
        return self.messages_left(position) <= 0 or (seconds is not None and time.monotonic() >= self._saved_at + seconds)

    def seconds_left(self, position: int) -> float | None:
        """Return in how many seconds a snapshot is due if no message comes; None if there will be none."""
        seconds = self._settings.snapshots.seconds
        if seconds is None or not self._since_save(position):
            return None
        return max(self._saved_at + seconds - time.monotonic(), 0)

    def messages_left(self, position: int, most: int = BLOCK) -> int:
        """Return how many messages may be processed before the next snapshot is due, `most` at most."""
        every = self._settings.snapshots.every
        return most if every is None or self.saving is not None else min(most, every - self._since_save(position))

    def _since_save(self, position: int) -> int:
        return position - (0 if self._saved is None else self._saved.position)

    # ------------------------------------------------------------------ writing

    def begin(self, model: Model, position: int) -> None:
        """Begin the save of the model before the message at the position, unless that is the one which has begun."""
        if self.saving is None or self.saving.position != position:
            marks = {MARK: Mark(position, self._journal.journal_id)}
            if self._observation is not None:
                self._since = self._observation.now()
            self.saving = Saving(self._schema, self._journal, self._settings.key, model, position, marks)

    def write_a_slice(self, messages: Sequence[Msg] = ()) -> bool:
        """Go on with the save for a few milliseconds; return whether it is done. Uses the disk.

        With the last slice all that a flush writes is written, and the messages with it, or not at all.
        """
        return self._journal.store.together.take_steps(self.slice_in_steps(messages))

    def slice_in_steps(self, messages: Sequence[Msg] = ()) -> Steps[bool]:
        """Do the same in steps: the last slice is written with what other journals write."""
        saving, self.saving = self.saving, None  # one that fails is not continued
        if saving is None:
            return True
        data = saving.go_on()
        if data is None:
            self.saving = saving
            return False
        yield from self._write(saving, data, messages)
        return True

    def _write(self, saving: Saving[Model], data: bytes | InParts, messages: Sequence[Msg]) -> Steps[None]:
        settings, position, before = self._settings, saving.position, self._saved
        self._schema.remember_types(settings.store)
        replaces, version = (None, 0) if before is None else (before.position, before.version)
        needed = min([position, *positions_of(self._journal.run_record.noted())])
        snapshot = Snapshot(settings.key, position, data, version, replaces, settings.snapshots.keep, needed)
        version = yield from self._journal.writer.save_in_steps(snapshot, messages)
        if self._observation is not None:
            self._observation.saved_on_disk(position, self._since)
        if settings.retention is not None:
            self._drop_messages(position, settings.retention)
        self._saved, self._saved_at = Keyframe(position, saving.model, version, self._revision), time.monotonic()

    def _drop_messages(self, covered: int, retain: Retain) -> None:
        """Drop the messages that a snapshot covers, every cursor has passed and the retention does not ask for."""
        journal, settings = self._journal, self._settings
        before = min([covered, *settings.store.keyframes(settings.key)])
        if (slowest := journal.lease.slowest()) is not None:
            before = min(before, slowest)
        if retain.messages is not None:
            before = min(before, covered - retain.messages)
        if retain.seconds is not None:
            before = min(before, journal.history.entered_by(retain.seconds))
        if before - journal.statistics().start >= BLOCK:  # a transaction for a block's worth at least
            journal.truncate(before)


class Saves(Generic[Model, Msg]):
    """Saves the models of one run between its turns, with what a flush writes, and shows what is on disk then."""

    def __init__(
        self,
        snapshots: SnapshotWriter[Model, Msg],
        written: Callable[[Model], Flow[None] | tuple[()]],
        waking: Waking | NeverWoken,
        thread: OwnThread,
    ) -> None:
        self._snapshots = snapshots
        self._written = written  # called with a model whose turn is on disk, which may be shown
        self._waking = waking
        self._thread = thread

    def save(self, model: Model, position: int, messages: Sequence[Msg] = ()) -> Flow[None]:
        """Save the model before the message at the position, and with it, or not at all, the messages."""
        self._snapshots.begin(model, position)
        while not (yield self._slice(position, messages)):
            pass
        yield from self._written(model)

    def end(self, model: Model, position: int) -> Flow[None]:
        """Save the model of the end, before the message at the position, unless the newest snapshot has it."""
        if self._snapshots.stands_at(position):
            yield from self._written(model)
        else:
            yield from self.save(model, position)

    def save_a_slice(self, model: Model, position: int) -> Flow[None]:
        """Save for a few milliseconds: a small model whole, and of a large one as much as there is time for between two turns."""
        if self._snapshots.saving is None:
            self._snapshots.begin(model, position)
        if (yield self._slice(position)):
            yield from self._written(model)

    def _slice(self, position: int, messages: Sequence[Msg] = ()) -> Blocking:
        self._waking.note(position)
        snapshots = self._snapshots
        alone, in_steps = partial(snapshots.write_a_slice, messages), partial(snapshots.slice_in_steps, messages)
        return Blocking(Stepwise(alone, in_steps), self._thread)
