"""Keyframes: the models at some positions of a journal, and the way from one of them to any other position."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from go_state.core.errors import Corrupt, Incompatible, UsageError
from go_state.core.ports import Stored
from go_state.core.program import Program, Step, read_step
from go_state.core.turn import Turn
from go_state.modes.keeping.schema import schema_of
from go_state.storage.codec.program_types import message_type, migrations_of
from go_state.storage.journal.journal import Journal
from go_state.storage.snapshots.snapshot import Schema, read_envelope

Model = TypeVar("Model")
Msg = TypeVar("Msg")

MARK = "journal"  # under which a snapshot says at which position of the journal it stands


def set_message_type(journal: Journal[Msg], program: Program[Model, Msg]) -> None:
    """Set the journal's message type, and the migrations of its older schemas, to those of the program."""
    migrations = migrations_of(program)
    journal.kind.set(message_type(program), program.schema, migrations)


class Keyframe(NamedTuple, Generic[Model]):
    """A model as a snapshot has it: before the message at `position`. `version` is the stored one's, `revision` the program's."""

    position: int
    model: Model
    version: int
    revision: int


def newest(schema: Schema[Model], journal: Journal[Msg]) -> Keyframe[Model] | None:
    """Return the newest snapshot, or None; `Corrupt` or `Incompatible` when it cannot be read, or is of another journal."""
    stored = journal.store.load(journal.name)
    return None if stored is None else _keyframe(schema, journal, stored)


def kept(schema: Schema[Model], journal: Journal[Msg], position: int) -> Keyframe[Model] | None:
    """Return the snapshot that was kept at the position, or None."""
    stored = journal.store.load_keyframe(journal.name, position)
    return None if stored is None else _keyframe(schema, journal, stored)


def _keyframe(schema: Schema[Model], journal: Journal[Msg], stored: Stored) -> Keyframe[Model]:
    position, loaded = position_of(journal, stored), schema.loaded(journal.store, journal.name, stored)
    return Keyframe(position, loaded.model, loaded.version, loaded.revision)


def position_of(journal: Journal[Msg], stored: Stored) -> int:
    """Return the position of the journal that a snapshot stands at; `Incompatible` when it was made of another journal."""
    mark = read_envelope(journal.name, stored.data).marks.get(MARK)
    if mark is None:
        raise UsageError(f"what is stored under {journal.name!r} is no journalled program's: give the program another key=")
    if mark.fingerprint != journal.journal_id:
        why = "it was made of the messages of another journal, and positions of this one say nothing about it"
        raise Incompatible(journal.name, "journal", why)
    if type(mark.position) is not int or mark.position < 0:
        raise Corrupt(journal.name, "it names no position of a journal")
    return mark.position


def keyframes(program: Program[Model, Msg], journal: Journal[Msg]) -> list[Keyframe[Model]]:
    """Return every model there is to start from, oldest first: init's, if the journal begins at 0, and the snapshots kept.

    Those from before the beginning of the journal lead nowhere, and are left out.
    """
    schema, start = schema_of(program, None), journal.statistics().start
    first = [] if start else [Keyframe(0, read_step(program.init(), "init")[0], 0, program.revision)]
    positions = [position for position in journal.store.keyframes(journal.name) if position >= start]
    found = [*(kept(schema, journal, position) for position in positions), newest(schema, journal)]
    return first + [frame for frame in found if frame is not None and frame.position >= start]


def nearest(program: Program[Model, Msg], journal: Journal[Msg], end: int) -> Keyframe[Model] | None:
    """Return the last model to start from on the way to the position `end`; only that one is read."""
    schema, store, key, start = schema_of(program, None), journal.store, journal.name, journal.statistics().start
    stored = store.load(key)
    if stored is not None and start <= position_of(journal, stored) <= end:
        return _keyframe(schema, journal, stored)
    for position in reversed(store.keyframes(key)):
        # One that a running program has let go of meanwhile is none.
        if start <= position <= end and (frame := kept(schema, journal, position)) is not None:
            return frame
    return None if start else Keyframe(0, read_step(program.init(), "init")[0], 0, program.revision)


def step(program: Program[Model, Msg], journal: Journal[Msg], model: Model, position: int, message: Msg) -> Model:
    """Return the model after the message; its commands are not performed."""
    turn: tuple[Turn, ...] = (journal.run_record.turn(position),) if program.takes_turn else ()
    return read_step(program.update(model, message, *turn), "update")[0]


def full_step(
    program: Program[Model, Msg], model: Model, message: Msg, at: float, position: int, journal_id: str
) -> Step[Model, Msg]:
    """Return the model after the message, which has entered `at` that time, and its commands."""
    turn: tuple[Turn, ...] = (Turn(at, position, f"{journal_id}/{position}"),) if program.takes_turn else ()
    return read_step(program.update(model, message, *turn), "update")
