"""The executor: where effects run, and are tried again: coroutine functions as tasks, plain ones with `thread=True` in threads.

Under `run_async` and its like tasks belong to the running event loop; under a thread they run on an event loop of their own, in a
thread that is started with the first of them and ends with the run. What they come to is posted in the inbox, from whichever thread.

    start ──▶ task: _run, or thread: _call ──▶ the function, with its tries ──▶ Done or Failed in the inbox
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Hashable, Iterable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from go_state.core.call_options import Retry
from go_state.core.commands import Call, name_of
from go_state.core.errors import MissingExtra, ProgramError
from go_state.runtime.context import current
from go_state.runtime.effects.inbox import Arrival, Failed, Inbox, Parked, done
from go_state.runtime.effects.scheduler import Effect
from go_state.runtime.flow.awaitables import is_awaitable
from go_state.runtime.inside import parts
from go_state.runtime.raised import is_cancellation
from go_state.system.threads import Threads

if TYPE_CHECKING:
    import asyncio

_MOMENT = 1.0  # second, for an event loop to say that the time is over


Work: TypeAlias = Callable[[], Coroutine[object, object, None]]


class Owner(Hashable, Protocol):
    """What a task runs for: an effect, or a subscription."""

    over: bool


class Executor(Protocol):
    """Where the effects of a run are executed: as tasks and in threads, or, in a test's harness, in the test's own hands."""

    def start(self, effect: Effect) -> None:
        """Begin the call of an effect; what it comes to is posted in the inbox."""
        ...

    def spawn(self, owner: Owner, work: Work) -> None:
        """Begin a task, unless the owner is over by then."""
        ...

    def forget(self, owner: Owner) -> None:
        """Called by the last step of a task that was spawned for the owner."""
        ...

    def stop(self, owner: Owner) -> None:
        """End what was begun for the owner, which is over, as far as it can be ended; do not wait for it."""
        ...

    def call(self, function: Callable[[], object]) -> None:
        """Call the function on the event loop of the tasks, soon."""
        ...

    def close(self, seconds: float) -> None:
        """Wait up to `seconds` for what was told to stop, and let go of everything else."""
        ...

    async def close_async(self, seconds: float) -> None:
        """Wait as `close` does, on the event loop."""
        ...

    def left(self) -> Iterable[str]:
        """Return the names of what has not ended."""
        ...


class Workers:
    """The tasks and threads of one run."""

    def __init__(self, inbox: Inbox, *, on_loop: bool, at_once: int) -> None:
        self._inbox = inbox
        self._on_loop = on_loop
        self._at_once = at_once
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._post = inbox.post_on_loop if on_loop else inbox.post  # what a task of ours brings
        self._tasks: dict[Owner, asyncio.Task[None]] = {}
        self._stray: set[asyncio.Task[object]] = set()  # begun by commands themselves, on the loop that is ours, and not ended
        self._threads: Threads[Effect] | None = None
        self._sleeping: dict[Effect, Callable[[], object]] = {}  # threads that wait for their next try, and what ends the wait

    # ------------------------------------------------------------------ starting

    def start(self, effect: Effect) -> None:
        """Begin the call of an effect."""
        if effect.coroutine is None and effect.call.how.thread:
            if self._threads is None:
                self._threads = Threads(self._at_once)
            context = copy_context()
            self._threads.begin(effect, lambda: context.run(self._call, effect))
        elif self._on_loop:
            loop = self._loop or self._open_loop()
            task = loop.create_task(self._run(effect))
            if not task.done():  # with an eager task factory it may have come to its end by now
                self._tasks[effect] = task
        else:
            self.spawn(effect, partial(self._run, effect))

    def spawn(self, owner: Owner, work: Work) -> None:
        """Begin a task in a copy of the caller's context."""
        loop = self._loop or self._open_loop()
        if self._on_loop:
            self._create(loop, owner, work)
        else:
            loop.call_soon_threadsafe(self._create, loop, owner, work)

    def _create(self, loop: asyncio.AbstractEventLoop, owner: Owner, work: Work) -> None:
        if not owner.over:
            task = loop.create_task(work())
            if not task.done():
                self._tasks[owner] = task

    def call(self, function: Callable[[], object]) -> None:
        """Call the function on the event loop of the tasks."""
        loop = self._loop or self._open_loop()
        loop.call_soon_threadsafe(function)

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        import asyncio

        if self._on_loop:
            self._loop = asyncio.get_running_loop()
        else:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="go_state effects", daemon=True)
            self._thread.start()
        return self._loop

    def forget(self, owner: Owner) -> None:
        """Called on the event loop by the last step of an owner's task."""
        self._tasks.pop(owner, None)

    # ------------------------------------------------------------------ stopping

    def stop(self, owner: Owner) -> None:
        """Cancel a task. A thread cannot be ended: what it brings is ignored, and a wait for its next try ends at once."""
        if isinstance(owner, Effect) and owner.call.how.thread:
            if self._threads is not None:
                self._threads.forget(owner)
            if (go_on := self._sleeping.pop(owner, None)) is not None:
                go_on()
        elif self._on_loop:
            self._cancel(owner)
        elif self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel, owner)

    def _cancel(self, owner: Owner) -> None:
        task = self._tasks.get(owner)
        if task is not None:
            task.add_done_callback(lambda _: self.forget(owner))  # it may never come to its last step, or even to its first
            task.cancel()

    # ------------------------------------------------------------------ in the task or thread

    async def _run(self, effect: Effect) -> None:
        effect.run = self
        parts.set((*parts.get(), effect))
        current.set(effect)
        coroutine: Any = effect.coroutine
        effect.coroutine = None
        arrival: Arrival
        try:
            arrival = done((effect, await (self._tried(effect) if coroutine is None else coroutine)))
        except BaseException as error:
            if not is_cancellation(error):
                arrival = Failed(effect, error)
            elif effect.over:
                raise
            else:
                arrival = Failed(effect, unasked(error, name_of(effect.call.fn), "Cmd.cancel"))
        finally:
            effect.run = None  # a task that the command has begun and left behind is not a part of the run any more
            self._tasks.pop(effect, None)
        self._post(arrival)

    async def _tried(self, effect: Effect) -> object:
        retry = effect.call.how.retry
        if retry is None:
            return await _once(effect.call)

        async def sleep(seconds: float) -> None:
            import asyncio

            loop = asyncio.get_running_loop()
            over = asyncio.Event()
            self._inbox.post(Parked(effect, seconds, lambda: loop.call_soon_threadsafe(over.set)))
            await over.wait()
            if effect.over:
                raise asyncio.CancelledError

        tenacity = _tenacity()
        return await tenacity.AsyncRetrying(sleep=sleep, **_tries(tenacity, retry))(_once, effect.call)

    def _call(self, effect: Effect) -> None:
        effect.run = self
        parts.set((*parts.get(), effect))
        current.set(effect)
        arrival: Arrival
        try:
            arrival = done((effect, self._tried_in_thread(effect)))
        except BaseException as error:
            arrival = Failed(effect, error)
        effect.run = None
        self._inbox.post(arrival)

    def _tried_in_thread(self, effect: Effect) -> object:
        retry = effect.call.how.retry
        if retry is None:
            return _once_in_thread(effect.call)

        def sleep(seconds: float) -> None:
            from concurrent.futures import CancelledError

            over = threading.Event()
            self._sleeping[effect] = over.set  # before the look: `stop` ends the wait, or the look sees that it was stopped
            if not effect.over:
                self._inbox.post(Parked(effect, seconds, over.set))
                over.wait()
            self._sleeping.pop(effect, None)
            if effect.over:
                raise CancelledError

        tenacity = _tenacity()
        return tenacity.Retrying(sleep=sleep, **_tries(tenacity, retry))(_once_in_thread, effect.call)

    # ------------------------------------------------------------------ ending

    def close(self, seconds: float) -> None:
        """Wait up to `seconds` for what was told to stop, and let go of the loop and the threads that are our own."""
        if self._thread is not None and self._loop is not None and self._thread.is_alive():  # Ctrl-C may come before its start
            import asyncio

            ending = asyncio.run_coroutine_threadsafe(self._end_tasks(seconds), self._loop)
            with suppress(TimeoutError):  # a task that blocks the loop: its daemon thread is left
                ending.result(min(seconds + 2 * _MOMENT, threading.TIMEOUT_MAX))
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()
        if self._threads is not None:
            self._threads.wait(seconds)

    async def close_async(self, seconds: float) -> None:
        """Wait as `close` does, on the event loop."""
        await self._wait_for_tasks(seconds)
        if self._threads is not None:
            await self._threads.wait_async(seconds)

    async def _wait_for_tasks(self, seconds: float) -> None:
        import asyncio

        if self._tasks:
            await asyncio.wait(set(self._tasks.values()), timeout=seconds)
            await asyncio.sleep(0)  # for their done callbacks

    async def _end_tasks(self, seconds: float) -> None:
        """Wait for tasks on a loop of our own, and end those that commands have begun by themselves, as asyncio.run does."""
        import asyncio

        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        await self._wait_for_tasks(seconds)
        ours = {asyncio.current_task(), *self._tasks.values()}
        while others := asyncio.all_tasks() - ours:
            for task in others:
                task.cancel()
            _, pending = await asyncio.wait(others, timeout=max(until - loop.time(), 0))
            self._stray |= pending  # to be warned of
            ours |= pending
            if loop.time() >= until:  # those that begin others whenever they are ended have no end
                self._stray |= asyncio.all_tasks() - ours
                break
        with suppress(TimeoutError):
            async with asyncio.timeout(max(until - loop.time(), _MOMENT)):
                await loop.shutdown_asyncgens()

    def left(self) -> Iterable[str]:
        """Return the names of what has not ended."""
        tasks = (*self._tasks.values(), *self._stray)
        names = [task.get_coro().__qualname__ for task in tasks if not task.done()]  # type: ignore[union-attr]
        calls = [] if self._threads is None else [name_of(effect.call.fn) for effect in self._threads.busy()]
        return [*names, *calls]


