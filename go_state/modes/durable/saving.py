"""A snapshot of a durable run in the making: encoded and written in slices of a few milliseconds, between which turns go on.

The model is a value, so what is saved is the model as it was when the save began, however many turns are taken meanwhile. Only the last
slice, which writes the record that makes the snapshot count, goes together with what a flush writes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from go_state.storage.records.parts import InParts
from go_state.storage.snapshots.snapshot import Schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from go_state.storage.journal.journal import Journal
    from go_state.storage.snapshots.snapshot import Mark

Model = TypeVar("Model")

SLICE = 0.005  # seconds: about what a turn may be late for, and as long as turns have between two slices


class Saving(Generic[Model]):
    """The save of one model, which stands before the message at `position`."""

    def __init__(
        self, schema: Schema[Model], journal: Journal[Any], key: str, model: Model, position: int, marks: Mapping[str, Mark]
    ) -> None:
        self.model = model
        self.position = position
        self._sealing = schema.sealing(key, model, marks)
        self._pieces: Iterator[bytes] = self._sealing.body()
        self._parts = journal.parts(key)

    def go_on(self) -> bytes | InParts | None:
        """Encode and write for about a slice; return the snapshot's data once all of it is there.

        Raises `NotStorable` for a model that would not read back equal, and what the store raises.
        """
        end = time.monotonic() + SLICE
        for piece in self._pieces:
            self._parts.add(piece)
            if time.monotonic() >= end:
                return None
        return self._parts.finish(self._sealing.seal())
