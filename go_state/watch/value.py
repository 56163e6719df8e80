"""A value that others watch: set from any thread, read by each watcher in its own time, the newest only.

A watcher costs the version it has last seen. It is known to the value only while it waits, so ten thousand that do not wait cost a
`set` nothing. The state is a `Slot`, which the value and its watchers share; look next at `slot.py`, then at `watcher.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from go_state.core.errors import Empty, UsageError
from go_state.watch.slot import UNSET, Read, Slot, Slots, read_one
from go_state.watch.watcher import Watcher

T = TypeVar("T")
U = TypeVar("U")


class Watchable(Generic[T]):
    """What `Value` and the values derived from it have in common: slots, and a function of what they hold."""

    def __init__(self, slots: Slots, read: Read[T]) -> None:
        self._slots = slots
        self._read = read

    def watch(self) -> Watcher[T]:
        """Return a watcher, whose first get gives the current value, and the later ones only newer ones."""
        raise NotImplementedError

    def peek(self, default: Any = UNSET) -> T:
        """Return the current value without waiting; `default` while there is none, or else raise `Empty`."""
        held = tuple([slot.now for slot in self._slots])
        if all(version for version, _ in held):
            return self._read(held)
        if default is UNSET:
            raise Empty("the value has not been set yet: wait for it with watch(), or give peek() a default")
        found: T = default
        return found

    def map(self, fn: Callable[[T], U]) -> Derived[U]:
        """Return a value that is always `fn` of this one; see `Derived`."""
        read = self._read
        return Derived(self._slots, lambda held: fn(read(held)))


class Value(Watchable[T]):
    """A value with a version, that holds nothing until it is set. Thread-safe.

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
        self.slot: Slot[T] = Slot(value)  #: what it shares with its watchers; the runtime publishes there
        super().__init__((self.slot,), read_one)

    def watch(self, *, since: int = 0, every: float = 0.0) -> Watcher[T]:
        """Return a watcher. It is not given version `since`, nor any before it. Between two values that it is given lie at least
        `every` seconds; of those that are set meanwhile it gets the newest.
        """
        return Watcher(self._slots, self._read, seen=(since,), every=every)

    @property
    def version(self) -> int:
        """How often the value was set."""
        return self.slot.now[0]

    def versioned(self) -> tuple[int, T]:
        """Return the version and the value of one moment, without waiting. Raises `Empty` when there is none yet."""
        version, value = self.slot.now
        if not version:
            raise Empty("the value has not been set yet: wait for it with watch()")
        return version, value

    def set(self, value: T) -> int:
        """Set the value and wake every watcher that waits; return its version. Raises `Closed`."""
        return self.slot.set(value)

    def update(self, fn: Callable[[T], T]) -> T:
        """Set the value to `fn` of itself and return it. No lock is held meanwhile: if others set it first, `fn` is called again.

        Raises `Empty` when there is no value yet, `Closed`, and what `fn` raises.
        """
        while True:
            before = self.slot.now
            if not before[0]:
                raise Empty("the value has not been set yet: set it before it is updated")
            new = fn(before[1])
            if self.slot.replace(before, new):
                return new

    def close(self, error: BaseException | None = None) -> None:
        """End the value: watchers get what they have not seen, and then `Closed`, or the error. A second call is harmless."""
        self.slot.close(error)

    @property
    def closed(self) -> bool:
        """Whether the value has ended."""
        return self.slot.closed

    def __repr__(self) -> str:
        if self.slot.in_parent:
            return "<Value of another process>"
        return f"<Value version {self.version}{', closed' if self.closed else ''}>"


class Derived(Watchable[T]):
    """A value made of others by a function, which each watcher calls for itself when it reads; nothing runs while nobody does.

    It is new for a watcher when it differs from what that was given last.
    """

    def watch(self) -> Watcher[T]:
        """Return a watcher."""
        return Watcher(self._slots, self._read, seen=(0,) * len(self._slots), only_different=True)


def select(*values: Watchable[Any]) -> Derived[tuple[Any, ...]]:
    """Return a value made of several `values`, as a tuple, which is set once all of them are; it ends when the first of them
    does. Raises `UsageError` for what is no value.

    >>> name, age = Value("ann"), Value(7)
    >>> select(name, age).peek()
    ('ann', 7)
    """
    for value in values:
        if not isinstance(value, Watchable):
            raise UsageError(f"select() is of values and of what is derived from them, not of a {type(value).__qualname__}")
    slots: Slots = ()
    parts: list[tuple[Read[object], int, int]] = []  # how to read each, and which slots are its own
    for value in values:
        parts.append((value._read, len(slots), len(slots) + len(value._slots)))
        slots += value._slots
    return Derived(slots, lambda held: tuple([read(held[begin:end]) for read, begin, end in parts]))
