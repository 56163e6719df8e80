"""Histories: messages by position, for the tools that ask questions of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

from go_state.core.ports.sources import Position, Undecoded

Got = TypeVar("Got", covariant=True)


class Entry(NamedTuple, Generic[Got]):
    """A message of a history: its position, when it entered (seconds since 1970, UTC; None if nobody knows), and itself.

    The message is None if there is none to fold: it was set aside because it cannot be read, or is a record that cannot be decoded,
    `undecoded`. `source_position` is what a run calls the position, if it counts in another way than the history does.
    """

    position: int
    at: float | None
    message: Got | None
    source_position: Position = None
    undecoded: Undecoded | None = None


class Span(NamedTuple):
    """Which positions a history has: from `start` to before `end`, which is None if only reading it to its end can tell."""

    start: int
    end: int | None


@runtime_checkable
class History(Protocol[Got]):
    """Messages by position, in the order in which a program took them, that can be read any number of times."""

    @property
    def name(self) -> str:
        """What it is called in messages and errors."""
        ...

    @property
    def identity(self) -> str:
        """What tells it from every other, from which `turn.random()` follows; empty if no turn was given repeatable chance."""
        ...

    @property
    def has_sent(self) -> bool:
        """Whether the messages that commands have sent are among its own, as in a journal."""
        ...

    def span(self) -> Span:
        """Return which positions there are now."""
        ...

    def entries(self, start: int, end: int | None = None) -> Iterator[Entry[Got]]:
        """Give exactly the messages from the position `start` to before `end`, or to the last one that there is.

        Raises `Lagged` if the first of them was forgotten.
        """
        ...

    def set_aside(self) -> Mapping[int, str]:
        """Return the positions that runs have passed over, and why."""
        ...
