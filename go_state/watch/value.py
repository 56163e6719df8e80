"""A value that others watch: set from any thread, read by each watcher in its own time, the newest only.

A watcher costs the version it has last seen. It is known to the value only while it waits, so ten thousand that do not cost a
`set` nothing. Look next at `watcher.py`, where the waiting is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from go_state.core.errors import Empty, UsageError, UsedAfterClose
from go_state.system.forks import free, parents, share
from go_state.waking.together import wake_all
from go_state.watch.watcher import Watcher

if TYPE_CHECKING:
    from go_state.waking.loop_waker import LoopWaker
    from go_state.waking.thread_waker import ThreadWaker

T = TypeVar("T")
U = TypeVar("U")


Slot: TypeAlias = tuple[int, Any]
"""How often a value was set (0: never), and to what. A plain tuple: it is made at every commit, and one with names takes four
times as long.
"""


class _Missing:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Missing()
"""What a value holds that was never set: not the same as None."""


class Watchable(Generic[T]):
    """What `Value` and the values derived from it have in common."""

    def __init__(self, sources: tuple[Value[Any], ...]) -> None:
        self._sources = sources

    def _read(self, slots: tuple[Slot, ...]) -> T:
        """Return the value, of slots that are all set."""
        raise NotImplementedError

    def watch(self) -> Watcher[T]:
        """Return a watcher, whose first get gives the current value, and the later ones only newer ones."""
        raise NotImplementedError

    def peek(self, default: Any = UNSET) -> T:
        """Return the current value without waiting; `default` while there is none, or else raise `Empty`."""
        slots = tuple([source._slot for source in self._sources])
        if all(version for version, _ in slots):
            return self._read(slots)
        if default is UNSET:
            raise Empty("the value has not been set yet: wait for it with watch(), or give peek() a default")
        found: T = default
        return found

    def map(self, fn: Callable[[T], U]) -> Derived[U]:
        """Return a value that is always `fn` of this one; see `Derived`."""
        return Derived(self._sources, lambda slots: fn(self._read(slots)))


class Value(Watchable[T]):
    """A slot with a version, that holds nothing until it is set. Thread-safe.

    >>> value = Value(1)
    >>> with value.watch() as watcher:
    ...     watcher.get()
    ...     value.set(2), value.set(3)
    ...     watcher.get()
    1
    (2, 3)
    3
    """

    def __init__(self, value: T = UNSET) -> None:
        super().__init__((self,))
        self._slot: Slot = (0, UNSET) if value is UNSET else (1, value)
        self._lock = threading.Lock()  # guards the two below, and writing the slot
        self._wakers: dict[ThreadWaker | LoopWaker, None] = {}  # of those who wait
        self._closed = False
        self._failure: BaseException | None = None
        self._trace: TracebackType | None = None  # of the failure, as it was then
        self.before_wait: Callable[[], object] | None = None  #: called before a watcher sleeps; raises where it must not
        self.in_parent = False  #: whether this is what a forked child has of it
        share(self)

    @property
    def _error(self) -> BaseException | None:
        """What the value has ended with. Everybody who waits raises the one error, and each adds to its traceback from here."""
        return None if self._failure is None else self._failure.with_traceback(self._trace)

    def _read(self, slots: tuple[Slot, ...]) -> T:
        value: T = slots[0][1]
        return value

    def watch(self, *, since: int = 0, every: float = 0.0) -> Watcher[T]:
        """Return a watcher. `since` is a version that it need not be given, nor any before; `every` the seconds that at least
        lie between two values that it is given: of those in between it gets the newest.
        """
        return Watcher(self._sources, self._read, seen=(since,), every=every)

    @property
    def version(self) -> int:
        """How often the value was set."""
        return self._slot[0]

    def versioned(self) -> tuple[int, T]:
        """Return the version and the value of one moment, without waiting; `Empty` when there is none yet."""
        slot = self._slot
        return slot[0], self.peek() if not slot[0] else slot[1]

    def set(self, value: T) -> int:
        """Set the value and wake every watcher that waits; return its version. Raises `Closed`."""
        with self._lock:
            self._check_open()
            version = self._slot[0] + 1
            self._slot = version, value
        self._wake()
        return version

    def publish(self, value: T) -> None:
        """Set the value, for one who alone does so: without a lock, where nobody waits."""
        self._slot = self._slot[0] + 1, value
        if self._wakers:  # looked at after the slot is written: who lies down looks at the slot after its waker is there
            self._wake()

    def update(self, fn: Callable[[T], T]) -> T:
        """Set the value to `fn` of itself and return it. No lock is held meanwhile: where others are faster, `fn` is called again.

        Raises `Empty` where there is no value yet, `Closed`, and what `fn` raises.
        """
        while True:
            slot = self._slot
            if not slot[0]:
                raise Empty("the value has not been set yet: set it before it is updated")
            new = fn(slot[1])
            with self._lock:
                self._check_open()
                if self._slot is slot:
                    self._slot = slot[0] + 1, new
                    break
        self._wake()
        return new

    def close(self, error: BaseException | None = None) -> None:
        """End the value: watchers get what they have not seen, and then `Closed`, or the error. A second call is harmless."""
        if self.in_parent:
            return
        with self._lock:
            if not self._closed:
                self._failure, self._trace = error, None if error is None else error.__traceback__
                self._closed = True
        self._wake()

    @property
    def closed(self) -> bool:
        """Whether the value has ended."""
        return self._closed

    def _check_open(self) -> None:
        if self._closed:
            raise UsedAfterClose("the value is closed: it may no longer be set") from self._error

    def wake(self) -> None:
        """Have those who wait look once more, and ask whether they may wait."""
        self._wake()

    def _wake(self) -> None:
        if self._wakers:
            with self._lock:
                wakers, self._wakers = self._wakers, {}
            wake_all(wakers)

    def forget_parent(self) -> None:
        """In a forked child: have every use raise, for whoever sets it is the parent's; to close it is harmless."""
        lock, self._lock = self._lock, parents("a value")
        self._slot = parents("a value")
        self.in_parent = True
        free(lock)

    # ------------------------------------------------------------------ what watchers call

    def _leave_waker(self, waker: ThreadWaker | LoopWaker, seen: int) -> bool:
        """Leave the waker to be rung at the next change; False when there has been one since version `seen`, or none will come."""
        with self._lock:
            self._wakers[waker] = None
            if self._slot[0] > seen or self._closed:
                del self._wakers[waker]
                return False
        if self.before_wait is not None:  # after the waker is there: whoever forbids to wait from now on rings those that are
            self.before_wait()
        return True

    def _take_waker(self, waker: ThreadWaker | LoopWaker) -> None:
        with self._lock:
            self._wakers.pop(waker, None)

    @property
    def is_waited_for(self) -> bool:
        """Whether a watcher waits at this moment."""
        return bool(self._wakers)

    def __repr__(self) -> str:
        if self.in_parent:
            return "<Value of another process>"
        return f"<Value version {self._slot[0]}{', closed' if self._closed else ''}>"


