"""A cancellation at every point at which a coroutine waits, for tests of what is left behind."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar

Result = TypeVar("Result")


class CancelledAt:
    """Runs coroutines in the task that awaits them, and cancels that task when one of them waits for the nth time."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    @property
    def came(self) -> bool:
        return self.left <= 0

    @types.coroutine
    def __call__(self, coroutine: Coroutine[Any, Any, Result]) -> Generator[Any, Any, Result]:
        what: Callable[[Any], Any] = coroutine.send
        given: Any = None
        while True:
            try:
                waited = what(given)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            self.left -= 1
            if self.left == 0:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()  # which takes effect where it waits
            try:
                what, given = coroutine.send, (yield waited)
            except BaseException as error:
                what, given = coroutine.throw, error


async def at_every_await(act: Callable[[CancelledAt], Awaitable[object]], *, least: int) -> None:
    """Call it with a cancellation at its first await, its second, and so on, until none comes; there are `least` at least.

    `act` awaits what is to be cancelled through what it is given, in this task, and looks at what is left.
    """
    nth = 0
    while True:
        nth += 1
        cancelled = CancelledAt(nth)
        await act(cancelled)
        task = asyncio.current_task()
        assert task is not None
        if cancelled.came:
            while task.cancelling():
                task.uncancel()
        else:
            break
    assert nth > least
