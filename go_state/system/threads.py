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


class _Worker(Generic[Name]):
    """A thread that does one thing after the other, and waits in between."""

    __slots__ = ("mailbox", "over", "thread")

    def __init__(self, run: Callable[[_Worker[Name], tuple[Name, Work]], object], first: tuple[Name, Work]) -> None:
        self.over = False  # it takes nothing more
        self.mailbox: SimpleQueue[tuple[Name, Work] | None] = SimpleQueue()
        self.thread = threading.Thread(target=run, args=(self, first), name="go_state effect", daemon=True)


class Threads(Generic[Name]):
    """Daemon threads that make calls, each begun at once while there is room.

    Room is for as many as the run lets go on at once, and besides for as many, at least `_FEW`, that it has given up on and cannot
    end. Beyond that calls wait for one of them to end: a program whose calls all hang would otherwise fill the machine.
    """

    def __init__(self, at_once: int) -> None:
        self._most = at_once + max(at_once, _FEW)
        self._lock = threading.Lock()  # guards all below
        self._workers: set[_Worker[Name]] = set()
        self._idle: list[_Worker[Name]] = []
        self._busy: dict[Name, _Worker[Name]] = {}
        self._waiting: OrderedDict[Name, Work] = OrderedDict()
        self._changed: Callable[[], object] = _do_nothing
        self._closed = False

    def begin(self, name: Name, work: Work) -> None:
        """Begin the work, which raises nothing; `name` tells it from others."""
        with self._lock:
            if self._idle:
                # No call until the worker is busy: Ctrl-C comes after calls, and one that is neither idle nor busy would never end.
                self._busy[name] = worker = self._idle[-1]
                del self._idle[-1]
                worker.mailbox.put((name, work))
                return
            if len(self._workers) < self._most:
                worker = _Worker(self._run, (name, work))
                self._busy[name] = worker
                try:
                    worker.thread.start()
                except BaseException:  # the system has no more threads, or this one was interrupted
                    del self._busy[name]
                    raise
                self._workers.add(worker)
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

    def _run(self, worker: _Worker[Name], first: tuple[Name, Work]) -> None:
        following: tuple[Name, Work] | None = first
        while following is not None:
            name, work = following
            work()
            following = self._next(worker, name)
            if following is None and not worker.over:
                del name, work  # what they refer to is not kept while there is nothing to do
                following = worker.mailbox.get()

    def _next(self, worker: _Worker[Name], name: Name) -> tuple[Name, Work] | None:
        with self._lock:
            self._busy.pop(name, None)
            if self._waiting:
                following = self._waiting.popitem(last=False)
                self._busy[following[0]] = worker
                return following
            if self._closed:
                worker.over = True
            else:
                self._idle.append(worker)
            changed = self._changed
        changed()
        return None

    # ------------------------------------------------------------------ ending

    def close(self, changed: Callable[[], object] = lambda: None) -> None:
        """Begin nothing more, and call `changed`, from any thread, whenever one of the calls has ended."""
        with self._lock:
            self._closed, self._changed = True, changed
            self._waiting.clear()
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.mailbox.put(None)

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
            stuck = set(self._busy.values())
            ending = [worker for worker in self._workers if worker not in stuck]
        for worker in ending:
            worker.thread.join()


def _do_nothing() -> None:
    """Do nothing: nobody waits for the end."""
