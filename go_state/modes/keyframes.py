"""Keyframes: the models at some positions of a journal, and the way from one of them to any other position."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

from go_state.core.errors import UsageError
from go_state.core.ports import Stored
from go_state.core.program import Program, not_a_step, read_step
from go_state.core.turn import Turn
from go_state.modes.schema import schema_of
from go_state.storage.codec import message_type
from go_state.storage.journal import Journal
from go_state.storage.record_store import RecordStore
from go_state.storage.snapshot import Schema, read_envelope

Model = TypeVar("Model")
Msg = TypeVar("Msg")

MARK = "journal"  # under which a snapshot says at which position of the journal it stands


def give_type(journal: Journal[Msg], program: Program[Any, Msg]) -> None:
    """Tell the journal what the program's messages are, and how those of its older schemas become today's."""
    migrations: Any = program.migrations  # as its constructor has checked them
    journal.give_type(message_type(program), program.schema, migrations)


class Keyframe(NamedTuple, Generic[Model]):
    """A model as a snapshot has it: before the message at `position`. `version` is the stored one's, `revision` the program's."""

    position: int
    model: Model
    version: int
    revision: int


def newest(schema: Schema[Model], store: RecordStore, key: str) -> Keyframe[Model] | None:
    """Return the newest snapshot, or None; `Corrupt` or `Incompatible` when it cannot be read."""
    stored = store.load(key)
    return None if stored is None else _keyframe(schema, store, key, stored)


def kept(schema: Schema[Model], store: RecordStore, key: str, position: int) -> Keyframe[Model] | None:
    """Return the snapshot that was kept at the position, or None."""
    stored = store.load_keyframe(key, position)
    return None if stored is None else _keyframe(schema, store, key, stored)


def _keyframe(schema: Schema[Model], store: RecordStore, key: str, stored: Stored) -> Keyframe[Model]:
    position, loaded = position_of(key, stored), schema.loaded(store, key, stored)
    return Keyframe(position, loaded.model, loaded.version, loaded.revision)


def position_of(key: str, stored: Stored) -> int:
    """Return the position that a snapshot stands at."""
    marks = read_envelope(key, stored.data).marks
    if MARK not in marks:
        raise UsageError(f"what is stored under {key!r} is no journalled program's: give the program another key=")
    return int(marks[MARK].position)


def keyframes(program: Program[Model, Msg], journal: Journal[Msg]) -> list[Keyframe[Model]]:
    """Return every model there is to start from, oldest first: init's, where the journal begins at 0, and the snapshots kept."""
    schema, store, key = schema_of(program, None), journal.store, journal.name
    first = [] if journal.statistics().start else [Keyframe(0, read_step(program.init(), "init")[0], 0, program.revision)]
    found = [kept(schema, store, key, position) for position in store.keyframes(key)]
    return first + [frame for frame in (*found, newest(schema, store, key)) if frame is not None]


def nearest(program: Program[Model, Msg], journal: Journal[Msg], end: int) -> Keyframe[Model] | None:
    """Return the last model to start from on the way to the position `end`; only that one is read."""
    schema, store, key, start = schema_of(program, None), journal.store, journal.name, journal.statistics().start
    stored = store.load(key)
    if stored is not None and start <= position_of(key, stored) <= end:
        return _keyframe(schema, store, key, stored)
    for position in reversed(store.keyframes(key)):
        if start <= position <= end:
            return kept(schema, store, key, position)
    return None if start else Keyframe(0, read_step(program.init(), "init")[0], 0, program.revision)


def step(program: Program[Model, Any], journal: Journal[Any], model: Model, position: int, message: Any) -> Model:
    """Return the model after the message; its commands are not performed."""
    turn: tuple[Turn, ...] = (journal.turn(position),) if program.takes_turn else ()
    update: Any = program.update
    after: Model = read_step(update(model, message, *turn), "update")[0]
    return after


def full_step(program: Program[Model, Any], model: Any, message: Any, at: float, position: int, salt: str) -> tuple[Any, Any]:
    """Return the model after the message, which has entered `at` that time, and its commands."""
    turn: tuple[Turn, ...] = (Turn(at, position, f"{salt}/{position}"),) if program.takes_turn else ()
    update: Any = program.update
    return read_step(update(model, message, *turn), "update")


def fold(program: Program[Model, Any], journal: Journal[Any], model: Model, start: int, end: int) -> Model:
    """Return the model after the messages from `start` to before `end`; those that were set aside are passed over."""
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
