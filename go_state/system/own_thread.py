"""A thread of our own, for what an event loop may not wait for: the calls of a store, the end of a thread.

asyncio's default executor belongs to the user. If all its threads wait for an app, a call that the app makes in it would wait for
them in turn, and neither would ever end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias, TypeVar

from go_state.system.forks import at_fork

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

T = TypeVar("T")
_Outcome: TypeAlias = tuple[Any, BaseException | None]  # what a function of any type has returned, or raised


class _Call(NamedTuple):
    """A function to call, and the future of the event loop that waits for what it returns and what it raises."""

    fn: Callable[[], object]
    context: Context
    loop: asyncio.AbstractEventLoop
    outcome: asyncio.Future[_Outcome]
    unclaimed: list[None]  # of one element: the thread pops it to make the call, the waiting task to drop the call


class OwnThread:
    """Calls functions one after the other in one thread, which is started with the first of them and ends with `aclose`.

    For coroutines of one event loop. A call that has begun is always finished, also when the task that awaits it is cancelled:
    a transaction is done or not done, never abandoned. Only then is the cancellation raised.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()  # None ends the thread
        self._thread: threading.Thread | None = None
        at_fork(self)

    def after_fork_in_child(self) -> None:
        """In a forked child: have no thread, because it is the parent's; the next call starts another."""
        self._thread, self._calls = None, SimpleQueue()

    async def call(self, fn: Callable[[], T], cancel: Callable[[], object] | None = None) -> T:
        """Call the function in the thread, and return what it returns; a cancellation asked for earlier comes first."""
        import asyncio

        await asyncio.sleep(0)  # such a cancellation is raised here, before anything has begun
        return await self._made(fn, cancel, certain=False)

    async def finish(self, fn: Callable[[], T], cancel: Callable[[], object] | None = None) -> T:
        """Call the function in the thread although the task may be about to be cancelled: for what an end has to do.

        `cancel` is called when the task is cancelled, to make a function end soon that itself waits.
        """
        return await self._made(fn, cancel, certain=True)

    async def _made(self, fn: Callable[[], T], cancel: Callable[[], object] | None, *, certain: bool) -> T:
        import asyncio

        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[_Outcome] = loop.create_future()
        self._begin()
        call = _Call(fn, copy_context(), loop, outcome, [None])
        self._calls.put(call)
        cancelled: asyncio.CancelledError | None = None
        while not outcome.done():
            try:
                await asyncio.wait((outcome,))  # which a cancellation ends, and leaves the future as it is
            except asyncio.CancelledError as error:
                cancelled = cancelled or error
                if not certain and _claim(call):
                    raise  # it was still waiting for others' calls, and is not made
                if cancel is not None:
                    cancel()
        result, failure = outcome.result()
        if cancelled is not None:
            raise cancelled
        if failure is not None:
            raise failure
        answer: T = result
        return answer

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=_serve, args=(self._calls,), name=self._name, daemon=True)
            self._thread.start()

    async def aclose(self) -> None:
        """End the thread once it has made the calls it was given, and wait for its end; the next call starts another."""
        thread, calls = self._thread, self._calls
        if thread is None:
            return
        try:
            await self.finish(_do_nothing)  # after all that is still to be called: from here on the end takes no time
        finally:
            if self._thread is thread:
                self._thread, self._calls = None, SimpleQueue()
            calls.put(None)
            thread.join()

    def close(self) -> None:
        """End the thread as `aclose` does, outside of an event loop; called in the thread itself it does not wait for the end."""
        thread, self._thread = self._thread, None
        self._calls, calls = SimpleQueue(), self._calls
        if thread is not None:
            calls.put(None)
            if thread is not threading.current_thread():
                thread.join()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _serve(calls: SimpleQueue[_Call | None]) -> None:
    """Make the calls, in order, until there is None instead of one."""
    while (call := calls.get()) is not None:
        if not _claim(call):
            continue
        result, failure = None, None
        try:
            result = call.context.run(call.fn)
        except BaseException as error:  # whatever it is, it belongs to the task that waits
            failure = error
        with suppress(RuntimeError):  # a closed loop has no task that waits
            call.loop.call_soon_threadsafe(_resolve, call.outcome, (result, failure))
        del call, result, failure  # which this thread would keep alive until the next call


def _claim(call: _Call) -> bool:
    """Return whether the caller may make the call, or drop it: True for the first call, False for every other."""
    try:
        call.unclaimed.pop()
    except IndexError:
        return False
    return True


def _resolve(outcome: asyncio.Future[_Outcome], found: _Outcome) -> None:
    if not outcome.done():
        outcome.set_result(found)


def _do_nothing() -> None:
    """Do nothing, at one's place in the order of the calls."""


async def call_once(fn: Callable[[], T], name: str, cancel: Callable[[], object] | None = None) -> T:
    """Call a function in a thread of its own, which has ended when this returns; it is finished also when the task is cancelled."""
    thread = OwnThread(name)
    try:
        return await thread.finish(fn, cancel)
    finally:
        await thread.aclose()
