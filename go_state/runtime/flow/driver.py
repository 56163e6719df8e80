"""Two ways to wait for one algorithm.

A mode is a plain generator, a *flow*: it computes, and whenever it has to wait it yields a `Wait` that says for what. `drive`
fulfils each wait by blocking its thread, `drive_async` by awaiting. The flow is the same for both and knows neither.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator
from types import CoroutineType, GeneratorType
from typing import Any, Protocol, TypeAlias, TypeVar

from go_state.core.errors import InsideLoop, UsageError
from go_state.core.ports import Reader
from go_state.runtime.raised import as_failure, is_cancellation
from go_state.system.own_thread import OwnThread
from go_state.system.running import running_loop, running_task

T = TypeVar("T")


def is_awaitable(result: object) -> bool:
    """Tell whether what somebody's function returned is to be awaited."""
    kind = type(result)
    if kind is GeneratorType:
        return inspect.isawaitable(result)  # of the old kind, made by types.coroutine
    return kind is CoroutineType or hasattr(kind, "__await__")  # what inspect looks for as well, at a quarter of the cost


class Wait(Protocol):
    """Something a flow waits for."""

    def in_thread(self) -> Any:
        """Block until it is there and return it."""
        ...

    async def on_loop(self) -> Any:
        """Await it and return it."""
        ...


Flow: TypeAlias = Generator[Wait, Any, T]
"""A generator that yields waits, is sent what they bring, and returns a `T`."""


def drive(flow: Flow[T]) -> T:
    """Run the flow in the calling thread."""
    try:
        wait = next(flow)
        while True:
            try:
                answer = wait.in_thread()
            except BaseException as error:
                wait = flow.throw(as_failure(error))
            else:
                wait = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    except BaseException as error:
        raise as_failure(error)  # noqa: B904  - it has its cause, or is the error itself
    finally:
        flow.close()


async def drive_async(flow: Flow[T]) -> T:
    """Run the flow on the running event loop; a cancellation reaches it at the wait it is in."""
    cancelled, task = False, running_task()
    try:
        wait = next(flow)
        while True:
            try:
                answer = await wait.on_loop()
            except BaseException as error:
                asked = _was_cancelled(error, task)
                cancelled = cancelled or asked  # also where a wait fails by which the flow makes an end of it
                wait = flow.throw(error if asked else as_failure(error))
            else:
                wait = flow.send(answer)
    except StopIteration as end:
        result: T = end.value
        return result
    except BaseException as error:
        if cancelled and (is_cancellation(error) or isinstance(error, GeneratorExit)):
            raise
        raise as_failure(error)  # noqa: B904  - it has its cause, or is the error itself
    finally:
        flow.close()


def _was_cancelled(error: BaseException, task: Any) -> bool:
    """Tell whether somebody has cancelled the task, or closed its coroutine, so that what it awaited has raised this."""
    if isinstance(error, GeneratorExit):
        return task is None or running_task() is not task  # a task cannot close the coroutine that it is running
    return is_cancellation(error) and (task is None or task.cancelling() > 0)


def refuse_running_loop(called: str, instead: str | None = None) -> None:
    """Raise `InsideLoop` when this thread is running an event loop, which a blocking mode would stop; it names what to use there."""
    if running_loop() is not None:
        raise InsideLoop(called, instead)


def require_running_loop(called: str, otherwise: str) -> None:
    """Raise `UsageError` when no event loop is running in this thread, in which a task could be made."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            f"{called}() begins tasks of the running event loop, and none is running in this thread: call it inside a coroutine, "
            f"or use {otherwise}()"
        ) from None


class Messages:
    """Wait until the reader has something to take; `TimedOut` after so many seconds."""

    __slots__ = ("_reader", "_timeout")

    def __init__(self, reader: Reader[Any], timeout: float | None = None) -> None:
        self._reader = reader
        self._timeout = timeout

    def in_thread(self) -> None:
        self._reader.wait(self._timeout)

    async def on_loop(self) -> None:
        await self._reader.wait_async(self._timeout)


class Answer:
    """Wait for what a call to somebody's port returned, if it has to be waited for at all."""

    __slots__ = ("_called", "_returned")

    def __init__(self, returned: Any, called: str) -> None:
        self._returned = returned
        self._called = called

    def in_thread(self) -> Any:
        if inspect.isawaitable(self._returned):
            close = getattr(self._returned, "close", None)
            if close is not None:  # a coroutine: nobody will await it
                close()
            raise UsageError(
                f"{self._called} returned an awaitable, which needs an event loop: use the `_async` twin of this mode"
            )
        return self._returned

    async def on_loop(self) -> Any:
        return await self._returned if inspect.isawaitable(self._returned) else self._returned


CHECKPOINT_SECONDS = 0.002  # how long an event loop may be kept from its other tasks, plus the one turn that is under way


class Checkpoint:
    """Give other tasks of the event loop their turn."""

    __slots__ = ()

    def in_thread(self) -> None:
        """Do nothing: other threads need no leave."""

    async def on_loop(self) -> None:
        import asyncio

        await asyncio.sleep(0)


class Blocking:
    """Wait for a function that blocks, such as a transaction: on an event loop it is called in a thread of our own.

    Cancelled meanwhile, the wait ends only when the function has: a transaction is done or not done, never abandoned. `cancel` is
    called then, to have a function end soon that itself waits. A wait that is `certain` calls the function also where a cancellation
    was asked for before it: an end has to be made.
    """

    __slots__ = ("_cancel", "_certain", "_fn", "_thread")

    def __init__(
        self, fn: Callable[[], Any], thread: OwnThread, *, certain: bool = False, cancel: Callable[[], object] | None = None
    ) -> None:
        self._fn = fn
        self._thread = thread
        self._certain = certain
        self._cancel = cancel

    def in_thread(self) -> Any:
        return self._fn()

    async def on_loop(self) -> Any:
        if self._certain:
            return await self._thread.finish(self._fn, self._cancel)
        return await self._thread.call(self._fn, self._cancel)


class Raised:
    """An exception on its way from a task or thread to whoever waits for its result."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


def result_of(outcome: Any) -> Any:
    """Return what a task or thread has brought, or raise what it has failed with."""
    if type(outcome) is Raised:
        raise outcome.error
    return outcome


async def awaited(value: Awaitable[Any]) -> Any:
    """Await anything as a coroutine, which is what a task is made of; its outcome is for `result_of`."""
    try:
        return await value
    except (KeyboardInterrupt, SystemExit) as error:  # a task would raise it out of its event loop
        return Raised(error)
