"""Keyframes: the models at some positions of a journal, and the way from one of them to any other position."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

from go_state.core.errors import Corrupt, Incompatible, UsageError
from go_state.core.ports import Stored
from go_state.core.program import Program, not_a_step, read_step
from go_state.core.turn import Turn
from go_state.modes.keeping.schema import schema_of
from go_state.storage.codec.codec import message_type
from go_state.storage.journal.journal import Journal
from go_state.storage.snapshots.snapshot import Schema, read_envelope

Model = TypeVar("Model")
Msg = TypeVar("Msg")

MARK = "journal"  # under which a snapshot says at which position of the journal it stands


def set_message_type(journal: Journal[Msg], program: Program[Any, Msg]) -> None:
    """Set the type of the journal's messages to the program's, and how those of its older schemas become today's."""
    migrations: Any = program.migrations  # as its constructor has checked them
    journal.set_message_type(message_type(program), program.schema, migrations)


class Keyframe(NamedTuple, Generic[Model]):
    """A model as a snapshot has it: before the message at `position`. `version` is the stored one's, `revision` the program's."""

    position: int
    model: Model
    version: int
    revision: int


def newest(schema: Schema[Model], journal: Journal[Any]) -> Keyframe[Model] | None:
    """Return the newest snapshot, or None; `Corrupt` or `Incompatible` when it cannot be read, or is of another journal."""
    stored = journal.store.load(journal.name)
    return None if stored is None else _keyframe(schema, journal, stored)


def kept(schema: Schema[Model], journal: Journal[Any], position: int) -> Keyframe[Model] | None:
    """Return the snapshot that was kept at the position, or None."""
    stored = journal.store.load_keyframe(journal.name, position)
    return None if stored is None else _keyframe(schema, journal, stored)


def _keyframe(schema: Schema[Model], journal: Journal[Any], stored: Stored) -> Keyframe[Model]:
    position, loaded = position_of(journal, stored), schema.loaded(journal.store, journal.name, stored)
    return Keyframe(position, loaded.model, loaded.version, loaded.revision)


def position_of(journal: Journal[Any], stored: Stored) -> int:
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
    """Return every model there is to start from, oldest first: init's, where the journal begins at 0, and the snapshots kept.

    Those from before where the journal begins lead nowhere, and are left out.
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


def step(program: Program[Model, Any], journal: Journal[Any], model: Model, position: int, message: Any) -> Model:
    """Return the model after the message; its commands are not performed."""
    turn: tuple[Turn, ...] = (journal.turn(position),) if program.takes_turn else ()
    update: Any = program.update
    after: Model = read_step(update(model, message, *turn), "update")[0]
    return after


def full_step(
    program: Program[Model, Any], model: Any, message: Any, at: float, position: int, journal_id: str
) -> tuple[Any, Any]:
    """Return the model after the message, which has entered `at` that time, and its commands."""
    turn: tuple[Turn, ...] = (Turn(at, position, f"{journal_id}/{position}"),) if program.takes_turn else ()
    update: Any = program.update
    return read_step(update(model, message, *turn), "update")


def fold(program: Program[Model, Any], journal: Journal[Any], model: Model, start: int, end: int) -> Model:
    """Return the model after exactly the messages from `start` to before `end`; those that were set aside are passed over.

    Raises `Lagged` or `Corrupt` when one of them is not there any more.
    """
    aside, update, takes_turn = journal.set_aside(), program.update, program.takes_turn
    for first, messages in journal.chunks(start, end):
        if takes_turn or not aside.keys().isdisjoint(range(first, first + len(messages))):
            for position, message in enumerate(messages, first):
                if position not in aside and message is not None:
                    model = step(program, journal, model, position, message)
            continue
        call: Any = update
        for message in messages:
            if message is not None:
                taken = call(model, message)
                if taken.__class__ is not tuple:
                    raise not_a_step(taken, "update")
                try:
                    model, _ = taken
                except ValueError:
                    raise not_a_step(taken, "update") from None
    return model
