"""The snapshot from which a restart goes on: the newest, or an earlier one that was asked for.

It stands where the journal's messages lead on from and where its program has been: what came before the one is forgotten, and what
comes after the other would be in the model twice.
"""

from __future__ import annotations

from typing import TypeVar

from go_state.core.errors import Corrupt, StoreError, UsageError
from go_state.modes.keeping.keyframes import Keyframe, kept, newest
from go_state.storage.journal.journal import Journal
from go_state.storage.snapshots.snapshot import Schema

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def load(schema: Schema[Model], journal: Journal[Msg], reader: str, restore: int | None) -> Keyframe[Model] | None:
    """Return the newest snapshot of the program that reads under this name, after the one at `restore` was made the newest.

    Raises `Corrupt` with the position of an earlier one that can be restored, and `UsageError` for one that cannot.
    """
    store, key = journal.store, journal.name
    begin, come = journal.parts.tail.start, journal.cursors().get(reader, 0)
    if restore is not None and not _stands_at(restore, schema, journal):
        if restore < begin:
            raise UsageError(f"the journal {key!r} begins at {begin}: what came after the snapshot at {restore} is forgotten")
        _not_beyond(come, kept(schema, journal, restore), key)  # raises before the newest one goes
        store.restore(key, restore)
    try:
        return _not_beyond(come, newest(schema, journal), key)
    except Corrupt as error:
        earlier = [position for position in store.keyframes(key) if begin <= position <= come]
        offer = (
            f"an earlier one stands at position {earlier[-1]}: run with restore={earlier[-1]} to go on from it; the messages "
            f"after it are still in the journal"
            if earlier
            else "there is no earlier one from which its messages are still there"
        )
        raise Corrupt(key, f"{error.what}; {offer}") from error


def _stands_at(position: int, schema: Schema[Model], journal: Journal[Msg]) -> bool:
    """Return whether the newest snapshot stands at the position already, as after a restart with the same arguments."""
    try:
        found = newest(schema, journal)
    except StoreError:
        return False
    return found is not None and found.position == position


def _not_beyond(come: int, frame: Keyframe[Model] | None, key: str) -> Keyframe[Model] | None:
    """Return the snapshot; `Corrupt` when it has messages in it that its program has not come to, and would take again."""
    if frame is not None and frame.position > come:
        raise Corrupt(key, f"it stands at position {frame.position}, and its program is only at position {come}")
    return frame
