"""What is noted of a running app while somebody looks: how long its turns take, and of one without a store its last messages.

It is folded around update from the next chunk of messages on, and taken away when nobody looks any more: until then, and after it, the
app does nothing that it would not do anyway.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, NamedTuple, TypeVar

from go_state.core.ports import Entry, Span
from go_state.core.program import Step
from go_state.history.reading.starts import Start
from go_state.runtime.steps import NotYet
from go_state.runtime.turn import Loop, Update

Model = TypeVar("Model")
Msg = TypeVar("Msg")

KEPT = 10_000
"""Messages that are kept."""
KEYFRAME = 50
"""Messages between two models that are kept: as many turns as a jump takes at most."""


class _Noted(NamedTuple, Generic[Model, Msg]):
    position: int
    at: float
    message: Msg
    model: Model | None  # before the message, of every so many


class Recording(Generic[Model, Msg]):
    """The last turns of one app, as a history. `keeps` says whether messages are kept: a journal has them anyway."""

    has_sent = True
    identity = ""

    def __init__(self, name: str, loop: Loop[Model, Msg], *, keeps: bool) -> None:
        self.name = name
        self.durations: dict[int, float] = {}  #: of turns, in seconds, by position
        self._loop = loop
        self._keeps = keeps
        self._noted: deque[_Noted[Model, Msg]] = deque(maxlen=KEPT)
        self._order: deque[int] = deque()  # positions whose durations are kept
        self._aside: dict[int, str] = {}
        self._end = 0
        self._watchers = 0
        self._lock = threading.Lock()  # guards the number of watchers

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note turns for as long as the block lasts."""
        with self._lock:
            self._watchers += 1
            if self._watchers == 1:
                self._noted.clear()  # what came in between is not known
                self._loop.around = self._around
        try:
            yield
        finally:
            with self._lock:
                self._watchers -= 1
                if not self._watchers:
                    self._loop.around = None

    # ------------------------------------------------------------------ called in the app's own thread

    def _around(self, update: Update[Model, Msg], where: Callable[[], object]) -> Update[Model, Msg]:
        clock, now = time.perf_counter, time.time

        def noted(model: Model, message: Msg) -> Step[Model, Msg]:
            position, at, begun = where(), now(), clock()
            try:
                step = update(model, message)
            except NotYet:
                raise
            except Exception as error:
                self._note(position, at, message, model, clock() - begun, type(error).__qualname__)
                raise
            self._note(position, at, message, model, clock() - begun, None)
            return step

        return noted

    def _note(self, position: object, at: float, message: Msg, model: Model, seconds: float, error: str | None) -> None:
        if type(position) is not int:
            return
        self.durations[position] = seconds
        self._order.append(position)
        if len(self._order) > KEPT:
            self.durations.pop(self._order.popleft(), None)
        if not self._keeps:
            return
        if error is not None:
            self._aside[position] = error
        keyframe = model if not self._noted or position % KEYFRAME == 0 else None
        self._noted.append(_Noted(position, at, message, keyframe))
        self._end = position + 1

    # ------------------------------------------------------------------ as a history

    def _now(self) -> list[_Noted[Model, Msg]]:
        """Return what is kept, from the first message on before which the model is known."""
        noted = list(self._noted.copy())
        begin = next((index for index, each in enumerate(noted) if each.model is not None), len(noted))
        return noted[begin:]

    def span(self) -> Span:
        """Return which positions are kept now."""
        noted = self._now()
        return Span(noted[0].position, noted[-1].position + 1) if noted else Span(self._end, self._end)

    def entries(self, start: int, end: int | None = None) -> Iterator[Entry[Msg]]:
        """Give the messages; None at positions that had no turn."""
        position = start
        for each in self._now():
            if each.position < position or (end is not None and each.position >= end):
                continue
            for gap in range(position, each.position):
                yield Entry(gap, None, None)
            yield Entry(each.position, each.at, each.message)
            position = each.position + 1

    def set_aside(self) -> Mapping[int, str]:
        """Return the positions whose turns have failed while it was noted, and after which the app went on."""
        return {position: why for position, why in list(self._aside.items()) if position < self._end - 1}

    def start(self, position: int) -> Start[Model]:
        """Return the nearest model before the position."""
        frames = [each for each in self._now() if each.model is not None]
        found = max((each for each in frames if each.position <= position), key=lambda each: each.position, default=None)
        if found is None:
            return Start(frames[0].position, {None: frames[0].model}) if frames else Start(position)  # type: ignore[dict-item]
        return Start(found.position, {None: found.model})  # type: ignore[dict-item]  # which is no None, or it were no frame
