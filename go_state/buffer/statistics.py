"""What an operator wants to know of a buffer, as values, and the notes of when messages entered that answer it."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

STEP = 0.01  # seconds: what entered within so short a time shares one note of when, which bounds the notes by time
_RATE_NOTES = 128  # the rate is the mean over at most this many notes


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


class EntryTimes:
    """Sparse notes of when messages entered, each a (position, seconds). The log's lock guards all but `note_late`.

    A note is made at most every 10 ms, so their number is bounded by time, not by the number of messages. Of a journal, whose messages'
    times are on disk, the log itself notes the `rates` alone.
    """

    def __init__(self) -> None:
        self.ages: deque[tuple[int, float]] = deque()  #: as far back as the oldest retained message
        #: The newest, kept although their messages are trimmed.
        self.rates: deque[tuple[int, float]] = deque(maxlen=_RATE_NOTES)
        self._late: list[tuple[int, float]] = []  # of messages that found others in the inbox

    def note_late(self, position: int, now: float) -> None:
        """Note when messages entered that found others in the inbox; called without the lock.

        It does so seldom, or putting would outrun a reader that takes in the notes.
        """
        late = self._late  # a reader may take the list away at any time; then a note is lost
        if not late or now - late[-1][1] >= STEP:
            late.append((position, now))

    def note(self, position: int, when: float, start: int) -> None:
        """Note when the next message to be retained entered; `start` is the oldest position still retained."""
        ages, late = self.ages, self._late
        self._late = []
        for at, entered in [(position, when), *late]:
            if not ages or entered - ages[-1][1] >= STEP:
                while len(ages) > 1 and ages[1][0] <= start:
                    ages.popleft()
                ages.append((at, entered))
                self.rates.append((at, entered))

    def age(self, start: int, now: float) -> float:
        """Return how long ago the message at `start`, the oldest retained, entered."""
        return now - [when for position, when in self.ages if position <= start][-1]

    def rate(self, end: int, now: float) -> float:
        """Return how many messages a second entered lately."""
        first, since = self.rates[0] if self.rates else (end, now)
        return (end - first) / (now - since) if now > since else 0.0
