"""Forget: delete all that is stored under one key, or replace a stored model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from go_state.core.errors import UsageError
from go_state.core.ports import Store, Write
from go_state.core.program import Program
from go_state.modes.keeping.keyframes import MARK
from go_state.modes.keeping.schema import schema_of
from go_state.storage.backends.record_store import RecordStore
from go_state.storage.letters.erasing import forget_letters, raw_letters_with

Model = TypeVar("Model")
Msg = TypeVar("Msg")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What `forget` has deleted: whether anything was `there` under the key, and how many dead letters. It is true if there was any.

    `raw` is how many raw records that were set aside hold the key as text. They stay: nobody but you can tell whether they are of the key.
    """

    there: bool
    letters: int
    raw: int = 0

    def __bool__(self) -> bool:
        """Return whether there was anything."""
        return self.there or self.letters > 0


def forget(store: RecordStore, key: str) -> Forgotten:
    """Delete all that is stored under a key: the model, its kept snapshots, and its journal with its readers; or nothing.

    Dead letters in the store of messages for the key, or of that journal, are deleted after that. A raw record that was set aside has no
    key, and stays: `DeadLetters.raw_with(key)` gives those that hold the key as text, to be looked at and dropped by their ids.

    A journal that is begun again under the name is another one. What programs have made of its
    messages elsewhere stays: `rewrite` and `change_model` are for that. Raises `LeaseHeld` if its program runs.
    """
    return Forgotten(store.forget(key), forget_letters(store, key), sum(1 for _ in raw_letters_with(store, key)))


def change_model(program: Program[Model, Msg], store: Store, key: str, fn: Callable[[Model], Model]) -> bool:
    """Put `fn(model)` in place of the model that an aggregate has stored under a key; return whether that has changed it.

    The positions of its sources stay. Raises `UsageError` if there is none, or for a journalled program's, which would make its model
    of its messages again; and `Conflict` if the model is written meanwhile.
    """
    schema = schema_of(program, None)
    loaded = schema.load(store, key)
    if loaded is None:
        raise UsageError(f"nothing is stored under {key!r}")
    if MARK in loaded.marks:
        raise UsageError(f"what is stored under {key!r} was made of the messages of a journal: rewrite those")
    data = schema.seal(key, fn(loaded.model), loaded.marks)
    if data == schema.seal(key, loaded.model, loaded.marks):
        return False
    schema.remember_types(store)
    store.store({key: Write(data, loaded.version)})
    return True
