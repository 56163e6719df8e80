"""What is noted of a running app while somebody looks: its last messages, how long their turns took, and what its commands did.

In the app's own thread only references are kept, in segments of some messages: a message, when its turn began, and now and then the
model before it. All that is made of it is made by whoever looks. When nobody looks any more it is taken away: until then, and after
it, the app does nothing that it would not do anyway.

A turn costs 0.13 µs more so, which is a tenth of the quickest that there is, one that adds two numbers: an iterator around the chunk
(0.02), the clock (0.07) and an append (0.04). The messages are those of the chunk, which is kept as it is. What was tried before: a
function around `update` that makes a record of each message, 1.2 µs; appending each message as well, 0.23; times in an array, 0.18,
and in iterators of C, 0.19; `tee` and `zip`, 0.24. A chunk as a whole costs nothing, but cannot say which turn of it was the slow one.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from go_state.core.ports import Entry, Span
from go_state.history.reading.starts import Start
from go_state.inspector.looking.known import EffectStory
from go_state.inspector.worlds.noting import Noting
from go_state.runtime.feeds.feed import Feed
from go_state.runtime.feeds.log_feed import LogFeed
from go_state.runtime.turn import Loop

Model = TypeVar("Model")
Msg = TypeVar("Msg")

KEPT = 10_000
"""Messages that are kept."""
KEYFRAME = 50
"""Messages between two models that are kept, at least: where more are taken at once, they take a millisecond or two together."""
_MOST = 1024  # messages that a chunk has at most
_NONE: Final = object()  # in the place of a model that is not kept
_clock, _now = time.perf_counter, time.time


class _Segment(Generic[Model, Msg]):
    """Some messages one after the other, and when the turn of each began; `ended` is when the last was over, None until then.

    The messages are those of `chunk` from `offset` on, of which more may be there than have had their turn.
    """

    __slots__ = ("at", "begun", "chunk", "ended", "first", "model", "offset")

    def __init__(self, first: int, chunk: Sequence[Msg | None], offset: int, model: object) -> None:
        self.first = first
        self.chunk = chunk
        self.offset = offset
        self.model = model  # before the first message, or `_NONE`
        self.at = _now()
        self.begun = [_clock()]
        self.ended: float | None = None

    @property
    def end(self) -> int:
        """The position after its last message."""
        return self.first + len(self.begun)

    def message(self, position: int) -> Msg | None:
        """Return the message at a position of it."""
        return self.chunk[self.offset + position - self.first]

    def seconds(self, position: int) -> float | None:
        """Return how long a turn of it took; None if it is not over."""
        index, begun = position - self.first, self.begun
        ends = begun[index + 1] if index + 1 < len(begun) else self.ended
        return None if ends is None else ends - begun[index]


class Recording(Generic[Model, Msg]):
    """The last turns of one app, as a history, and what is known of them."""

    has_sent = True
    identity = ""

    def __init__(self, name: str, loop: Loop[Model, Msg]) -> None:
        self.name = name
        self._loop = loop
        self._segments: deque[_Segment[Model, Msg]] = deque()
        self._framed = 0  # the position of the last model that was kept
        self._aside: dict[int, str] = {}
        self._noting = Noting(loop.manager.lifecycle)
        self._told_aside = loop.failures.observe
        self._watchers = 0
        self._lock = threading.Lock()  # guards the number of watchers

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note turns and commands for as long as the block lasts."""
        with self._lock:
            self._watchers += 1
            if self._watchers == 1:
                self._noting.begin()
                self._loop.failures.observe = self._set_aside
                self._loop.around = self._around
        try:
            yield
        finally:
            with self._lock:
                self._watchers -= 1
                if not self._watchers:
                    self._loop.around = None
                    self._loop.failures.observe = self._told_aside
                    self._noting.end()

    # ------------------------------------------------------------------ called in the app's own thread

    def _around(self, messages: Iterator[Msg | None], feed: Feed[Msg]) -> Iterator[Msg | None]:
        """Return the messages, noted as they are taken; as they are if they are no log's, where nobody counts them."""
        return self._noted(messages, feed) if isinstance(feed, LogFeed) else messages

    def _noted(self, messages: Iterator[Msg | None], feed: LogFeed[Msg]) -> Iterator[Msg | None]:
        clock = _clock
        for first in messages:
            segment = self._begin(feed)
            yield first
            begun = segment.begun.append
            for message in messages:
                begun(clock())
                yield message
            segment.ended = clock()

    def _begin(self, feed: LogFeed[Msg]) -> _Segment[Model, Msg]:
        position = feed.last_position()
        segments = self._segments
        if segments and (last := segments[-1]).end != position:
            if last.end < position:  # what came in between, while nobody looked, is not known
                segments.clear()
            else:  # its turn is taken again
                del last.begun[max(position - last.first, 0) :]
        keeps = not segments or not self._framed + KEYFRAME > position >= self._framed
        if keeps:
            self._framed = position
        segment: _Segment[Model, Msg] = _Segment(
            position, feed.chunk, position - feed.first, self._loop.model if keeps else _NONE
        )
        segments.append(segment)
        while segments[0].first < position - KEPT + _MOST:
            segments.popleft()
        return segment

    def _set_aside(self, message: object, position: object, error: Exception) -> None:
        if type(position) is int:
            self._aside[position] = type(error).__qualname__
            while len(self._aside) > KEPT:
                del self._aside[next(iter(self._aside))]
        if self._told_aside is not None:
            self._told_aside(message, position, error)

    # ------------------------------------------------------------------ as a history

    def _kept(self) -> Sequence[_Segment[Model, Msg]]:
        """Return what is kept, from the first message on before which the model is known."""
        segments = list(self._segments.copy())  # at once, while others are added
        begin = next((index for index, each in enumerate(segments) if each.model is not _NONE), len(segments))
        return segments[begin:]

    def span(self) -> Span:
        """Return which positions are kept now."""
        segments = self._segments
        while segments:
            try:
                first = next(each.first for each in segments if each.model is not _NONE)
                return Span(first, segments[-1].end)
            except (RuntimeError, StopIteration, IndexError):  # others were added, or taken away, meanwhile
                continue
        return Span(0, 0)

    def entries(self, start: int, end: int | None = None) -> Iterator[Entry[Msg]]:
        """Give the messages; None at positions that had no turn."""
        position = start
        for segment in self._from(start):
            if end is not None and segment.first >= end:
                return
            for gap in range(position, segment.first):
                yield Entry(gap, None, None)
            offset = segment.at - segment.begun[0]
            last = segment.end  # it may grow
            for at in range(max(position, segment.first), last if end is None else min(last, end)):
                yield Entry(at, segment.begun[at - segment.first] + offset, segment.message(at))
            position = last

    def _from(self, position: int) -> Sequence[_Segment[Model, Msg]]:
        """Return the segments from the one on that has the position."""
        segments = self._kept()
        return segments[max(bisect_right(segments, position, key=lambda each: each.first) - 1, 0) :]

    def set_aside(self) -> Mapping[int, str]:
        """Return the positions whose turns have failed while it was noted, and after which the app went on."""
        return self._aside.copy()

    def start(self, position: int) -> Start[Model]:
        """Return the nearest model before the position."""
        segments = self._kept()
        before = [each for each in segments if each.model is not _NONE and each.first <= position]
        found = before[-1] if before else next(iter(segments), None)
        return Start(position) if found is None else Start(found.first, {None: found.model})  # type: ignore[dict-item]

    # ------------------------------------------------------------------ what is known

    def _of(self, position: int) -> _Segment[Model, Msg] | None:
        found = next(iter(self._from(position)), None)
        return found if found is not None and found.first <= position < found.end else None

    def has(self, position: int) -> bool:
        """Return whether the turn was noted."""
        return self._of(position) is not None

    def seconds(self, position: int) -> float | None:
        """Return how long the turn took; None if it is not over, or was not noted."""
        segment = self._of(position)
        return None if segment is None else segment.seconds(position)

    def slower(self, seconds: float) -> Mapping[int, float]:
        """Return the turns that took as long, or longer, and how long."""
        found: dict[int, float] = {}
        for segment in self._kept():
            ended = segment.begun[-1] if segment.ended is None else segment.ended
            if ended - segment.begun[0] < seconds:
                continue
            for position in range(segment.first, segment.end):
                if (took := segment.seconds(position)) is not None and took >= seconds:
                    found[position] = took
        return found

    def effects(self, position: int) -> Sequence[EffectStory]:
        """Return the effects that the turn has begun, in order."""
        return self._noting.of_turn(position, self._entered)

    def failed(self, positions: Iterable[int]) -> set[int]:
        """Return those of the turns of which a command has failed."""
        return self._noting.failures(positions)

    def origin(self, position: int) -> tuple[int, str] | None:
        """Return which turn's command has sent the message, and the command's function."""
        segment = self._of(position)
        if segment is None:
            return None
        message = segment.message(position)
        return None if message is None else self._noting.origin(message)

    def _entered(self, messages: Sequence[object], after: int) -> tuple[int, ...]:
        """Return the positions of these very objects, after a position; -1 of one that has not had its turn."""
        wanted = {id(message): number for number, message in enumerate(messages)}
        found = [-1] * len(messages)
        for segment in self._from(after):
            for position in range(max(segment.first, after + 1), segment.end):
                if (number := wanted.pop(id(segment.message(position)), None)) is not None:
                    found[number] = position
                    if not wanted:
                        return tuple(found)
        return tuple(found)
