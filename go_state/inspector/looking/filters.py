"""Which messages pass a filter: their positions, found in the background and kept as long as they may be asked for.

A filter by type, set aside or slow is looked up in the timeline; by text or key it reads the messages, and by a changed path it folds
them.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from go_state.inspector.looking.known import Known
from go_state.inspector.looking.records import Records
from go_state.inspector.looking.timeline import Timeline
from go_state.inspector.values.differing import differing
from go_state.inspector.values.redaction import Redaction

_MANY = 50_000  # messages whose types are looked up at once
_EVERY = 0.05  # seconds between two looks at whether it is still wanted


@dataclass(frozen=True, slots=True)
class Filter:
    """What a message has to be; all of it has to hold."""

    kind: str = ""
    text: str = ""
    changed: str = ""  # a path that the message changes, or a part below it
    aside: bool = False
    slower: float = 0.0  # seconds
    key: str = ""  # of an aggregate of many keys

    @property
    def is_empty(self) -> bool:
        """Whether every message passes."""
        return self == Filter()


class Filtered(Protocol):
    """What a filter looks at."""

    @property
    def records(self) -> Records: ...
    @property
    def timeline(self) -> Timeline: ...
    @property
    def redaction(self) -> Redaction: ...
    def set_aside(self) -> Mapping[int, str]: ...
    @property
    def known(self) -> Known: ...
    def models(self, start: int, end: int) -> Iterator[tuple[int, object, object]]:
        """Give each turn: its position, and the models before and after it."""
        ...

    def of_key(self, key: str, start: int, end: int) -> Iterator[tuple[int, bool]]:
        """Give each position, and whether its message is of the key."""
        ...


class Matches:
    """The positions that pass one filter, in order; `scanned` says how far it has looked."""

    def __init__(self, of: Filtered, wanted: Filter, start: int) -> None:
        self.positions = array("Q")
        self.scanned = start
        self.error: Exception | None = None
        self._of = of
        self._filter = wanted
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def look(self, end: int) -> None:
        """Look on, in a thread, up to the position, unless somebody does."""
        with self._changed:
            if self._thread is None and self.scanned < end and not self._closed:
                self._thread = threading.Thread(target=self._scan, args=(end,), name="go_state inspector filter", daemon=True)
                self._thread.start()

    def wait(self, count: int, seconds: float) -> None:
        """Wait until `count` have passed, or all were looked at, for up to `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self._thread is None or len(self.positions) >= count, seconds)

    def close(self) -> None:
        """Look no further."""
        self._closed = True

    def _scan(self, end: int) -> None:
        try:
            if self._filter == Filter(kind=self._filter.kind):
                self._scan_types(end)
            due = time.monotonic() + _EVERY
            for position, passes in self._passing(self.scanned, end):
                if passes:
                    self.positions.append(position)
                self.scanned = max(self.scanned, position + 1)
                if time.monotonic() > due:
                    due = time.monotonic() + _EVERY
                    if self._closed:
                        return
                    with self._changed:
                        self._changed.notify_all()
            self.scanned = end
        except Exception as error:
            self.error = error
        finally:
            with self._changed:
                self._thread = None
                self._changed.notify_all()

    def _scan_types(self, end: int) -> None:
        """Look up a type in the timeline, some ten thousand messages at a time."""
        timeline = self._of.timeline
        timeline.grow()
        while self.scanned < end and not self._closed:
            until = min(self.scanned + _MANY, end)
            self.positions.extend(timeline.of_type(self._filter.kind, self.scanned, until))
            self.scanned = until

    def _passing(self, start: int, end: int) -> Iterator[tuple[int, bool]]:
        wanted, of = self._filter, self._of
        cheap = self._cheap(start, end)
        if wanted.changed:
            for position, before, after in of.models(start, end):
                yield (
                    position,
                    cheap(position)
                    and _changes(wanted.changed, before, after, of.redaction)
                    and self._has_text(position)
                    and self._is_of_key(position),
                )
        elif wanted.key:
            for position, passes in of.of_key(wanted.key, start, end):
                yield position, passes and cheap(position) and self._has_text(position)
        elif wanted.text:
            for position, passes in of.records.with_text(wanted.text, start, end):
                yield position, passes and cheap(position)
        else:
            found = of.set_aside() if wanted.aside else of.known.slower(wanted.slower)
            for position in sorted(found):
                yield position, start <= position < end and cheap(position)

    def _cheap(self, start: int, end: int) -> Callable[[int], bool]:
        """Return whether a message passes that of the filter which needs no reading."""
        wanted, timeline = self._filter, self._of.timeline
        aside = self._of.set_aside() if wanted.aside else {}
        slow = self._of.known.slower(wanted.slower) if wanted.slower else {}
        if wanted.kind and wanted != Filter(kind=wanted.kind):
            timeline.grow()

        def passes(position: int) -> bool:
            return (
                (not wanted.aside or position in aside)
                and (not wanted.slower or position in slow)
                and (not wanted.kind or timeline.type_at(position) == wanted.kind)
            )

        return passes

    def _has_text(self, position: int) -> bool:
        text = self._filter.text
        return not text or any(found for _, found in self._of.records.with_text(text, position, position + 1))

    def _is_of_key(self, position: int) -> bool:
        key = self._filter.key
        return not key or any(found for _, found in self._of.of_key(key, position, position + 1))


def _changes(path: str, before: object, after: object, redaction: Redaction) -> bool:
    """Return whether the models differ at a path, or below it: at `orders`, say, also in `orders["o1"].state`."""
    if before is after:
        return False
    wanted = path.removeprefix(".").replace("'", '"')
    return any(
        each.path == wanted or each.path.startswith((f"{wanted}.", f"{wanted}[")) or wanted in each.names
        for each in differing(before, after, redaction)
    )
