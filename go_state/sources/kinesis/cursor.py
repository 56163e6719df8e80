"""Where one shard is read, and when it may be asked again."""

from __future__ import annotations

import math
import random

from go_state.core.ports import Position
from go_state.sources.kinesis.client import Begin, Page

_BUSY = 0.25  # seconds between two calls for a shard: the service allows five a second for all who read it
_IDLE = 1.0  # while there is nothing new
_SLOWEST = 10.0  # while calls fail


class Cursor:
    """One shard, from one position on. A number, its turn, tells it from those of the shard before."""

    def __init__(self, shard: str, turn: int, after: Position | None, start: int | None) -> None:
        self.shard, self.turn = shard, turn
        self.begin = Begin(time=start) if after is None else Begin(at=after)  #: where to begin without an iterator
        self.iterator: str | None = None
        self.page: Page | None = None  #: what has arrived and was not given yet
        self.behind: int | None = None  #: milliseconds
        self.saved = after  #: the position that is in the store
        self.is_paused = False
        self._given = after
        self._is_proved = after is None  # whether the record at the position was seen, or known to be gone without harm
        self._is_asked = self._has_ended = False
        self._due, self._pace, self._failures = -math.inf, _BUSY, 0.0

    def is_due(self, now: float) -> bool:
        """Whether to ask for a page now."""
        return not (self._is_asked or self._has_ended or self.is_paused or self.page is not None) and now >= self._due

    def wait(self, now: float) -> float:
        """Return in how many seconds to ask for a page; a page that was asked for arrives by itself."""
        if self._is_asked or self._has_ended or self.is_paused or self.page is not None:
            return math.inf
        return max(0.0, self._due - now)

    @property
    def is_saved(self) -> bool:
        """Whether all that was given is in the store."""
        return bool(self.saved == self._given)

    # ------------------------------------------------------------------ what a call has come to

    def asked(self) -> None:
        """Called when a page is asked for."""
        self._is_asked = True

    def failed(self, now: float) -> bool:
        """Called when a call did not come about; return whether it is the first of its kind."""
        self._is_asked, first = False, self._failures == 0.0
        self._failures = min(max(2 * self._failures, _IDLE), _SLOWEST)
        self._due = now + self._failures * random.uniform(0.5, 1.0)
        return first

    def expired(self) -> None:
        """Called when the iterator is too old: begin again where it was."""
        self._is_asked, self.iterator, self._is_proved = False, None, self.begin.at is None

    def arrived(self, page: Page, asked: float) -> None:
        """Called with a page, which is kept until it is given."""
        self.page, self._is_asked, self._failures = page, False, 0.0
        self._pace = _BUSY if page.records or page.behind else min(2 * self._pace, _IDLE)
        self._due = asked + self._pace

    def proves(self, page: Page) -> bool | None:
        """Return whether the page begins with the record at the position; None if that is not to be asked, or not known yet."""
        if self._is_proved:
            return None
        if page.records:
            return bool(page.records[0]["SequenceNumber"] == self.begin.at)
        return False if page.behind == 0 or page.iterator is None else None

    def given(self, page: Page) -> None:
        """Called when the page was given."""
        self._is_proved = self._is_proved or self.proves(page) is not None
        if page.records:
            self._given = page.records[-1]["SequenceNumber"]
            self.begin = Begin(at=self._given)
        self.page, self.iterator, self.behind = None, page.iterator, page.behind
        self._has_ended = page.iterator is None
