"""One alarm for the programs of all keys: a heap of times, and a thread that waits for the earliest of them.

What is due is read once more before its program is started: another process may have run it meanwhile. A program that is running sees
to its own timers, and tells when it is put to rest. What other processes have added is found by looking in the store now and then.
"""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from go_state.system.timers import Clock, SystemClock

_LONGEST = 60.0  # seconds between two looks at the time of day, which somebody may set
LOOKS = 60.0  # seconds between two looks in the store, each of which costs about 2 us for each program at rest that has something to do
RETRY = 10.0  # seconds until a program is looked at again that could not be started, because another process runs it, say


class Sleepers(Protocol):
    """What the alarm asks of the programs."""

    def when_due(self) -> Mapping[str, float]:
        """Return, by key, when each program that does not run here has something to do by itself, in seconds since 1970. Uses the disk."""
        ...

    def due_of(self, key: str, /) -> float | None:
        """Return when the program of the key has. Uses the disk."""
        ...

    def wake(self, key: str, done: Callable[[], object], /) -> None:
        """Start the program of the key if it is at rest; `done` is called once it is started, or is not."""
        ...

    def lost(self, error: Exception, /) -> None:
        """Called with what has kept a program from being started."""
        ...


class Alarm:
    """Wakes programs at rest when their time has come, from `begin` to `close`."""

    def __init__(self, sleepers: Sleepers, clock: Clock) -> None:
        self._sleepers = sleepers
        self._clock = clock
        self._lock = threading.Lock()  # guards the six below
        self._due: dict[str, float] = {}  # by key
        self._heap: list[tuple[float, str]] = []  # with those that have another time by now
        self._starting = 0  # how many programs are being started
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self._rings = threading.Event()  # something has changed
        self._waits = False
        self._has_looked = threading.Event()
        self._looks_at = 0.0  # when it looks in the store again, by the system's monotonic clock

    def begin(self) -> None:
        """Begin, the first time that it is called: look in the store, and wait for what is due."""
        if self._thread is not None or self._is_closed:
            return
        with self._lock:
            if self._thread is not None or self._is_closed:
                return
            self._clock.enter(self._rings.set)
            self._thread = threading.Thread(target=self._run, name="go_state alarm of many keys", daemon=True)
            try:
                self._thread.start()
            except BaseException:
                self._thread = None
                self._clock.leave(self._rings.set)
                raise

    def wait_until_looked(self) -> None:
        """Wait until it has looked in the store, which takes a moment: from then on it knows what is due."""
        self._has_looked.wait()

    def set(self, key: str, due: float | None) -> None:
        """Wake the program of the key at the time, and at no other; None for never."""
        with self._lock:
            if due is None:
                self._due.pop(key, None)
                return
            self._due[key] = due
            heapq.heappush(self._heap, (due, key))
            is_next = self._heap[0] == (due, key)
        if is_next:
            self._rings.set()

    def retry(self, key: str) -> None:
        """Look at the program of the key again in a while."""
        self.set(key, self._clock.time() + RETRY)

    @property
    def next_due(self) -> float | None:
        """When the next one is due, in seconds since 1970."""
        with self._lock:
            return self._first()

    def due_of(self, key: str) -> float | None:
        """Return when the program of the key is due, as far as it is known."""
        return self._due.get(key)

    def keys(self) -> frozenset[str]:
        """Return the keys of the programs that wait for their time."""
        with self._lock:
            return frozenset(self._due)

    def close(self) -> None:
        """Wake nothing any more, and wait for the thread, which needs no more than a moment."""
        with self._lock:
            self._is_closed, thread = True, self._thread
        self._rings.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    # ------------------------------------------------------------------ in the thread

    def _run(self) -> None:
        try:
            self._try(self._look_in_store)
            self._has_looked.set()
            while not self._is_closed:
                if (key := self._take_due()) is None:
                    if self._is_to_look():
                        self._try(self._look_in_store)
                    self._wait()
                else:
                    self._try(lambda key=key: self._wake(key))  # type: ignore[misc]
        finally:
            self._has_looked.set()
            self._clock.leave(self._rings.set)

    def _try(self, fn: Callable[[], object]) -> None:
        try:
            fn()
        except Exception as error:  # of the store, say: what is known goes on
            if not self._is_closed:
                self._sleepers.lost(error)

    def _look_in_store(self) -> None:
        self._looks_at = time.monotonic() + LOOKS  # before it fails, say
        for key, due in self._sleepers.when_due().items():
            if due < self._due.get(key, math.inf):
                self.set(key, due)

    def _is_to_look(self) -> bool:
        """Return whether to look in the store once more; a simulated clock has no other process beside it."""
        return isinstance(self._clock, SystemClock) and time.monotonic() >= self._looks_at

    def _take_due(self) -> str | None:
        """Return the key of a program that is due now, which is not waited for any more."""
        with self._lock:
            due = self._first()
            if due is None or due > self._clock.time():
                return None
            key = heapq.heappop(self._heap)[1]
            del self._due[key]
            return key

    def _first(self) -> float | None:
        """Return the earliest time. Lock held."""
        heap = self._heap
        while heap and self._due.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def _wake(self, key: str) -> None:
        due = self._sleepers.due_of(key)
        if due is None or due > self._clock.time():
            self.set(key, due)
            return
        with self._lock:
            self._starting += 1
        self._sleepers.wake(key, self._started)

    def _started(self) -> None:
        with self._lock:
            self._starting -= 1
        self._rings.set()

    def _wait(self) -> None:
        """Wait until the next one is due, or something has changed."""
        due, clock = self.next_due, self._clock
        monotonic = None if due is None else due - clock.time() + clock.monotonic()
        self._waits = True
        left = clock.left(monotonic, self._is_resting, self._rings.set)
        if isinstance(clock, SystemClock):
            longest = min(_LONGEST, max(self._looks_at - time.monotonic(), 0.0))
            left = longest if left is None else min(left, longest)
        self._rings.wait(left)
        self._waits = False
        self._rings.clear()

    def _is_resting(self) -> bool:
        """Return, to any thread, whether it waits and starts nothing."""
        return self._waits and not self._starting and not self._rings.is_set()
