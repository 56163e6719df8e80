"""Whoever begins to follow the fields of a running program misses no model."""

from __future__ import annotations

from dataclasses import dataclass

from interrupts import Interrupt, at_every_point

from go_state.modes.app.observers import Observers
from go_state.watch.fields import ANY, Change


@dataclass(frozen=True)
class Model:
    count: int = 0


def test_following_that_was_interrupted_begins_anew() -> None:
    """A model that is published while somebody begins to follow is not missed by the next, wherever Ctrl-C has met the first."""

    def act(interrupt: Interrupt) -> None:
        observers: Observers[Model] = Observers()
        observers.committed(Model(1))
        versioned = observers.models.versioned

        def and_publish() -> tuple[int, Model]:
            found = versioned()
            if observers.models.version == 1:
                observers.committed(Model(2))
            return found

        observers.models.versioned = and_publish  # type: ignore[method-assign]
        with interrupt:
            observers.follow()
        with observers.follow().changes(ANY, since=0, initial=False) as changes:
            assert changes.get_nowait() == Change(2, ("count",), Model(2))

    at_every_point(act)
