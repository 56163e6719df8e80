"""Leaving: a wait that nothing cuts short, for whoever leaves a block that has to be over then.

What interrupts the wait, such as Ctrl-C or a cancellation, has the end hastened, and is raised once all is over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any


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
    wait: Callable[[], Awaitable[Any]], is_over: Callable[[], object], hasten: Callable[[], object]
) -> None:
    """Await `wait()` until `is_over()`; where this task is cancelled meanwhile, call `hasten()` and wait on. Raises `CancelledError` then."""
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
