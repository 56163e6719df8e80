"""The timeline of a subject: the type and the time of entry of every message, in nine bytes each.

It is made in a thread of its own, in which a million messages take about a second, and grows when it is asked. What is not known yet is not
waited for: `end` says how far it is.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from go_state.inspector.looking.records import Records

_MOST_TYPES = 255  # told apart; the others are one
OTHERS = "(others)"


class Strip(NamedTuple):
    """Stretches of time, or of positions if times are not known: where each begins, and how many messages are in it."""

    positions: list[int]
    counts: list[int]
    times: list[float] | None


class Timeline:
    """Types and times by position."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._lock = threading.Lock()  # held by whoever lets it grow
        self._beginning = threading.Lock()  # guards the thread: nobody waits for it who only wants it to begin
        self._thread: threading.Thread | None = None
        self.first = records.span().start  #: the position of the first message
        self.names: list[str] = []  #: of types
        self.bytes = 0  #: of what was read
        self.is_complete = False  #: whether it was made up to where the subject ended then
        self.error: Exception | None = None  #: what reading has failed with
        self._numbers: dict[str, int] = {}  # of types
        self._types = bytearray()
        self._times = array("d")
        self._has_times = True
        self._closed = False

    @property
    def end(self) -> int:
        """The position up to which it was made."""
        return self.first + len(self._types)

    def begin(self) -> None:
        """Begin to make it, in a thread of its own, unless that was done."""
        with self._beginning:
            if self._thread is None:
                self._thread = threading.Thread(target=self.grow, name="go_state inspector index", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stop making it."""
        self._closed = True

    def grow(self) -> None:
        """Take in what the subject has by now; a second caller waits for the first."""
        with self._lock:
            try:
                for chunk in self._records.chunks(self.end):
                    if self._closed:
                        return
                    if chunk.first > self.end:  # what was before it is forgotten
                        self._forget_before(chunk.first)
                    self._times.extend(chunk.times or ())
                    self._has_times = self._has_times and chunk.times is not None
                    self._types += bytes(map(self._number, chunk.types))
                    self.bytes += chunk.bytes
                self.is_complete, self.error = True, None
            except Exception as error:  # damaged, or truncated meanwhile: what there is can be looked at
                self.error = error
                self.is_complete = True

    def forget_before(self, position: int) -> None:
        """Forget what the subject has forgotten."""
        if position > self.first:
            with self._lock:
                self._forget_before(position)

    def _forget_before(self, position: int) -> None:
        count = min(max(position - self.first, 0), len(self._types))
        del self._types[:count]
        del self._times[:count]
        self.first = position

    def _number(self, name: str) -> int:
        found = self._numbers.get(name)
        if found is None:
            if len(self.names) >= _MOST_TYPES and name != OTHERS:
                return self._number(OTHERS) if OTHERS in self._numbers else self._last()
            found = self._numbers[name] = len(self.names)
            self.names.append(name)
        return found

    def _last(self) -> int:
        self._numbers[OTHERS] = len(self.names) - 1
        self.names[-1] = OTHERS
        return len(self.names) - 1

    # ------------------------------------------------------------------ asking

    def counts(self) -> list[tuple[str, int]]:
        """Return how many messages there are of each type, the most frequent first."""
        found = Counter(bytes(self._types))
        return sorted(((self.names[number], count) for number, count in found.items()), key=lambda each: (-each[1], each[0]))

    def _still(self) -> AbstractContextManager[object]:
        """Keep others from forgetting for as long as the block lasts; while it is first made, nobody does."""
        return self._lock if self.is_complete else nullcontext()

    def of_type(self, name: str, start: int, end: int) -> list[int]:
        """Return the positions of this type."""
        found: list[int] = []
        number = self._numbers.get(name)
        if number is None:
            return found
        with self._still():
            types, first = self._types, self.first
            index = types.find(number, max(start - first, 0), max(end - first, 0))
            while index >= 0:
                found.append(first + index)
                index = types.find(number, index + 1, max(end - first, 0))
        return found

    def type_at(self, position: int) -> str | None:
        """Return the type at a position; None if it is not known yet."""
        with self._still():
            index = position - self.first
            return self.names[self._types[index]] if 0 <= index < len(self._types) else None

    def time_at(self, position: int) -> float | None:
        """Return when the message at a position has entered; None if that is not known."""
        with self._still():
            index = position - self.first
            return self._times[index] if self._has_times and 0 <= index < len(self._times) else None

    def position_of(self, time: float) -> int:
        """Return the first position whose message entered at that time, or later; the last one if there is none."""
        with self._still():
            if not self._has_times or not self._times:
                return self.first
            return self.first + min(bisect_left(self._times, time), len(self._times) - 1)

    def strip(self, start: int, end: int, buckets: int) -> Strip:
        """Return the messages from `start` to before `end` in at most `buckets` stretches."""
        with self._still():
            return self._strip(start, end, buckets)

    def _strip(self, start: int, end: int, buckets: int) -> Strip:
        start, end = max(start, self.first), min(end, self.end)
        if end <= start:
            return Strip([], [], None)
        times, first = self._times, self.first
        begins = times[start - first] if self._has_times else 0.0
        ends = times[end - 1 - first] if self._has_times else 0.0
        if ends <= begins:
            buckets = min(buckets, end - start)
            places = [start + (end - start) * number // buckets for number in range(buckets)]
            return Strip(places, [b - a for a, b in zip(places, [*places[1:], end], strict=True)], None)
        width = (ends - begins) / buckets
        places = [first + bisect_left(times, begins + number * width, start - first, end - first) for number in range(buckets)]
        counts = [max(b - a, 0) for a, b in zip(places, [*places[1:], end], strict=True)]
        return Strip([min(place, end - 1) for place in places], counts, [begins + number * width for number in range(buckets)])


def within(marks: Mapping[int, object], places: list[int], end: int) -> list[int]:
    """Return how many of the marked positions are in each stretch that begins at these places."""
    found = [0] * len(places)
    from bisect import bisect_right

    for position in list(marks):
        if places and places[0] <= position < end:
            found[bisect_right(places, position) - 1] += 1
    return found
