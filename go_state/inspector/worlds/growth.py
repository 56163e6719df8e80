"""Which journals of a store grow, because another process writes them: seen by their ends, of those that somebody looks at."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence

from go_state.inspector.looking.subject import State

_GROWING = 3.0  # seconds for which a journal is said to grow after it has
_FOLLOWED = 100  # journals whose ends are looked at now and then: those that were listed last
_EVERY = 1.0  # seconds between two such looks
_REST = 10  # how many times as long as a look takes it is not looked again: a database may be far away


class Growth:
    """The ends of journals as they were seen last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all of it
        self._ends: OrderedDict[str, tuple[int, float]] = OrderedDict()  # and when each was seen to grow; the newest last
        self._followed: Sequence[str] = ()
        self._next = 0.0

    def follow(self, names: Sequence[str]) -> None:
        """Look at these from now on."""
        with self._lock:
            self._followed = names[:_FOLLOWED]

    def seen(self, name: str, end: int) -> None:
        """Called with the end of a journal as it is now."""
        with self._lock:
            before, since = self._ends.get(name, (end, -_GROWING))
            self._ends[name] = end, time.monotonic() if end > before else since
            self._ends.move_to_end(name)
            while len(self._ends) > 10 * _FOLLOWED:
                self._ends.popitem(last=False)

    def state(self, name: str) -> State:
        """Return whether a journal grows."""
        with self._lock:
            return "growing" if time.monotonic() - self._ends.get(name, (0, -_GROWING))[1] < _GROWING else "stored"

    def due(self, names: Collection[str]) -> Sequence[str]:
        """Return which of these names are to be looked at now."""
        with self._lock:
            now = time.monotonic()
            if now < self._next:
                return ()
            self._next = now + _EVERY
            return [name for name in self._followed if name in names]

    def took(self, seconds: float) -> None:
        """Called when a look has taken so long."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + _REST * seconds)
