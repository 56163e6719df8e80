"""Workers: where calls run that their turn does not wait for. Coroutine functions are tasks, plain ones run in a pool of threads.

Under `run_async` and its like tasks belong to the running event loop; under a thread they run on an event loop of our own, in a
thread that is begun with the first of them and ends with the run. What they come to is told to `news`, from whichever thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from go_state.core.commands import Call, name_of
from go_state.core.errors import MissingExtra, ProgramError
from go_state.runtime.effects.context import effect_name
from go_state.runtime.effects.effect import Effect, under_way
from go_state.runtime.effects.threads import Threads
from go_state.runtime.flow.awaitables import is_awaitable
from go_state.runtime.inside import Part, part_in

if TYPE_CHECKING:
    import asyncio

Told = Callable[..., None]
_MOMENT = 1.0  # second, for an event loop to say that the time is over


class Workers:
    """The tasks and threads of one run."""

    def __init__(self, done: Told, failed: Told, park: Told, *, on_loop: bool, at_once: int) -> None:
        self._done = done  # called with a effect and its result
        self._failed = failed  # with a effect and its exception
        self._park = park  # with a effect, how many seconds it is to wait, and what ends the wait
        self._on_loop = on_loop
        self._at_once = at_once
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._threads: Threads[Effect] | None = None

    # ------------------------------------------------------------------ starting

    def start(self, effect: Effect) -> None:
        """Begin the call of a effect; its `stop` ends it."""
        context = copy_context()
        context.run(effect_name.set, lambda: effect.name)
        context.run(under_way.set, effect)
        part = part_in(context, self)
        if effect.command.thread:
            self._start_in_thread(effect, part, context)
        else:
            self.spawn(effect, lambda: self._fly(effect, part), context)

    def spawn(self, effect: Any, work: Callable[[], Any], context: Context) -> None:
        """Begin a task, and have the effect's `stop` end it."""
        loop = self._loop or self._open_loop()
        made: list[asyncio.Task[None]] = []

        def create() -> None:
            if effect.over:
                return
            task = loop.create_task(work(), context=context)
            made.append(task)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        def end() -> None:
            for task in made:
                task.cancel()

        if self._on_loop:
            effect.stop = end
            create()
        else:
            effect.stop = lambda: loop.call_soon_threadsafe(end)
            loop.call_soon_threadsafe(create)

    def call(self, function: Callable[[], object]) -> None:
        """Have the function called on the event loop of the tasks."""
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

    def _start_in_thread(self, effect: Effect, part: Part, context: Context) -> None:
        if self._threads is None:
            self._threads = Threads(self._at_once)
        threads = self._threads

        def stop() -> None:
            threads.forget(effect)  # one that has begun cannot be ended, and is not listened to any more
            if effect.unpark is not None:
                effect.unpark()

        effect.stop = stop
        threads.begin(effect, lambda: context.run(self._call, effect, part))

    # ------------------------------------------------------------------ in the task or thread

    async def _fly(self, effect: Effect, part: Part) -> None:
        import asyncio

        try:
            result = await self._tried(effect, part)
        except asyncio.CancelledError as error:
            if effect.over:
                raise
            self._failed(effect, unasked(error, name_of(effect.command.fn), "Cmd.cancel"))
        except BaseException as error:
            self._failed(effect, error)
        else:
            self._done(effect, result)

    async def _tried(self, effect: Effect, part: Part) -> Any:
        try:
            return await self._with_tries(effect)
        finally:
            part.over = True  # what it has begun and left to itself is none of the run's any more

    async def _with_tries(self, effect: Effect) -> Any:
        command = effect.command
        if command.retry is None:
            return await self._once(effect)

        async def sleep(seconds: float) -> None:
            import asyncio

            loop = asyncio.get_running_loop()
            over = asyncio.Event()
            self._park(effect, seconds, lambda: loop.call_soon_threadsafe(over.set))
            await over.wait()
            if effect.over:
                raise asyncio.CancelledError

        tenacity = _tenacity()
        return await tenacity.AsyncRetrying(sleep=sleep, **_tries(tenacity, command.retry))(self._once, effect)

    async def _once(self, effect: Effect) -> Any:
        command = effect.command
        coroutine, effect.coroutine = effect.coroutine, None
        result = command.fn(*command.args) if coroutine is None else coroutine
        check_kind(command, result)
        return await result

    def _call(self, effect: Effect, part: Part) -> None:
        try:
            result = self._tried_in_thread(effect, part)
        except BaseException as error:
            self._failed(effect, error)
        else:
            self._done(effect, result)

    def _tried_in_thread(self, effect: Effect, part: Part) -> Any:
        try:
            return self._with_tries_in_thread(effect)
        finally:
            part.over = True

    def _with_tries_in_thread(self, effect: Effect) -> Any:
        command = effect.command
        if command.retry is None:
            return self._once_in_thread(effect)

        def sleep(seconds: float) -> None:
            from concurrent.futures import CancelledError

            over = threading.Event()
            effect.unpark = over.set
            if effect.over:
                raise CancelledError
            self._park(effect, seconds, over.set)
            over.wait()
            if effect.over:
                raise CancelledError

        tenacity = _tenacity()
        return tenacity.Retrying(sleep=sleep, **_tries(tenacity, command.retry))(self._once_in_thread, effect)

    @staticmethod
    def _once_in_thread(effect: Effect) -> Any:
        command = effect.command
        result = command.fn(*command.args)
        check_kind(command, result)
        return result

    # ------------------------------------------------------------------ ending

    def close(self, seconds: float) -> None:
        """Wait up to so many seconds for what was told to stop, and let go of the loop and the threads that are our own."""
        if self._thread is not None and self._loop is not None:
            import asyncio

            ending = asyncio.run_coroutine_threadsafe(self._end_tasks(seconds), self._loop)
            with suppress(TimeoutError):  # a task that blocks the loop: its daemon thread is left
                ending.result(min(seconds + 2 * _MOMENT, threading.TIMEOUT_MAX))
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()
        if self._threads is not None:
            self._threads.wait(seconds)

    async def aclose(self, seconds: float) -> None:
        """Wait as `close` does, on the event loop."""
        await self._wait_for_tasks(seconds)
        if self._threads is not None:
            await self._threads.wait_async(seconds)

    async def _wait_for_tasks(self, seconds: float) -> None:
        import asyncio

        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)
            await asyncio.sleep(0)  # for their done callbacks

    async def _end_tasks(self, seconds: float) -> None:
        """Wait for tasks on a loop of our own, and end those that commands have begun by themselves, as asyncio.run does."""
        import asyncio

        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        await self._wait_for_tasks(seconds)
        ours = {asyncio.current_task(), *self._tasks}
        while others := asyncio.all_tasks() - ours:
            for task in others:
                task.cancel()
            _, pending = await asyncio.wait(others, timeout=max(until - loop.time(), 0))
            self._tasks |= pending  # to be told of
            ours |= pending
            if loop.time() >= until:  # those that begin others whenever they are ended have no end
                self._tasks |= asyncio.all_tasks() - ours
                break
        with suppress(TimeoutError):
            async with asyncio.timeout(max(until - loop.time(), _MOMENT)):
                await loop.shutdown_asyncgens()

    def left(self) -> Iterable[str]:
        """Return what did not end."""
        tasks = [task.get_coro().__qualname__ for task in tuple(self._tasks) if not task.done()]  # type: ignore[union-attr]
        calls = [] if self._threads is None else [name_of(effect.command.fn) for effect in self._threads.busy()]
        return [*tasks, *calls]


