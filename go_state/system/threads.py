"""Threads for calls that cannot be ended: one that hangs keeps neither the place of others nor the process from ending."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress
from queue import SimpleQueue
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
Work = Callable[[], object]

_FEW = 64  # calls that were given up on may go on in any case, however few are let run at once
_log = logging.getLogger("go_state")


class Threads(Generic[Name]):
    """Daemon threads that make calls, each begun at once while there is room.

    Room is for as many as the run lets go on at once, and besides for as many, at least `_FEW`, that it has given up on and cannot
    end. Beyond that calls wait for one of them to end: a program whose calls all hang would otherwise fill the machine.

    All threads take their work from one queue, so that one which has just ended its call takes the next without being woken: with a
    mailbox for each, a call took twice as long. Work is put there only while there is an idle thread for it, one that waits for the
    queue or is on its way there.
    """

    def __init__(self, at_once: int) -> None:
        self._most = at_once + max(at_once, _FEW)
        self._queue: SimpleQueue[tuple[Name, Work] | None] = SimpleQueue()  # None: there is nothing more to do
        self._ended: SimpleQueue[threading.Thread] = SimpleQueue()  # threads on their way out, to be joined
        self._lock = threading.Lock()  # guards all below
        self._threads: set[threading.Thread] = set()
        self._idle = 0  # how many threads have no work, and none in the queue
        self._busy: dict[Name, None] = {}  # the work that goes on, or is in the queue
        self._waiting: OrderedDict[Name, Work] = OrderedDict()
        self._changed: Callable[[], object] = _do_nothing
        self._closed = False

    def begin(self, name: Name, work: Work) -> None:
        """Begin the work, which raises nothing; `name` tells it from others."""
        with self._lock:
            if self._idle:
                # No Python call from here on: Ctrl-C comes after calls, and a thread that is neither idle nor given work would never end.
                self._idle -= 1
                self._busy[name] = None
                self._queue.put((name, work))
                return
            if len(self._threads) < self._most:
                thread = threading.Thread(target=self._run, args=(name, work), name="go_state effect", daemon=True)
                self._busy[name] = None
                try:
                    thread.start()
                except BaseException:  # the system has no more threads, or this one was interrupted
                    del self._busy[name]
                    raise
                self._threads.add(thread)
                return
            self._waiting[name] = work
            first = len(self._waiting) == 1
        if first:
            _log.warning(
                "%d calls of commands go on in threads, many of them given up on: others wait for one to end", self._most
            )

    def forget(self, name: Name) -> None:
        """Forget work that has not begun."""
        with self._lock:
            self._waiting.pop(name, None)

    def busy(self) -> list[Name]:
        """Return the names of the work that is running."""
        with self._lock:
            return list(self._busy)

    # ------------------------------------------------------------------ in the threads

    def _run(self, name: Name, work: Work) -> None:
        following: tuple[Name, Work] | None = (name, work)
        while following is not None:
            name, work = following
            work()
            following = self._next(name)
            if following is None:
                del name, work  # what they refer to is not kept while there is nothing to do
                following = self._queue.get()
        self._ended.put(threading.current_thread())

    def _next(self, name: Name) -> tuple[Name, Work] | None:
        """Note that work has ended, and return what has waited for that; None if the next comes from the queue."""
        with self._lock:
            self._busy.pop(name, None)
            if self._waiting:
                following = self._waiting.popitem(last=False)
                self._busy[following[0]] = None
                return following
            if self._closed:
                self._queue.put(None)
            else:
                self._idle += 1
            changed = self._changed
        changed()
        return None

    # ------------------------------------------------------------------ ending

    def close(self, changed: Callable[[], object] = lambda: None) -> None:
        """Begin nothing more, and call `changed`, from any thread, whenever one of the calls has ended."""
        with self._lock:
            self._closed, self._changed = True, changed
            self._waiting.clear()
            idle, self._idle = self._idle, 0
        for _ in range(idle):
            self._queue.put(None)

    def wait(self, seconds: float) -> None:
        """Close, and wait up to `seconds` for the calls that are running."""
        woken = threading.Event()
        self.close(woken.set)
        until = time.monotonic() + seconds
        while self.busy() and (left := until - time.monotonic()) > 0:
            woken.wait(min(left, threading.TIMEOUT_MAX))
            woken.clear()
        self._join()

    async def wait_async(self, seconds: float) -> None:
        """Wait as `wait` does, on the event loop."""
        import asyncio

        loop, woken = asyncio.get_running_loop(), asyncio.Event()

        def changed() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(woken.set)

        self.close(changed)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, threading.TIMEOUT_MAX)):
                while self.busy():
                    await woken.wait()
                    woken.clear()
        self._join()

    def _join(self) -> None:
        """Wait for the threads that have nothing more to do, which ends at once."""
        with self._lock:
            ending = len(self._threads) - len(self._busy)
        for _ in range(ending):
            thread = self._ended.get()
            thread.join()
            self._threads.discard(thread)


def _do_nothing() -> None:
    """Do nothing: nobody waits for the end."""
