"""The retained messages, addressed by position. Positions count from the first message ever put and never change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

Msg = TypeVar("Msg")


class Place(Protocol):
    """Where one reader is: what a log knows of a `Cursor`."""

    position: int  #: the position that is read next
    committed: int  #: the first position that is not committed
    name: str  #: under which a journal keeps `committed`; empty for all others
    closed: bool


class Owner(Protocol[Msg]):
    """A run that has the log alone, as a log knows it; see `OwnChunk`."""

    own: list[Msg] | None  #: the list that the run appends to, while it may

    def take_in(self) -> None:
        """Enter what was appended to the list. The log's lock is held."""
        ...


def take_out(messages: Iterable[object], items: list[object]) -> bool:
    """Take each of these very objects out of the list, and return whether one of them was in it."""
    found = False
    for message in messages:
        for index, left in enumerate(items):
            if left is message:
                del items[index]
                found = True
                break
    return found


class Retained(Generic[Msg]):
    """What a `Log` holds: a list with a moving start. Not thread-safe: the log's lock guards it.

    Each method that moves messages does so without a call between its first change and its last. CPython delivers signals after
    calls, so Ctrl-C finds a message in the inbox or among the retained ones, never in both, and never one that is not counted.
    """

    __slots__ = ("base", "end", "items", "start")

    def __init__(self) -> None:
        self.items: list[Msg] = []
        self.base = 0  #: the position of items[0]
        self.start = 0  #: the oldest position that can be read; what lies before it in `items` is waiting to be deleted
        self.end = 0  #: the position that the next message gets

    def take_in(self, inbox: list[Any], count: int) -> None:
        """Move the first `count` entries of the inbox here."""
        items = self.items
        items += inbox[:count]
        self.end += count
        del inbox[:count]

    def extend(self, messages: Sequence[Msg]) -> None:
        """Append the messages."""
        number = len(messages)
        # No call from here on.
        self.items += messages
        self.end += number

    def read(self, position: int, limit: int) -> list[Msg]:
        """Return up to `limit` messages from the position on."""
        index = position - self.base
        return self.items[index : index + limit]

    def trim(self, start: int) -> None:
        """Forget the messages before `start`; amortised constant time a message."""
        if start <= self.start:
            return
        self.start = min(start, self.end)
        dead = self.start - self.base
        # Deleting from the front moves the rest: only when at least half goes does each message move at most once.
        if dead * 2 >= len(self.items):
            del self.items[:dead]
            self.base = self.start