def check_kind(command: Call[Any], result: Any) -> None:
    """Raise `ProgramError` where what the function has returned shows that it cannot be called as the command says."""
    awaitable = is_awaitable(result)
    if awaitable and command.thread:
        if hasattr(result, "close"):
            result.close()
        raise ProgramError(f"{name_of(command.fn)} is a coroutine function: leave thread=True out, it is a task")
    if not awaitable and not command.thread and (command.timeout is not None or command.retry is not None):
        raise ProgramError(
            f"{name_of(command.fn)} is a plain function, which cannot be interrupted: for a timeout or a "
            f"retry give Cmd.call thread=True, or make it a coroutine function"
        )


def unasked(error: BaseException, what: str, ends_it: str) -> BaseException:
    """Return what a CancelledError counts as in a task that we have not cancelled: somebody else has, or nobody."""
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


def _tries(tenacity: Any, retry: Any) -> dict[str, Any]:
    """Return tenacity's arguments for our retry."""
    return {
        "stop": tenacity.stop_after_attempt(retry.attempts),
        "wait": tenacity.wait_exponential(multiplier=retry.wait, max=retry.longest) + tenacity.wait_random(0, retry.jitter),
        "retry": tenacity.retry_if_exception_type(retry.on),
        "reraise": True,
    }
