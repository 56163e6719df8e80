"""The retained messages, addressed by position. Positions count from the first message ever put and never change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar

Msg = TypeVar("Msg")


def take_out(messages: Iterable[object], items: list[Any]) -> bool:
    """Take each of the very messages out of the list, and tell whether one of them was there."""
    found = False
    for message in messages:
        for index, left in enumerate(items):
            if left is message:
                del items[index]
                found = True
                break
    return found


class Retained(Generic[Msg]):
    """A list with a moving start. Not thread-safe: the buffer's lock guards it."""

    __slots__ = ("_base", "_items", "end", "start")

    def __init__(self) -> None:
        self._items: list[Msg] = []
        self._base = 0  # the position of _items[0]
        self.start = 0  # the oldest position that can be read; what lies before it in _items is waiting to be deleted
        self.end = 0  # the position that the next message gets

    def extend(self, messages: Sequence[Msg]) -> None:
        """Append the messages."""
        number = len(messages)
        # No call between the two: CPython delivers signals after calls, and Ctrl-C must not leave a message that is not counted.
        self._items += messages
        self.end += number

    def read(self, position: int, limit: int) -> list[Msg]:
        """Return up to `limit` messages from the position on."""
        index = position - self._base
        return self._items[index : index + limit]

    def trim(self, start: int) -> None:
        """Forget the messages before `start`; amortised constant time a message."""
        if start <= self.start:
            return
        self.start = min(start, self.end)
        dead = self.start - self._base
        # Deleting from the front moves the rest: only when at least half goes does each message move at most once.
        if dead * 2 >= len(self._items):
            del self._items[:dead]
            self._base = self.start
