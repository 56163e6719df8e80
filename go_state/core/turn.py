"""The turn as update sees it: when its message entered, its position, and randomness that a replay repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    import uuid


class Turn:
    """The third argument of an `update(model, msg, turn)` that asks for it.

    `at` is when the message entered, in seconds since 1970 (UTC): as a journal has recorded it, or else when the turn began.
    `position` is the message's place in its log or source; None if that counts no positions. `random()` and `uuid()` give other values at
    every call and in every turn, and under a journal the same ones whenever the message is replayed: they follow from `seed`.
    """

    def __init__(self, at: float, position: object, seed: str | None = None) -> None:
        self.at = at
        self.position = position
        self._seed = seed  # None: chance that nobody will replay
        self._generator: random.Random | None = None

    def _chance(self) -> random.Random:
        if self._generator is None:
            from random import Random  # here, as uuid below: only a turn that asks for them waits for their import

            self._generator = Random(self._seed)
        return self._generator

    def random(self) -> float:
        """Return a number from 0 to below 1."""
        return self._chance().random()

    def uuid(self) -> uuid.UUID:
        """Return a UUID of version 4."""
        from uuid import UUID

        return UUID(int=self._chance().getrandbits(128), version=4)

    def __repr__(self) -> str:
        return f"Turn(at={self.at!r}, position={self.position!r})"
