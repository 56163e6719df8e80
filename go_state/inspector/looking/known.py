"""What only a run that is watched can tell: how long its turns took, and what came of the commands that they began.

A history does not have it: of one that is stored nothing of this is known, and the page says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

EffectState: TypeAlias = Literal["waiting", "running", "retrying", "done", "failed", "cancelled"]
UNFINISHED: tuple[EffectState, ...] = ("waiting", "running", "retrying")
"""The states of an effect that goes on."""


@dataclass(slots=True)
class EffectStory:
    """What is known of one effect: `seconds` since it was launched, when it is over; `tries` are those that were begun.

    `entered` are the positions of the messages that it has sent, of those that were not taken yet -1. `error` is the class of what
    it has failed with, and `said` what that says.
    """

    id: str
    function: str
    state: EffectState = "running"
    tries: int = 0
    seconds: float | None = None
    error: str | None = None
    said: str = ""
    entered: tuple[int, ...] = ()


class Known(Protocol):
    """What is known of the turns of a run."""

    def has(self, position: int) -> bool:
        """Return whether the turn was watched."""
        ...

    def seconds(self, position: int) -> float | None:
        """Return how long the turn took; None if that is not known."""
        ...

    def slower(self, seconds: float) -> Mapping[int, float]:
        """Return the turns that took as long, or longer, and how long."""
        ...

    def effects(self, position: int) -> Sequence[EffectStory]:
        """Return the effects that the turn has begun, in order."""
        ...

    def failed(self, positions: Iterable[int]) -> set[int]:
        """Return those of the turns of which a command has failed."""
        ...

    def origin(self, position: int) -> tuple[int, str] | None:
        """Return which turn's command has sent the message, and the command's function; None if that is not known."""
        ...


class NothingKnown:
    """A history: nothing of its run is known."""

    def has(self, position: int) -> bool:
        """Return False."""
        return False

    def seconds(self, position: int) -> float | None:
        """Return None."""
        return None

    def slower(self, seconds: float) -> Mapping[int, float]:
        """Return no turn."""
        return {}

    def effects(self, position: int) -> Sequence[EffectStory]:
        """Return no effect."""
        return ()

    def failed(self, positions: Iterable[int]) -> set[int]:
        """Return no turn."""
        return set()

    def origin(self, position: int) -> tuple[int, str] | None:
        """Return None."""
        return None
