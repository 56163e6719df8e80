"""Leaving the block of an app: a wait for its end that nothing cuts short, because nothing of the app may run afterwards.

What interrupts the wait, such as Ctrl-C or a cancellation, makes the app end at its next turn, and is raised once all is over. What the
app has failed with is raised then, too, or added to the error that the block is left with.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from go_state.core.errors import InsideLoop
from go_state.modes.app.hosts.host import Host
from go_state.modes.app.life import Life
from go_state.runtime.flow.driver import refuse_running_loop
from go_state.runtime.raised import is_cancellation

Msg = TypeVar("Msg")

_MOMENT = 1.0  # second, for which leaving a block by mistake may stop an event loop, so that it leaves no thread behind


def leave(life: Life[Msg], host: Host, error: BaseException | None) -> None:
    """End the app and wait for its end; by an error it ends at its next turn. Raises what has interrupted the wait."""
    if not _may_wait(life, error):
        return
    try:
        refuse_running_loop("leaving the block of an app", "async with")
    except InsideLoop:
        life.ask_to_end(drain=False)
        host.join(_MOMENT)
        if error is None:
            raise
        return

    def end() -> None:
        life.ask_to_end(drain=error is None)
        life.observers.ended.watch().get()
        host.join()

    try:
        outlast(end, life.end_at_next_turn)
    except BaseException as interruption:
        raise_failure(life, interruption)
        raise


async def leave_async(life: Life[Msg], error: BaseException | None) -> None:
    """End the app and wait for its end as `leave` does, on the event loop."""
    if not _may_wait(life, error):
        return
    ended = life.observers.ended
    life.ask_to_end(drain=error is None)
    try:
        await outlast_async(lambda: ended.watch().get_async(), lambda: ended.version, life.end_at_next_turn)
    except BaseException as interruption:
        raise_failure(life, interruption)
        raise


def raise_failure(life: Life[Msg], error: BaseException | None) -> None:
    """Raise what the app has failed with, or add it to the error that the block is left with."""
    failure = life.error
    if failure is None or failure is error:
        return
    if error is None or is_cancellation(error):  # which a timeout or a scope is going to swallow, and the note with it
        raise failure.with_traceback(life.trace)
    error.add_note(f"the app had failed as well: {type(failure).__qualname__}: {failure}")


def _may_wait(life: Life[Msg], error: BaseException | None) -> bool:
    """Return whether the end can be waited for; if it waits for the caller, ask for it, and raise `UsageError` without an error."""
    if not life.is_part():
        return True
    life.ask_to_end(drain=error is None)
    if error is None:
        life.check_may_wait_for_end("leaving the block of an app")
    return False


def outlast(wait: Callable[[], object], hasten: Callable[[], object]) -> None:
    """Block until `wait()` returns; each time it is interrupted, call `hasten()` and wait again. Raises what has interrupted it then."""

    def hastened() -> None:
        hasten()
        wait()

    try:
        wait()
    except BaseException:  # of a signal's handler, which may run here once more, as it may anywhere in the main thread
        outlast(hastened, hasten)
        raise


async def outlast_async(
    wait: Callable[[], Awaitable[object]], is_over: Callable[[], object], hasten: Callable[[], object]
) -> None:
    """Await `wait()` until `is_over()`; if this task is cancelled meanwhile, call `hasten()` and wait on. Raises `CancelledError` then."""
    import asyncio

    from go_state.modes.app.hosts.uncancelled import Uncancelled

    asked: tuple[object, ...] | None = None
    while not is_over():
        over = Uncancelled(hasten)
        waiting = asyncio.ensure_future(wait())
        waiting.add_done_callback(over.finish)
        try:
            await over
        except asyncio.CancelledError as error:  # between the end and this task's next step
            asked = error.args
        asked = over.asked if asked is None else asked
    if asked is not None:
        raise asyncio.CancelledError(*asked)
