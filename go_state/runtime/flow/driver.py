"""The two drivers of flows, one for threads and one for event loops, and the checks for which of them can be used here."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from go_state.core.errors import InsideLoop, UsageError
from go_state.runtime.flow.waits import Flow
from go_state.runtime.raised import as_failure, is_cancellation
from go_state.system.running import running_loop, running_task

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


def drive(flow: Flow[T]) -> T:
    """Run the flow in the calling thread and return its result; raises what it raises."""
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
    """Run the flow on the running event loop; a cancellation is raised in the flow at the wait it is in."""
    cancelled, task = False, running_task()
    try:
        wait = next(flow)
        while True:
            try:
                answer = await wait.on_loop()
            except BaseException as error:
                was_cancelled = _was_cancelled(error, task)
                cancelled = cancelled or was_cancelled  # it still counts if the flow ends by the failure of a later wait
                wait = flow.throw(error if was_cancelled else as_failure(error))
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


def _was_cancelled(error: BaseException, task: asyncio.Task[object] | None) -> bool:
    """Return whether somebody has cancelled the task, or closed its coroutine, so that what it awaited has raised this."""
    if isinstance(error, GeneratorExit):
        return task is None or running_task() is not task  # a task cannot close the coroutine that it is running
    return is_cancellation(error) and (task is None or task.cancelling() > 0)


def refuse_running_loop(called: str, instead: str | None = None) -> None:
    """Raise `InsideLoop` if this thread is running an event loop, which a blocking mode would stop; it names what to use there."""
    if running_loop() is not None:
        raise InsideLoop(called, instead)


def require_running_loop(called: str, otherwise: str) -> None:
    """Raise `UsageError` if no event loop is running in this thread, in which a task could be made."""
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            f"{called}() begins tasks of the running event loop, and none is running in this thread: call it inside a coroutine, "
            f"or use {otherwise}()"
        ) from None
