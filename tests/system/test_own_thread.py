"""A thread of our own makes calls for an event loop, in order, to their end, and is gone afterwards."""

from __future__ import annotations

import ast
import asyncio
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

import go_state
from go_state.system.own_thread import OwnThread, Stepwise, call_once


async def test_calls_are_made_in_one_thread() -> None:
    """It is not the loop's, and it has ended with the block."""
    async with OwnThread("ours") as ours:
        first = await ours.call(threading.current_thread)
        assert first is await ours.call(threading.current_thread)
        assert first.name == "ours"
    assert first is not threading.current_thread()
    assert not first.is_alive()


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), asyncio.CancelledError()])
async def test_what_a_call_raises_is_raised(error: BaseException) -> None:
    """Whatever it is, it reaches the task that waits, and the thread goes on."""

    def fail() -> None:
        raise error

    async with OwnThread("ours") as ours:
        with pytest.raises(type(error)):
            await ours.call(fail)
        assert await ours.call(lambda: 1) == 1


async def test_a_cancelled_call_is_told_and_finished() -> None:
    """A call that itself waits is told of the cancellation, and ends before the task does."""
    begun, told, done = threading.Event(), threading.Event(), []

    def wait() -> None:
        begun.set()
        done.append(told.wait(30))

    async with OwnThread("ours") as ours:
        task = asyncio.create_task(ours.call(wait, cancel=told.set))
        await call_once(begun.wait, "waits")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == [True]


async def test_an_end_waits_for_the_calls_of_others() -> None:
    """Closing while another task's call goes on lets it finish."""
    begun, go_on = threading.Event(), threading.Event()

    def wait() -> bool:
        begun.set()
        return go_on.wait(30)

    ours = OwnThread("ours")
    task = asyncio.create_task(ours.call(wait))
    await call_once(begun.wait, "waits")
    ending = asyncio.create_task(ours.aclose())
    await asyncio.sleep(0)
    assert not ending.done()
    go_on.set()
    await ending
    assert await task


@pytest.mark.slow
def test_nothing_of_ours_runs_in_the_executor_of_a_loop() -> None:
    """Its threads are the user's, and may all be waiting for us."""
    banned = {"to_thread", "run_in_executor"}
    for path in Path(go_state.__file__).parent.rglob("*.py"):
        used = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not used & banned, path


async def test_what_interrupts_a_shared_write_ends_every_call_that_waits_for_it() -> None:
    """Each gets it, its steps let go of their locks, and the thread goes on."""

    class Ended(BaseException):
        pass

    held, steps = [threading.Lock() for _ in range(3)], list[object]()

    def share(jobs: list[object]) -> None:
        if "end" in jobs:
            raise Ended

    def in_steps(lock: threading.Lock, job: str) -> Generator[str, None, str]:
        with lock:
            yield job
        return job

    def call(number: int, job: str) -> Stepwise:
        made = in_steps(held[number], job)
        steps.append(made)  # which keeps it from ending by itself
        return Stepwise(lambda: None, lambda: made)

    async with OwnThread("ours", share=share) as ours:
        begun, go_on = threading.Event(), threading.Event()
        first = asyncio.create_task(ours.call(lambda: begun.set() or go_on.wait(30)))  # type: ignore[func-returns-value]
        await call_once(begun.wait, "waits")
        calls = [asyncio.create_task(ours.call(call(number, "end" if number == 1 else "go on"))) for number in range(3)]
        await asyncio.sleep(0)  # they wait behind the first
        go_on.set()
        await first
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(each) for each in outcomes] == [Ended] * 3
        assert not any(lock.locked() for lock in held)
        assert await ours.call(Stepwise(lambda: None, lambda: in_steps(held[0], "go on"))) == "go on"
