"""A watcher: one reader of a value, or of several, and the waiting for what it has not seen.

What was seen moves when a value is given, and only then: a wait that is cancelled or times out, and a filter that rejects, leave
everything as it was.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, Self, TypeVar

from go_state.core.errors import Closed, ConcurrentGet, Empty, Ended, TimedOut, UsageError, UsedAfterClose
from go_state.waking.deadlines import deadline, is_number
from go_state.waking.thread_waker import ThreadWaker
from go_state.waking.together import wake_all
from go_state.watch.differing import unequal

if TYPE_CHECKING:
    from go_state.waking.loop_waker import LoopWaker
    from go_state.watch.value import Slot, Value

T = TypeVar("T")

_CHECKPOINT_SECONDS = 0.002  # how long an iteration may keep an event loop from its other tasks
_NOTHING: Any = object()


async def until_closed(get: Callable[[], Awaitable[T]]) -> AsyncIterator[T]:
    """Give what `get` gives until it raises `Closed`, and the event loop to its other tasks now and then.

    Values that come faster than they are used never have `get` wait, and would keep the loop from everybody else.
    """
    import asyncio

    breath = time.monotonic() + _CHECKPOINT_SECONDS
    try:
        while True:
            yield await get()
            if time.monotonic() >= breath:
                await asyncio.sleep(0)
                breath = time.monotonic() + _CHECKPOINT_SECONDS
    except Closed:
        return


def check_since(since: object) -> None:
    """Raise `UsageError` for what is no version."""
    if not isinstance(since, int) or isinstance(since, bool) or since < 0:
        raise UsageError(f"since= is a version, a whole number from 0, not {since!r}")


class _Look(NamedTuple, Generic[T]):
    """What a watcher has found at one moment: the versions of its sources, those of them that need no second look, when a value
    that is there already may be given, and the value to give, if there is one.
    """

    versions: tuple[int, ...]
    passed_over: tuple[int, ...]
    due: float
    value: T = _NOTHING

    def until(self, deadline: float | None) -> float | None:
        """Return when to look again although nothing has changed."""
        if self.due == math.inf:
            return deadline
        return self.due if deadline is None else min(deadline, self.due)

    def check_time(self, rang: bool, deadline: float | None, timeout: float | None) -> None:
        """Raise `TimedOut` when nothing was found and the time for it is over."""
        if self.value is _NOTHING and not rang and deadline is not None and time.monotonic() >= deadline:
            raise TimedOut(f"no newer value came within {timeout} seconds; nothing was taken")


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
        for version in seen:
            check_since(version)
        if not (is_number(every) and every >= 0):
            raise UsageError(f"every= is a number of seconds, not {every!r}")
        self._sources = sources
        self._read = read
        self._seen = seen
        self._every = every
        self._due = 0.0  # when the next value may be given
        self._only_different = only_different
        self._last: Any = _NOTHING  # what was given, where only what differs from it is
        self._lock = threading.Lock()  # guards the two below
        self._waker: ThreadWaker | LoopWaker | None = None  # of the get under way
        self._closed = False

    @property
    def version(self) -> int:
        """The version last given; of a derived value, those of all its sources added up."""
        return sum(self._seen)

    # ------------------------------------------------------------------ getting

    def get(self, timeout: float | None = None, *, where: Callable[[T], bool] | None = None) -> T:
        """Return the newest value, if it is newer than what was given last; else wait up to `timeout` seconds for one.

        A value for which `where` is false is passed over, and left for a later get. Raises `TimedOut`; `Closed`, or the value's
        error, when no newer one will come; `ConcurrentGet` when another get of this watcher is under way; and what `where` raises.
        """
        until = deadline(timeout)
        look = self._look(self._seen, where)
        while look.value is _NOTHING:
            waker = ThreadWaker()
            try:
                rang = not self._lie_down(waker, look.versions) or waker.sleep(look.until(until))
            finally:
                self._get_up(waker)
            look = self._look(look.passed_over, where)  # also when the time is over: a value may have come in the last moment
            look.check_time(rang, until, timeout)
        return look.value

    async def get_async(self, timeout: float | None = None, *, where: Callable[[T], bool] | None = None) -> T:
        """Return the newest value as `get` does, waiting on the event loop; a cancelled wait takes nothing."""
        from go_state.waking.loop_waker import LoopWaker

        until = deadline(timeout)
        look = self._look(self._seen, where)
        while look.value is _NOTHING:
            waker = LoopWaker()
            try:
                rang = not self._lie_down(waker, look.versions) or await waker.sleep(look.until(until))
            finally:
                self._get_up(waker)
            look = self._look(look.passed_over, where)  # also when the time is over: a value may have come in the last moment
            look.check_time(rang, until, timeout)
        return look.value

    def get_nowait(self, *, where: Callable[[T], bool] | None = None) -> T:
        """Return the newest value, or raise `Empty` when there is none that was not given yet; `Closed` at the end."""
        look = self._look(self._seen, where)
        if look.value is _NOTHING:
            raise Empty("there is no newer value right now")
        return look.value

    def peek(self) -> T:
        """Return the newest value, given before or not, and leave it to be given; `Empty` when there is none yet."""
        slots = tuple([source._slot for source in self._sources])
        if not all(version for version, _ in slots):
            raise Empty("the value has not been set yet")
        return self._read(slots)

    def _look(self, passed_over: tuple[int, ...], where: Callable[[T], bool] | None) -> _Look[T]:
        """Look at every source once, and give what is new since `passed_over`; raise when nothing more will come.

        Everything that a get decides on comes from this one look: a slot that was read twice could change in between, and the
        watcher would sleep although there is a value that it has not seen.
        """
        if self._closed:
            raise UsedAfterClose("this watcher is closed")
        ended = [source for source in self._sources if source._closed]  # before the slots: after its end none is set any more
        slots = tuple([source._slot for source in self._sources])
        versions = tuple([version for version, _ in slots])
        if all(versions) and any(map(int.__gt__, versions, passed_over)):
            if self._every and not ended and time.monotonic() < self._due:
                return _Look(versions, passed_over, self._due)
            value = self._read(slots)
            passed_over = versions
            if not self._is_last(value) and (where is None or where(value)):
                self._given(value, versions)
                return _Look(versions, versions, math.inf, value)
        if ended:
            self._raise_end(ended)
        return _Look(versions, passed_over, math.inf)

    def _is_last(self, value: T) -> bool:
        return self._only_different and not unequal(self._last, value)

    def _given(self, value: T, versions: tuple[int, ...]) -> None:
        self._seen = versions
        self._due = time.monotonic() + self._every if self._every else 0.0
        if self._only_different:
            self._last = value

    @staticmethod
    def _raise_end(ended: list[Value[Any]]) -> NoReturn:
        for source in ended:
            if source._error is not None:
                raise source._error
        raise Ended("the value is closed and its newest value was given")

    # ------------------------------------------------------------------ waiting

    def _lie_down(self, waker: ThreadWaker | LoopWaker, versions: tuple[int, ...]) -> bool:
        """Leave the waker with every source; False when one of them is not as it was at the last look."""
        if any(source._slot[0] > version for source, version in zip(self._sources, versions, strict=True)):
            return False  # news that came meanwhile needs neither a waker nor a lock
        with self._lock:
            if self._closed:
                return False
            if self._waker is not None:
                raise ConcurrentGet("another thread or task already waits on this watcher: make one for each")
            self._waker = waker
        return all(source._leave_waker(waker, version) for source, version in zip(self._sources, versions, strict=True))

    def _get_up(self, waker: ThreadWaker | LoopWaker) -> None:
        with self._lock:
            if self._waker is not waker:
                return  # it did not lie down, and another sleeps here
            self._waker = None
        for source in self._sources:
            source._take_waker(waker)

    # ------------------------------------------------------------------ iterating and ending

    def __iter__(self) -> Iterator[T]:
        try:
            while True:
                yield self.get()
        except Closed:
            return

    def __aiter__(self) -> AsyncIterator[T]:
        return until_closed(self.get_async)

    def close(self) -> None:
        """End the watcher and free a get that waits, with `Closed`; a second call is harmless."""
        with self._lock:
            self._closed = True
            waker = self._waker
        if waker is not None:
            wake_all((waker,))

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
