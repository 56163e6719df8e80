"""A thread of our own, for what an event loop may not wait for: the calls of a store, the end of a thread.

asyncio's default executor belongs to the user. If all its threads wait for an app, a call that the app makes in it would wait for
them in turn, and neither would ever end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

from go_state.system.forks import at_fork
from go_state.system.running import running_task

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

T = TypeVar("T")
_Outcome: TypeAlias = tuple[Any, BaseException | None]  # what a function of any type has returned, or raised


Share: TypeAlias = Callable[[list[Any]], object]  # Any: of what the calls yield that it is for
"""Does, for several calls at once, what they have yielded."""

_MOST = 256  # calls that wait for each other


class Stepwise:
    """A function, and the same in steps: each yields something to be done, which a thread may do for several calls at once."""

    __slots__ = ("fn", "steps")

    def __init__(self, fn: Callable[[], object], steps: Callable[[], Generator[object, None, object]]) -> None:
        self.fn = fn
        self.steps = steps

    def __call__(self) -> object:
        """Call the function alone."""
        return self.fn()


class _Call:
    """A function to call, and the task that waits for what it returns or raises."""

    __slots__ = ("answered", "context", "fn", "loop", "outcome", "unclaimed")

    def __init__(self, fn: Callable[[], object], loop: asyncio.AbstractEventLoop) -> None:
        self.fn = fn
        self.context = copy_context()
        self.loop = loop
        self.unclaimed: list[None] = [None]  # the thread pops it to make the call, the waiting task to drop the call
        self.outcome: _Outcome | None = None  # set on the event loop
        self.answered: asyncio.Future[None] = (
            loop.create_future()
        )  # for which the task waits; one that was cancelled is replaced

    def resolve(self, outcome: _Outcome) -> None:
        """Note the outcome and wake the task; called on the event loop."""
        self.outcome = outcome
        if not self.answered.done():
            self.answered.set_result(None)


class OwnThread:
    """Calls functions one after the other in one thread, which is started with the first of them and ends with `aclose`.

    With `share`, calls that are `Stepwise` wait for each other: what all of them yield is shared.
    For coroutines of one event loop. A call that has begun is always finished, also when the task that awaits it is cancelled:
    a transaction is done or not done, never abandoned. Only then is the cancellation raised.
    """

    def __init__(self, name: str, *, share: Share | None = None) -> None:
        self._name = name
        self._share = share
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()  # None ends the thread
        self._thread: threading.Thread | None = None

    def after_fork_in_child(self) -> None:
        """In a forked child: have no thread, because it is the parent's; the next call starts another."""
        self._thread, self._calls = None, SimpleQueue()

    async def call(self, fn: Callable[[], T], cancel: Callable[[], object] | None = None) -> T:
        """Call the function in the thread, and return what it returns; a cancellation asked for earlier comes first."""
        task = running_task()
        if task is not None and task.cancelling():
            await _next_step()  # such a cancellation is raised here, before anything has begun
        return await self._made(fn, cancel, certain=False)

    async def finish(self, fn: Callable[[], T], cancel: Callable[[], object] | None = None) -> T:
        """Call the function in the thread although the task may be about to be cancelled: for what an end has to do.

        `cancel` is called when the task is cancelled, to make a function end soon that itself waits.
        """
        return await self._made(fn, cancel, certain=True)

    async def _made(self, fn: Callable[[], T], cancel: Callable[[], object] | None, *, certain: bool) -> T:
        import asyncio

        call = _Call(fn, asyncio.get_running_loop())
        self._begin()
        self._calls.put(call)
        cancelled: asyncio.CancelledError | None = None
        while call.outcome is None:
            try:
                # A future of our own, with which a cancellation does away. asyncio.wait around it would cost more than the rest.
                await call.answered
            except asyncio.CancelledError as error:
                cancelled = cancelled or error
                if not certain and _claim(call):
                    raise  # it was still waiting for others' calls, and is not made
                if cancel is not None:
                    cancel()
                call.answered = call.loop.create_future()
        result, failure = call.outcome
        if cancelled is not None:
            raise cancelled
        if failure is not None:
            raise failure
        answer: T = result
        return answer

    def _begin(self) -> None:
        if self._thread is None:
            at_fork(self)  # not before: most objects that could need a thread never do
            self._thread = threading.Thread(target=_serve, args=(self._calls, self._share), name=self._name, daemon=True)
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