class Derived(Watchable[T]):
    """A value made of others by a function, which each watcher calls for itself when it reads; nothing runs where nobody does.

    It is new for a watcher when it differs from what that was given last.
    """

    def __init__(self, sources: tuple[Value[Any], ...], fn: Callable[[tuple[Slot, ...]], T]) -> None:
        super().__init__(sources)
        self._fn = fn

    def _read(self, slots: tuple[Slot, ...]) -> T:
        return self._fn(slots)

    def watch(self) -> Watcher[T]:
        """Return a watcher."""
        return Watcher(self._sources, self._fn, seen=(0,) * len(self._sources), only_different=True)


def select(*values: Watchable[Any]) -> Derived[tuple[Any, ...]]:
    """Return a value made of several, as a tuple, that is there once all of them are; it ends when the first of them does.

    >>> name, age = Value("ann"), Value(7)
    >>> select(name, age).peek()
    ('ann', 7)
    """
    for value in values:
        if not isinstance(value, Watchable):
            raise UsageError(f"select() is of values and of what is derived from them, not of a {type(value).__qualname__}")
    sources = tuple(source for value in values for source in value._sources)
    bounds: list[tuple[Watchable[Any], int, int]] = []
    start = 0
    for value in values:
        bounds.append((value, start, start + len(value._sources)))
        start += len(value._sources)
    return Derived(sources, lambda slots: tuple(value._read(slots[a:b]) for value, a, b in bounds))
