"""What an operator wants to know of a buffer, as values."""

from __future__ import annotations

from typing import NamedTuple


class ReaderStatistics(NamedTuple):
    """One reader: the position it reads next, the first one it has not committed, and how many messages it has yet to read."""

    position: int
    committed: int
    lag: int


class BufferStatistics(NamedTuple):
    """The buffer at one moment.

    `size` messages are retained, at the positions from `start` to before `end`. The oldest of them entered about
    `oldest_age` seconds ago (None when there is none; never less than the truth, and at most 10 ms or one read's worth more).
    `rate` messages a second entered lately.
    """

    size: int
    start: int
    end: int
    oldest_age: float | None
    rate: float
    closed: bool
    readers: tuple[ReaderStatistics, ...]


class Backlog(NamedTuple):
    """What waits for one reader: how many messages, the age of the oldest in seconds, and how many a second entered lately."""

    size: int
    oldest_age: float | None
    rate: float
