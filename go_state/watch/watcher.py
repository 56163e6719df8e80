"""A watcher: one reader of a value, or of several, and the waiting for what it has not been given.

What was seen moves when a value is given, and only then: a wait that is cancelled or times out, and a filter that rejects, leave
everything as it was. The order in which a watcher looks and sleeps, so that it misses nothing, is explained in `slot.py`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from operator import attrgetter, itemgetter
from types import TracebackType
from typing import Any, Generic, NamedTuple, NoReturn, Self, TypeVar

from go_state.core.errors import Closed, ConcurrentGet, Empty, Ended, TimedOut, UsageError, UsedAfterClose
from go_state.waking.deadlines import deadline, is_number
from go_state.waking.waker import ThreadWaker, Waker
from go_state.watch.differing import unequal
from go_state.watch.slot import Read, Slots

T = TypeVar("T")

_CHECKPOINT_SECONDS = 0.002  # how long an iteration may keep an event loop from its other tasks
_NOTHING: Any = object()  # of any type, as it stands in the place of a value
_now, _closed, _version = attrgetter("now"), attrgetter("closed"), itemgetter(0)  # which need no call of a Python function each


async def until_closed(get: Callable[[], Awaitable[T]], is_end: Callable[[Closed], bool]) -> AsyncIterator[T]:
    """Give what `get` returns until it raises a `Closed` that is its own end, and let the event loop run its other tasks every few
    milliseconds.

    `get` does not wait if values come faster than they are used, and would keep the event loop from everybody else.
    """
    import asyncio

    checkpoint = time.monotonic() + _CHECKPOINT_SECONDS
    try:
        while True:
            yield await get()
            if time.monotonic() >= checkpoint:
                await asyncio.sleep(0)
                checkpoint = time.monotonic() + _CHECKPOINT_SECONDS
    except Closed as error:
        if not is_end(error):
            raise


def check_since(since: object) -> None:
    """Raise `UsageError` unless it is a version."""
    if not isinstance(since, int) or isinstance(since, bool) or since < 0:
        raise UsageError(f"since= is a version, a whole number from 0, not {since!r}")


class _Look(NamedTuple, Generic[T]):
    """What a watcher has found at one moment.

    `versions` are those of its slots then, and `passed_over` those that need no second look, because they were given or rejected.
    `due` is when a value that is set already may be given, and `value` the one to give, if there is one.
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


