"""A watcher: one reader of a value, or of several, and the waiting for what it has not seen.

What was seen moves when a value is given, and only then: a wait that is cancelled or times out, and a filter that rejects, leave
everything as it was.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from go_state.core.deadlines import check_timeout
from go_state.core.errors import Closed, ConcurrentGet, Empty, TimedOut, UsageError
from go_state.watch.bells import TaskBell, ThreadBell, ring_all

if TYPE_CHECKING:
    from go_state.watch.value import Slot, Value

T = TypeVar("T")

_BREATH_SECONDS = 0.002  # how long an iteration may keep an event loop from its other tasks
_NOTHING: Any = object()


class Watcher(Generic[T]):
    """One reader of a value, in any thread or event loop, one get at a time; made by `value.watch()`.

    Iterating gives the newest value again and again, and ends when the value or the watcher is closed.
    """

    def __init__(
        self,
        sources: tuple[Value[Any], ...],
        read: Callable[[tuple[Slot, ...]], T],
        *,
        seen: tuple[int, ...],
        every: float = 0.0,
        only_different: bool = False,
    ) -> None:
        if not all(isinstance(version, int) and version >= 0 for version in seen):
            raise UsageError(f"since= is a version, a whole number from 0, not {seen[0]!r}")
        if not every >= 0:
            raise UsageError(f"every= is a number of seconds, not {every!r}")
        self._sources = sources
        self._read = read
        self._seen = seen
        self._every = every
        self._due = 0.0  # when the next value may be given
        self._only_different = only_different
        self._last: Any = _NOTHING  # what was given, where only what differs from it is
        self._bell: ThreadBell | TaskBell | None = None  # of the get under way
        self._closed = False

    @property
    def version(self) -> int:
        """The version last given; of a derived value, those of all its sources added up."""
        return sum(self._seen)

    # ------------------------------------------------------------------ getting

    def get(self, timeout: float | None = None, *, where: Callable[[T], bool] | None = None) -> T:
        """Return the newest value, if it is newer than what was given last; else wait up to `timeout` seconds for one.

        A value for which `where` is false is passed over, and left for a later get. Raises `TimedOut`; `Closed`, or the value's
        error, when no newer one will come; `ConcurrentGet` when another get of this watcher is under way.
        """
        check_timeout(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        passed_over = self._seen
        while True:
            passed_over, found = self._look(passed_over, where)
            if found is not _NOTHING:
                result: T = found
                return result
            until = self._until(passed_over, deadline)
            bell = ThreadBell()
            try:
                rang = not self._lie_down(bell, passed_over) or bell.sleep(until)
            finally:
                self._get_up(bell)
            self._check_time(rang, deadline, timeout)

    async def get_async(self, timeout: float | None = None, *, where: Callable[[T], bool] | None = None) -> T:
        """Return the newest value as `get` does, waiting on the event loop; a cancelled wait takes nothing."""
        check_timeout(timeout)
        deadline = None if timeout is None else time.monotonic() + timeout
        passed_over = self._seen
        while True:
            passed_over, found = self._look(passed_over, where)
            if found is not _NOTHING:
                result: T = found
                return result
            until = self._until(passed_over, deadline)
            bell = TaskBell()
            try:
                rang = not self._lie_down(bell, passed_over) or await bell.sleep(until)
            finally:
                self._get_up(bell)
            self._check_time(rang, deadline, timeout)

    def get_nowait(self, *, where: Callable[[T], bool] | None = None) -> T:
        """Return the newest value, or raise `Empty` when there is none that was not given yet; `Closed` at the end."""
        passed_over, found = self._look(self._seen, where)
        if found is _NOTHING:
            self._check_more_may_come(passed_over)
            raise Empty("there is no newer value right now")
        result: T = found
        return result

    def peek(self) -> T:
        """Return the newest value, given before or not, and leave it to be given; `Empty` when there is none yet."""
        slots = tuple(source._slot for source in self._sources)
        if not all(version for version, _ in slots):
            raise Empty("the value has not been set yet")
        return self._read(slots)

    def _look(self, passed_over: tuple[int, ...], where: Callable[[T], bool] | None) -> tuple[tuple[int, ...], Any]:
        """Return which versions have been looked at, and a value to give, if there is one."""
        self._check_open()
        slots = tuple([source._slot for source in self._sources])
        versions = tuple([version for version, _ in slots])
        if not all(versions) or not any(map(int.__gt__, versions, passed_over)):
            return passed_over, _NOTHING
        if self._every and time.monotonic() < self._due and not self._at_end():
            return passed_over, _NOTHING
        value = self._read(slots)
        if self._only_different and (value is self._last or (type(value) is type(self._last) and value == self._last)):
            return versions, _NOTHING
        if where is not None and not where(value):
            return versions, _NOTHING
        self._seen = versions
        self._due = time.monotonic() + self._every if self._every else 0.0
        if self._only_different:
            self._last = value
        return versions, value

    def _until(self, passed_over: tuple[int, ...], deadline: float | None) -> float | None:
        """Return when to look again although nothing has changed: at the deadline, or when a value that is there may be given."""
        newer = any(source._slot[0] > seen for source, seen in zip(self._sources, passed_over, strict=True))
        if self._every and newer and time.monotonic() < self._due:
            return self._due if deadline is None else min(deadline, self._due)
        return deadline

    def _check_time(self, rang: bool, deadline: float | None, timeout: float | None) -> None:
        if not rang and deadline is not None and time.monotonic() >= deadline:
            raise TimedOut(f"no newer value came within {timeout} seconds; nothing was taken")

    # ------------------------------------------------------------------ waiting

    def _lie_down(self, bell: ThreadBell | TaskBell, passed_over: tuple[int, ...]) -> bool:
        """Leave the bell with every source; False when there is something to look at already."""
        if self._bell is not None:
            raise ConcurrentGet("another thread or task already waits on this watcher: make one for each")
        self._bell = bell
        self._check_open()
        self._check_more_may_come(passed_over)
        limits: tuple[float, ...] = passed_over
        if self._every and time.monotonic() < self._due:
            limits = (math.inf,) * len(passed_over)  # what is there already has to wait: only the end is news
        elif not all(source._slot[0] for source in self._sources):
            limits = tuple([source._slot[0] for source in self._sources])  # what is set already waits for the others
        return all(source._leave_bell(bell, limit) for source, limit in zip(self._sources, limits, strict=True))  # type: ignore[arg-type]

    def _get_up(self, bell: ThreadBell | TaskBell) -> None:
        if self._bell is bell:
            self._bell = None
            for source in self._sources:
                source._take_bell(bell)

    def _at_end(self) -> bool:
        return any(source._closed for source in self._sources)

    def _check_more_may_come(self, passed_over: tuple[int, ...]) -> None:
        """Raise when a source has ended and there is nothing newer to look at."""
        for source in self._sources:
            if source._closed:
                slots = [(s._slot[0], seen) for s, seen in zip(self._sources, passed_over, strict=True)]
                if all(version for version, _ in slots) and any(version > seen for version, seen in slots):
                    return
                if source._error is not None:
                    raise source._error
                raise Closed("the value is closed and its newest value was given")

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("this watcher is closed")

    # ------------------------------------------------------------------ iterating and ending

    def __iter__(self) -> Iterator[T]:
        try:
            while True:
                yield self.get()
        except Closed:
            return

    async def __aiter__(self) -> AsyncIterator[T]:
        import asyncio

        breath = time.monotonic() + _BREATH_SECONDS
        try:
            while True:
                yield await self.get_async()
                if time.monotonic() >= breath:  # values that come faster than they are used must not stop the loop
                    await asyncio.sleep(0)
                    breath = time.monotonic() + _BREATH_SECONDS
        except Closed:
            return

    def close(self) -> None:
        """End the watcher and free a get that waits, with `Closed`; a second call is harmless."""
        self._closed = True
        bell = self._bell
        if bell is not None:
            ring_all((bell,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
