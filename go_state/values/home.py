"""The event loop in which a client lives, and how threads and other event loops call into it.

A call ends in one of three ways: its coroutine ends, its caller gives up (Ctrl-C, a cancelled task), or the home is closed beneath it.
`_lock` orders the last against a call that begins: once `_closed` is written no call is posted, and those that were are ended.

The futures of `concurrent.futures` are not used for calls: who is interrupted by Ctrl-C in one of their methods leaves it locked, and
the loop would wait for that lock for ever.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Generic, TypeVar

from go_state.core.errors import InsideLoop, UsedAfterClose
from go_state.system.forks import at_fork, belongs_to_parent, reset_lock
from go_state.system.running import running_loop
from go_state.waking.loop_waker import LoopWaker
from go_state.waking.waker import ThreadWaker, Waker

T = TypeVar("T")
Result = TypeVar("Result", covariant=True)
_AGAIN = 0.1  # seconds after which a task that has not ended is cancelled once more
_LOOK = 1.0  # seconds between two looks whether the loop was closed by somebody else, which tells nobody who waits
_GRACE = 2.0  # seconds for tasks of the client's own to end when the loop does

Call = Callable[[], Coroutine[object, object, T]]


class Home:
    """Runs coroutines in one event loop, for callers in threads and in event loops, until it is closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._lock = threading.Lock()  # guards the two below, but that a call is taken out by its loop, in one step
        self._calls: set[_Running[object]] = set()
        self._closed = False
        at_fork(self)

    def run(self, call: Call[T], called: str) -> T:
        """Run the coroutine that `call` makes, and wait for it in the calling thread; `InsideLoop` in one with a running loop."""
        if running_loop() is not None:
            raise InsideLoop(called)
        waker = ThreadWaker()
        running = _Running(call, waker, self._calls)
        try:
            self._post(running)
            while not waker.sleep(time.monotonic() + _LOOK):
                self._check_loop()
        except BaseException:
            self._give_up(running)  # of Ctrl-C: nobody waits for it any more
            raise
        return running.result()

    async def run_async(self, call: Call[T]) -> T:
        """Run the coroutine that `call` makes, and wait for it on the running event loop, whichever it is."""
        if asyncio.get_running_loop() is self.loop:
            with self._lock:
                self._check_open()
            return await call()
        waker = LoopWaker()
        running = _Running(call, waker, self._calls)
        try:
            self._post(running)
            while not await waker.sleep(time.monotonic() + _LOOK):
                self._check_loop()
        except BaseException:
            self._give_up(running)
            raise
        return running.result()

    def close(self) -> None:
        """Refuse further calls, and end those that are running: they raise `UsedAfterClose`."""
        with self._lock:
            self._closed = True
            calls = list(self._calls)
        for running in calls:
            self._give_up(running)
            running.waker.wake()

    def _post(self, running: _Running[object]) -> None:
        with self._lock:
            self._check_open()
            self._calls.add(running)
            self.call_soon(running.begin)

    def call_soon(self, fn: Callable[[], object]) -> None:
        """Make the loop call a function. Raises `UsedAfterClose` if its owner has closed the loop."""
        try:
            self.loop.call_soon_threadsafe(fn)
        except RuntimeError:
            raise _closed_loop() from None

    def _give_up(self, running: _Running[object]) -> None:
        with suppress(RuntimeError):  # of a loop that is closed, where nothing runs
            self.loop.call_soon_threadsafe(running.give_up)

    def _check_open(self) -> None:
        if self._closed:
            raise UsedAfterClose("the connection is closed: use its values inside of its with block")
        self._check_loop()

    def _check_loop(self) -> None:
        if self.loop.is_closed():
            raise _closed_loop()

    def after_fork_in_child(self) -> None:
        """In a forked child: make every use raise. The loop runs in a thread of the parent."""
        lock, self._lock = self._lock, belongs_to_parent("a connection to a server")
        reset_lock(lock)


class _Running(Generic[Result]):
    """A call: its task in the home's loop, and the waker of who waits for it."""

    def __init__(self, call: Call[Result], waker: Waker, calls: set[_Running[object]]) -> None:
        self.waker = waker
        self._call = call
        self._calls = calls  # it is one of them until it ends
        self._task: asyncio.Task[Result] | None = None
        self._given_up = False
        self._result: tuple[Result] | None = None
        self._error: BaseException | None = None

    def begin(self) -> None:
        """Begin, in the home's loop."""
        if self._given_up:
            self._calls.discard(self)
            return
        self._task = asyncio.create_task(self._call())
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Result]) -> None:
        self._task = None  # its last reference goes here, and not in a thread that may be interrupted
        if not task.cancelled():
            self._error = task.exception()
            if self._error is None:
                self._result = (task.result(),)
        self._calls.discard(self)
        self.waker.wake()

    def give_up(self) -> None:
        """End it, in the home's loop."""
        self._given_up = True
        if self._task is not None:
            self._task.cancel()

    def result(self) -> Result:
        """Return what the coroutine has returned, or raise what it has raised; `UsedAfterClose` if it was ended before that."""
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise UsedAfterClose("the connection was closed during this call: a value that it was to write may be written")
        return self._result[0]


class OwnHome(Home):
    """An event loop in a thread of its own, from the start to `end` or `end_async`."""

    def __init__(self, name: str) -> None:
        super().__init__(asyncio.new_event_loop())
        self._last: Call[None] = _nothing  # what is run when no more calls come
        self._ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self.loop.run_until_complete(self._last())
        finally:
            self.loop.run_until_complete(_end_all())
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()
            self._ended.set_result(None)

    def end(self, last: Call[None]) -> None:
        """Close it, run the coroutine that `last` makes, and end the loop and the thread."""
        self._stop(last)
        self._thread.join()

    async def end_async(self, last: Call[None]) -> None:
        """End it as `end` does, waiting on the event loop; also if the wait is cancelled, which is raised at the end."""
        self._stop(last)
        try:
            await outlast(asyncio.wrap_future(self._ended))
        finally:
            self._thread.join()  # which has nothing left to do

    def _stop(self, last: Call[None]) -> None:
        self.close()
        self._last = last
        self.loop.call_soon_threadsafe(self.loop.stop)


async def _nothing() -> None:
    """Do nothing."""


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_GRACE)


async def end_task(task: asyncio.Task[object]) -> None:
    """Cancel the task and wait for its end. Raises nothing that the task has raised.

    It is cancelled until it ends: the `asyncio.wait_for` of Python 3.11, which clients use, loses a cancellation that comes together
    with what it waits for (https://github.com/python/cpython/issues/81839).
    """
    await outlast(task, cancel=True)


async def outlast(future: asyncio.Future[T], *, cancel: bool = False) -> None:
    """Wait until it has ended, and cancel it again and again if asked for; being cancelled meanwhile is raised at its end."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        if cancel:
            future.cancel()
        try:
            await asyncio.wait((future,), timeout=_AGAIN if cancel else None)
        except asyncio.CancelledError as error:  # of who waits: nobody else would see to the end
            cancelled = error
    with suppress(asyncio.CancelledError):
        future.exception()  # which nobody is told of
    if cancelled is not None:
        raise cancelled


def _closed_loop() -> UsedAfterClose:
    return UsedAfterClose("the event loop of the connection is closed: nothing that is asked of it is answered any more")
