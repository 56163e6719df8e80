"""The slot: the state that a value and its watchers share.

A slot holds how often it was set and to what, and the wakers of the watchers that sleep at this moment. One object writes it: the
user's `Value`, or the runtime that publishes models. Many watchers may read it.

Nobody is forgotten, although `publish` and the watchers take no common lock on their way. A watcher leaves its waker and looks at the
version after that; who sets the slot writes it and looks at the wakers after that. Whichever of the two comes second sees the other:

    watcher   add the waker      look at the version      sleep
    setter    write the version  look at the wakers       wake them

If the watcher looks before the version is written, its waker is registered before the setter looks, and it is woken. If it looks
later, it sees the new version and does not sleep. Both orders may hold at once: then it is woken for what it has seen already, and
looks once for nothing. The same holds for `closed`, which is written before the wakers are looked at.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeAlias, TypeVar

from go_state.core.errors import UsedAfterClose
from go_state.system.forks import at_fork, belongs_to_parent, reset_lock
from go_state.waking.waker import Waker, wake_all

T = TypeVar("T")

Versioned: TypeAlias = tuple[int, T]
"""How often a slot was set (0: never), and to what. A plain tuple: one is made at every commit, and one with names takes four times
as long.
"""


class _Missing:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Any = _Missing()  # of any type, as it stands in the place of any value
"""What a slot holds that was never set: not the same as None."""


class Slot(Generic[T]):
    """A value with a version, the wakers of those who sleep until there is a newer one, and its end."""

    def __init__(self, value: T = UNSET, *, before_wait: Callable[[], object] | None = None) -> None:
        self.now: Versioned[T] = (
            (0, value) if value is UNSET else (1, value)
        )  #: one tuple: read without the lock, it is of one moment
        self.newest = 0  #: the newest version that was set by `set_at`, which gives versions that are not ours
        self.closed = False
        self.in_parent = False  #: whether this is a forked child, and the slot goes on in its parent alone
        self.before_wait = before_wait  #: called before a watcher sleeps; raises if it must not
        self._lock = threading.Lock()  # guards `now` against a second setter, `closed`, and the wakers
        self._wakers: dict[Waker, None] = {}  # of those who sleep, in the order in which they came
        self._failure: BaseException | None = None
        self._trace: TracebackType | None = None  # of the failure, as it was then
        at_fork(self)

    # ------------------------------------------------------------------ setting

    def set(self, value: T) -> int:
        """Set the slot, wake every watcher that sleeps and return the new version. Raises `Closed`."""
        with self._lock:
            self._check_open()
            version = self.now[0] + 1
            self.now = version, value
        self.wake()
        return version

    def publish(self, value: T) -> None:
        """Set the slot, for its only setter: without the lock, unless a watcher sleeps. The very object that it holds is no news."""
        version, held = self.now
        if value is held:
            return
        self.now = version + 1, value
        if self._wakers:  # looked at after the slot is written, see above
            with self._lock:
                wakers, self._wakers = self._wakers, {}
            wake_all(wakers)

    def set_at(self, version: int, value: T) -> bool:
        """Set the slot to a version of the setter's own, or unset it if the value is UNSET, and return whether that was done.

        A version that is not newer than every one before changes nothing, and neither does any once the slot is closed. What was
        set at the newest version may be unset at the same one: it was removed, and nothing has come since.
        """
        with self._lock:
            if self.closed or version < self.newest or (version == self.newest and not (value is UNSET and self.now[0])):
                return False
            self.newest = version
            self.now = (0, value) if value is UNSET else (version, value)
        self.wake()
        return True

    def replace(self, before: Versioned[T], value: T) -> bool:
        """Set the slot if nobody has set it since it was `before`; return whether it was set. Raises `Closed`."""
        with self._lock:
            self._check_open()
            if self.now is not before:
                return False
            self.now = before[0] + 1, value
        self.wake()
        return True

    def close(self, error: BaseException | None) -> None:
        """End: watchers get what they have not seen, and then `Closed`, or the error. A second call is harmless."""
        if self.in_parent:
            return
        with self._lock:
            if not self.closed:
                self._failure, self._trace = error, None if error is None else error.__traceback__
                self.closed = True
        self.wake()

    @property
    def error(self) -> BaseException | None:
        """What the slot has ended with. All watchers raise this one error, and each adds to its traceback from here on."""
        return None if self._failure is None else self._failure.with_traceback(self._trace)

    def _check_open(self) -> None:
        if self.closed:
            raise UsedAfterClose("the value is closed: it may no longer be set") from self.error

    # ------------------------------------------------------------------ sleeping

    def wake(self) -> None:
        """Wake the watchers that sleep, so that they look once more, and ask whether they may go on sleeping."""
        if self._wakers:
            with self._lock:
                wakers, self._wakers = self._wakers, {}
            wake_all(wakers)

    def add_waker(self, waker: Waker, seen: int) -> bool:
        """Keep the waker for the next change and return True; False if there was one since version `seen`, or none will come."""
        with self._lock:
            self._wakers[waker] = None
            if self.now[0] > seen or self.closed:
                del self._wakers[waker]
                return False
        if (
            self.before_wait is not None
        ):  # after the waker is registered: whoever forbids sleeping from now on wakes those that do
            self.before_wait()
        return True

    def remove_waker(self, waker: Waker) -> None:
        """Forget the waker of a watcher that sleeps no longer."""
        with self._lock:
            self._wakers.pop(waker, None)

    @property
    def waiting(self) -> int:
        """How many watchers sleep at this moment."""
        return len(self._wakers)

    # ------------------------------------------------------------------ forks

    def after_fork_in_child(self) -> None:
        """In a forked child: make every use raise, because the setter is in the parent. Closing stays harmless."""
        lock, self._lock = self._lock, belongs_to_parent("a value")
        self.now = belongs_to_parent("a value")
        self.in_parent = True
        reset_lock(lock)


Slots: TypeAlias = tuple[Slot[Any], ...]
"""What a watcher reads: one slot of a value, or those of several, each of its own type."""

Read: TypeAlias = Callable[[tuple[Versioned[Any], ...]], T]
"""Makes a value of what the slots hold at one moment, all of which are set."""


def read_one(held: tuple[Versioned[T], ...]) -> T:
    """Return the value that a single slot holds: what a watcher of one slot reads."""
    return held[0][1]
