"""A subject: one history that is looked at, with everything the page asks of it."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, Literal, NamedTuple, TypeAlias, TypeVar

from go_state.core.errors import UsageError
from go_state.core.ports import History
from go_state.history.reading.opened import Opened
from go_state.history.reading.starts import Start
from go_state.inspector.looking.filters import Filter, Matches
from go_state.inspector.looking.known import Known, NothingKnown
from go_state.inspector.looking.moment import Moments
from go_state.inspector.looking.records import EMPTY, UNREADABLE, HistoryRecords, JournalRecords, Line, Records
from go_state.inspector.looking.shown import Shown
from go_state.inspector.looking.stored import StoredHistory
from go_state.inspector.looking.timeline import Timeline
from go_state.inspector.values.redaction import Redaction

Model = TypeVar("Model")
Msg = TypeVar("Msg")

State: TypeAlias = Literal["running", "resting", "failed", "ended", "stored", "growing"]
_FILTERS = 4  # whose matches are kept, and how many these may be together, unless it is a single one: eight bytes each
_MATCHES = 1_000_000
_WAIT = 0.15  # seconds that a question waits for matches; the page asks again
SLOW = 0.01
"""Seconds from which on a turn is called slow."""


class Is(NamedTuple):
    """What a subject is called, and what it is."""

    id: str
    name: str
    key: str | None
    kind: Literal["journal", "aggregate", "file", "live"]


class Found(NamedTuple):
    """Some of the messages that pass a filter. `total` is how many there are, None as long as that is not known."""

    lines: Sequence[Line]
    next: int | None
    scanned: int
    total: int | None
    number: int  # of the first of these among all that pass
    found: int  # of these by now


class Subject(Generic[Model, Msg]):
    """One history. `opened` is None without a program: then there are messages, and no models."""

    def __init__(
        self,
        what: Is,
        history: History[Msg],
        opened: Opened[Model, Msg] | None,
        redaction: Redaction,
        *,
        start: Callable[[int], Start[Model]] | None = None,
        turn_name: Callable[[int], str] | None = None,
        known: Known | None = None,
    ) -> None:
        self.what = what
        self.history = history
        self.opened = opened
        self.redaction = redaction
        self.known: Known = known or NothingKnown()
        stored = history if isinstance(history, StoredHistory) else None
        self.records: Records = HistoryRecords(history, redaction) if stored is None else JournalRecords(stored, redaction)
        self.timeline = Timeline(self.records)
        self.keyframes: Callable[[], list[int]] = list if stored is None else stored.keyframes
        self.moments: Moments[Model, Msg] | None = None
        self.shown: Shown[Model, Msg] | None = None
        if opened is not None:
            find = start if stored is None else stored.start
            self.moments = Moments(opened, find, self.keyframes, history)
            self.shown = Shown(opened.program, redaction, turn_name or (lambda position: f"{history.identity}/{position}"))
        self._matches: OrderedDict[Filter, Matches] = OrderedDict()
        self._lock = threading.Lock()  # guards the matches

    # ------------------------------------------------------------------ what it is

    def span(self) -> tuple[int, int]:
        """Return its first position, and the one after the last that is known."""
        start, end = self.records.span()
        self.timeline.forget_before(start)
        return (start, self.timeline.end) if end is None else (start, end)

    def begin(self) -> None:
        """Begin to make its timeline."""
        self.timeline.begin()

    def indexed(self) -> float:
        """Return how much of the timeline is made, from 0 to 1."""
        start, end = self.records.span()
        if self.timeline.is_complete:
            return 1.0
        return 0.0 if end is None else min((self.timeline.end - start) / max(end - start, 1), 0.999)

    def times(self) -> tuple[float | None, float | None]:
        """Return when the first and the last message entered."""
        first, end = self.span()
        return (self._time(first), self._time(end - 1)) if end > first else (None, None)

    def _time(self, position: int) -> float | None:
        known = self.timeline.time_at(position)
        if known is not None or position < self.timeline.end:
            return known
        return next((line.at for line in self.records.lines(position, position + 1)), None)

    def models(self, start: int, end: int) -> Iterator[tuple[int, object, object]]:
        """Give each turn: its position, and the models before and after it."""
        for step in self.needed().steps(start, end):
            yield step.position, step.before, step.after

    @property
    def is_of_keys(self) -> bool:
        """Whether its messages have keys: those of an aggregate of many."""
        return self.opened is not None and self.opened.key_of is not None

    def of_key(self, key: str, start: int, end: int) -> Iterator[tuple[int, bool]]:
        """Give each position, and whether its message is of the key; `UsageError` if messages have none."""
        key_of = None if self.opened is None else self.opened.key_of
        if key_of is None:
            raise UsageError("messages have keys only in an aggregate of many keys: give it as key_of=, or --key-of")
        for entry in self.history.entries(start, end):
            yield entry.position, entry.message is not None and _is_of(key_of, entry.message, key)

    def needed(self) -> Moments[Model, Msg]:
        """Return its moments; `UsageError` if it has none."""
        if self.moments is None:
            raise UsageError("there is no program to make models with: give it as module:program")
        return self.moments

    def set_aside(self) -> Mapping[int, str]:
        """Return the positions that runs have passed over, and why."""
        return self.history.set_aside()

    # ------------------------------------------------------------------ messages

    def lines(self, start: int, count: int) -> list[Line]:
        """Return the messages from a position on."""
        first, end = self.span()
        start = max(start, first)
        return list(self.records.lines(start, min(start + count, end))) if start < end else []

    def found(self, wanted: Filter, index: int, count: int) -> Found:
        """Return the messages that pass a filter, from the `index`th on. It waits a moment for what is being looked for."""
        first, end = self.span()
        matches = self._of(wanted, first)
        matches.look(end)
        matches.wait(index + count, _WAIT)
        if matches.error is not None:
            raise matches.error
        places = matches.positions
        skip = bisect_left(places, first)  # what is forgotten meanwhile
        some = places[skip + index : skip + index + count]
        is_known = matches.scanned >= end
        more = index + len(some) if not is_known or len(places) - skip > index + len(some) else None
        return Found(
            self._lines_at(some), more, matches.scanned, len(places) - skip if is_known else None, index, len(places) - skip
        )

    def after(self, wanted: Filter, start: int, count: int, *, backward: bool) -> Found:
        """Return the messages that pass a filter from a position on, or before it."""
        first, end = self.span()
        start = max(start, first)
        matches = self._of(wanted, first)
        matches.look(end)
        matches.wait(1 << 62, _WAIT)
        places = matches.positions
        index = bisect_left(places, start) - bisect_left(places, first)  # without what is forgotten, as `found` counts
        return self.found(wanted, max(index - count, 0) if backward else index, min(count, index) if backward else count)

    def _of(self, wanted: Filter, first: int) -> Matches:
        with self._lock:
            matches = self._matches.pop(wanted, None)
            if (
                matches is None or wanted.aside or wanted.slower or matches.error is not None
            ):  # these two change behind what was looked at
                matches = Matches(self, wanted, first)
            self._matches[wanted] = matches
            while len(self._matches) > _FILTERS or (
                len(self._matches) > 1 and sum(len(each.positions) for each in self._matches.values()) > _MATCHES
            ):
                self._matches.popitem(last=False)[1].close()
            return matches

    def _lines_at(self, positions: Sequence[int]) -> list[Line]:
        found: list[Line] = []
        index = 0
        while index < len(positions):  # neighbours are read together
            end = index + 1
            while end < len(positions) and positions[end] == positions[end - 1] + 1:
                end += 1
            found += self.records.lines(positions[index], positions[end - 1] + 1)
            index = end
        return found

    def badges(self, line: Line, aside: Mapping[int, str], keyframes: set[int]) -> list[str]:
        """Return what is to be marked of a message."""
        seconds = self.known.seconds(line.position)
        marks = {
            "set aside": line.position in aside,
            "slow": seconds is not None and seconds >= SLOW,
            "snapshot": line.position in keyframes,
            "emptied": line.kind == EMPTY and line.position not in aside,
            "unreadable": line.kind == UNREADABLE,
        }
        return [name for name, holds in marks.items() if holds]

    def close(self) -> None:
        """Stop what goes on in the background."""
        self.timeline.close()
        with self._lock:
            for matches in self._matches.values():
                matches.close()


def _is_of(key_of: Callable[[Msg], str], message: Msg, key: str) -> bool:
    try:
        return key_of(message) == key
    except Exception:  # its turn says why
        return False