async def _once(command: Call[object]) -> object:
    result = command.fn(*command.args)
    check_kind(command, result)
    return await result


def _once_in_thread(command: Call[object]) -> object:
    result = command.fn(*command.args)
    check_kind(command, result)
    return result


def check_kind(command: Call[object], result: object) -> None:
    """Raise `ProgramError` if what the function has returned shows that it cannot be called as the command says."""
    awaitable = is_awaitable(result)
    if awaitable and command.how.thread:
        close = getattr(result, "close", None)
        if close is not None:
            close()
        raise ProgramError(f"{name_of(command.fn)} is a coroutine function: leave thread=True out, it is a task")
    if not awaitable and not command.how.thread and command.how.goes_on:
        raise ProgramError(
            f"{name_of(command.fn)} is a plain function, which cannot be interrupted: for a timeout or a "
            f"retry give Cmd.call thread=True, or make it a coroutine function"
        )


def unasked(error: BaseException, what: str, ends_it: str) -> BaseException:
    """Return what a CancelledError counts as in a task that the run has not cancelled: somebody else has, or nobody."""
    import asyncio

    task = asyncio.current_task()
    if task is None or not task.cancelling():
        return error  # it was raised, as any other
    failure = ProgramError(f"{what} was cancelled, and not by {ends_it}: let it return instead")
    failure.__cause__ = error
    return failure


def _tenacity() -> Any:
    try:
        import tenacity
    except ImportError:
        raise MissingExtra("retry", "the retry= of a command") from None
    return tenacity


def _tries(tenacity: Any, retry: Retry) -> dict[str, Any]:
    """Return tenacity's arguments for our retry."""
    return {
        "stop": tenacity.stop_after_attempt(retry.attempts),
        "wait": tenacity.wait_exponential(multiplier=retry.wait, max=retry.longest) + tenacity.wait_random(0, retry.jitter),
        "retry": tenacity.retry_if_exception_type(retry.on),
        "reraise": True,
    }