class Watcher(Generic[T]):
    """One reader of a value, in any thread or event loop, one get at a time; made by `value.watch()`.

    Iterating gives the newest value again and again, one in `every` seconds at most, and ends when the value or the watcher is closed.
    """

    def __init__(
        self,
        slots: Slots,
        read: Read[T],
        *,
        seen: tuple[int, ...],
        every: float = 0.0,
        only_different: bool = False,
    ) -> None:
        for version in seen:
            check_since(version)
        if not (is_number(every) and every >= 0):
            raise UsageError(f"every= is a number of seconds, not {every!r}")
        self._slots = slots
        self._read = read
        self._seen = seen
        self._every = every
        self._due = 0.0  # when the next value may be given
        self._only_different = only_different
        self._last: T = _NOTHING  # what was given last, if only what differs from it is to be given
        self._lock = threading.Lock()  # guards the two below, but that the get itself takes its waker away
        self._waker: Waker | None = None  # of the get that sleeps; another finds it, and raises
        self._closed = False
        self._end: Closed | None = None  # what a get has raised because nothing more will come, and nothing has failed

    @property
    def version(self) -> int:
        """The version last given; of a derived value, those of all its sources added up."""
        return sum(self._seen)

    # ------------------------------------------------------------------ getting

    def get(self, timeout: float | None = None, *, where: Callable[[T], bool] | None = None) -> T:
        """Return the newest value, if it is newer than what was given last; else wait up to `timeout` seconds for one.

        A value for which `where` is false is passed over, and left for a later get. Raises `TimedOut`; `Closed`, or the value's
        error, when no newer one will come; `ConcurrentGet` when another get of this watcher is waiting; and what `where` raises.
        """
        until = deadline(timeout)
        look = self._look(self._seen, where)
        while look.value is _NOTHING:
            waker = ThreadWaker()
            try:
                woken = not self._add_waker(waker, look.versions) or waker.sleep(look.until(until))
            finally:
                if self._waker is waker:  # without a call: Ctrl-C, which comes at one, would leave a get that is no more
                    self._waker = None
                for slot in self._slots:
                    slot.remove_waker(waker)  # interrupted here, it stays until the next change, which wakes nobody by it
            look = self._look(look.passed_over, where)  # also when the time is over: a value may have come in the last moment
            if look.value is _NOTHING and not woken:
                _check_time(until, timeout)
        return look.value

    async def get_async(self, timeout: float | None = None, *, where: Callable[[T], bool] | None = None) -> T:
        """Return the newest value as `get` does, waiting on the event loop; a cancelled wait takes nothing."""
        from go_state.waking.loop_waker import LoopWaker

        until = deadline(timeout)
        look = self._look(self._seen, where)
        while look.value is _NOTHING:
            waker = LoopWaker()
            try:
                woken = not self._add_waker(waker, look.versions) or await waker.sleep(look.until(until))
            finally:
                if self._waker is waker:  # without a call: Ctrl-C, which comes at one, would leave a get that is no more
                    self._waker = None
                for slot in self._slots:
                    slot.remove_waker(waker)  # interrupted here, it stays until the next change, which wakes nobody by it
            look = self._look(look.passed_over, where)  # also when the time is over: a value may have come in the last moment
            if look.value is _NOTHING and not woken:
                _check_time(until, timeout)
        return look.value

    def get_nowait(self, *, where: Callable[[T], bool] | None = None) -> T:
        """Return the newest value, or raise `Empty` when there is none that was not given yet; `Closed` at the end."""
        look = self._look(self._seen, where)
        if look.value is _NOTHING:
            raise Empty("there is no newer value right now")
        return look.value

    def peek(self) -> T:
        """Return the newest value, given before or not, and leave it to be given; `Empty` when there is none yet."""
        held = tuple(map(_now, self._slots))
        if not all(map(_version, held)):
            raise Empty("the value has not been set yet")
        return self._read(held)

    def _look(self, passed_over: tuple[int, ...], where: Callable[[T], bool] | None) -> _Look[T]:
        """Look at every slot once, and give what is new since `passed_over`; raise when nothing more will come.

        Everything that a get decides on comes from this one look: a slot that was read twice could change in between, and the
        watcher would sleep although there is a value that it has not seen.
        """
        if self._closed:
            self._end = UsedAfterClose("this watcher is closed")
            raise self._end
        ended = tuple(filter(_closed, self._slots))  # before what they hold: after its end none is set any more
        held = tuple(map(_now, self._slots))
        versions = tuple(map(_version, held))
        if all(versions) and any(map(int.__gt__, versions, passed_over)):
            if self._every and not ended and time.monotonic() < self._due:
                return _Look(versions, passed_over, self._due)
            value = self._read(held)
            passed_over = versions
            if (not self._only_different or unequal(self._last, value)) and (where is None or where(value)):
                self._seen = versions
                self._due = time.monotonic() + self._every if self._every else 0.0
                if self._only_different:
                    self._last = value
                return _Look(versions, versions, math.inf, value)
        if ended:
            self._raise_end(ended)
        return _Look(versions, passed_over, math.inf)

    def _raise_end(self, ended: Slots) -> NoReturn:
        for slot in ended:
            if (error := slot.error) is not None:
                raise error
        self._end = Ended("the value is closed and its newest value was given")
        raise self._end

    def is_end(self, error: Closed) -> bool:
        """Return whether a get has raised the error as its end, and not because the value, or a function that reads it, has failed."""
        return error is self._end

    # ------------------------------------------------------------------ waiting

    def _add_waker(self, waker: Waker, versions: tuple[int, ...]) -> bool:
        """Leave the waker with every slot; return False if one of them has changed since the last look, or the watcher has ended."""
        if any(slot.now[0] > version for slot, version in zip(self._slots, versions, strict=True)):
            return False  # what came meanwhile needs neither a waker nor a lock
        with self._lock:
            if self._closed:
                return False
            if self._waker is not None:
                raise ConcurrentGet("another thread or task already waits on this watcher: make one for each")
            self._waker = waker
        try:
            return all(slot.add_waker(waker, version) for slot, version in zip(self._slots, versions, strict=True))
        except Closed as error:  # of an app that ends and may be waited for no longer
            self._end = error
            raise

    # ------------------------------------------------------------------ iterating and ending

    def __iter__(self) -> Iterator[T]:
        try:
            while True:
                yield self.get()
        except Closed as error:
            if not self.is_end(error):
                raise

    def __aiter__(self) -> AsyncIterator[T]:
        return until_closed(self.get_async, self.is_end)

    def close(self) -> None:
        """End the watcher, and a get that waits, which raises `Closed`. A second call is harmless."""
        with self._lock:
            self._closed = True
            waker = self._waker
        if waker is not None:
            waker.wake()

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


def _check_time(until: float | None, timeout: float | None) -> None:
    """Raise `TimedOut` if the time is over."""
    if until is not None and time.monotonic() >= until:
        raise TimedOut(f"no newer value came within {timeout} seconds; nothing was taken")
