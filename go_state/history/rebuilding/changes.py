"""What a rebuild has changed."""

from __future__ import annotations

from typing import NamedTuple

from go_state.runtime.on_error import FailedMessage
from go_state.storage.codec.difference import ABSENT, differences

MOST = 10_000  # changes that are named; the others are counted
_OF_ONE = 100  # of those of one model


class ModelChange(NamedTuple):
    """A field of a model that a rebuild has changed: the key, the path in the model, and what it was and is now.

    `position` is that of the snapshot, of a journalled program; None of an aggregate's model. A model that is new was "nothing", one
    that is gone is "nothing" now, and so was one that could not be read.
    """

    key: str
    position: int | None
    path: str
    was: object
    now: object

    def __str__(self) -> str:
        at = "" if self.position is None else f" at {self.position}"
        return f"{self.key!r}{at}: {self.path} was {self.was!r} and is {self.now!r}"


class Rebuilt(NamedTuple):
    """What a rebuild has done: how many models it has made again, how many differ from what they were, and in which fields.

    `changes` are up to 10,000 of them, and up to 100 of one model. `written` says whether anything was written. `passed_over` is how
    many messages and records the fold has passed over, of which `set_aside` names the first 1,000 of each history; `letters` is how
    many letters are gone, because their messages are in the models now.
    """

    models: int
    changed: int
    changes: tuple[ModelChange, ...]
    written: bool
    passed_over: int = 0
    set_aside: tuple[FailedMessage[object], ...] = ()  # of whichever program
    letters: int = 0


class Changes:
    """The changes that were found so far."""

    def __init__(self) -> None:
        self.models = self.changed = 0
        self.found: list[ModelChange] = []

    def compare(self, key: str, position: int | None, was: object, now: object) -> bool:
        """Note in what a model has changed, and return whether it has; `ABSENT` stands for no model."""
        self.models += 1
        if was is ABSENT or now is ABSENT:
            found = [ModelChange(key, position, "the model", was, now)] if was is not now else []
        else:
            found = [ModelChange(key, position, *each) for each in differences(was, now, _OF_ONE)]
        self.changed += bool(found)
        self.found += found[: MOST - len(self.found)]
        return bool(found)

    def rebuilt(self, *, written: bool) -> Rebuilt:
        """Return all of it."""
        return Rebuilt(self.models, self.changed, tuple(self.found), written)