def _serve(calls: SimpleQueue[_Call | None], share: Share | None) -> None:
    """Make the calls until there is None instead of one: in order, but for those in steps, which wait for each other."""
    while (call := calls.get()) is not None:
        if share is None or not isinstance(call.fn, Stepwise):
            _make(call)
            continue
        together, is_last = [call], False
        while len(together) < _MOST and not calls.empty():
            following = calls.get()
            if following is None:
                is_last = True
                break
            if isinstance(following.fn, Stepwise):
                together.append(following)
                continue
            if following.fn is _do_nothing:  # whose caller waits for all that was called before it
                _make_together(together, share)
                together = []
            _make(following)
        _make_together(together, share)
        del together, call  # which this thread would keep alive until the next call
        if is_last:
            return


def _make(call: _Call) -> None:
    if not _claim(call):
        return
    result, failure = None, None
    try:
        result = call.context.run(call.fn)
    except BaseException as error:  # whatever it is, it belongs to the task that waits
        failure = error
    _resolve_all([(call, (result, failure))])


def _make_together(calls: Sequence[_Call], share: Share) -> None:
    """Make calls in steps: of all of them what comes before a write, the writes in one, and what comes after them."""
    going = [(call, call.context.run(call.fn.steps)) for call in calls if isinstance(call.fn, Stepwise) and _claim(call)]
    while going:
        wait: list[tuple[_Call, Generator[object, None, object], object]] = []
        over: list[tuple[_Call, _Outcome]] = []
        for call, steps in going:
            try:
                wait.append((call, steps, call.context.run(next, steps)))
            except StopIteration as end:
                over.append((call, (end.value, None)))
            except BaseException as error:
                over.append((call, (None, error)))
        _resolve_all(over)
        going = [(call, steps) for call, steps, _ in wait]
        if wait:
            try:
                share([job for _, _, job in wait])
            except BaseException as error:  # of a job, such as SystemExit: what became of the others nobody knows
                _resolve_all([(call, (None, _thrown(call, steps, error))) for call, steps in going])
                return


def _thrown(call: _Call, steps: Generator[object, None, object], error: BaseException) -> BaseException:
    """End steps by the error, so that they let go of their locks, and return what they have raised."""
    try:
        call.context.run(steps.throw, error)
    except BaseException as raised:
        return raised
    steps.close()
    return error


def _resolve_all(over: Sequence[tuple[_Call, _Outcome]]) -> None:
    """Tell the tasks that wait, those of one event loop all at once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Call, _Outcome]]] = {}
    for call, outcome in over:
        by_loop.setdefault(call.loop, []).append((call, outcome))
    for loop, outcomes in by_loop.items():
        with suppress(RuntimeError):  # a closed loop has no task that waits
            loop.call_soon_threadsafe(_resolve, outcomes)


def _claim(call: _Call) -> bool:
    """Return whether the caller may make the call, or drop it: True for the first call, False for every other."""
    try:
        call.unclaimed.pop()
    except IndexError:
        return False
    return True


def _resolve(outcomes: Sequence[tuple[_Call, _Outcome]]) -> None:
    for call, outcome in outcomes:
        call.resolve(outcome)


async def _next_step() -> None:
    import asyncio

    await asyncio.sleep(0)


def _do_nothing() -> None:
    """Do nothing, at one's place in the order of the calls."""


async def call_once(fn: Callable[[], T], name: str, cancel: Callable[[], object] | None = None) -> T:
    """Call a function in a thread of its own, which has ended when this returns; it is finished also when the task is cancelled."""
    thread = OwnThread(name)
    try:
        return await thread.finish(fn, cancel)
    finally:
        await thread.aclose()
