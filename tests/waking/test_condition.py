"""Sleeping until a condition holds: no wake-up is lost, in whatever order the two parties come, in threads and in tasks."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from interrupts import Interrupt, at_every_point

from go_state.waking.condition import Condition

LONG = 30.0  # seconds: a wake-up that is lost fails here


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns five thousand times as often as usual, which makes rare races common."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def soon() -> float:
    return time.monotonic() + 0.01


def in_thread(condition: Condition, until: float | None) -> bool:
    return condition.wait(until)


def on_loop(condition: Condition, until: float | None) -> bool:
    return asyncio.run(condition.wait_async(until))


both = pytest.mark.parametrize("wait", [in_thread, on_loop])
Wait = Callable[[Condition, float | None], bool]


@both
def test_what_holds_already_is_not_waited_for(wait: Wait) -> None:
    """A wait for a condition that holds returns at once, also when its time is over before it begins."""
    assert [wait(Condition(lambda: True), until) for until in (None, soon(), 0.0)] == [True] * 3


@both
def test_a_wait_ends_in_time(wait: Wait) -> None:
    """A wait for what never holds returns False when its time is over, and not before."""
    until = soon()
    assert not wait(Condition(lambda: False), until)
    assert time.monotonic() >= until


@both
def test_being_woken_is_not_enough(wait: Wait) -> None:
    """A wait that is woken while the condition does not hold goes on, and asks again each time."""
    asked: list[bool] = []

    def holds() -> bool:
        condition.wake()  # as anybody may, at the worst moment
        asked.append(len(asked) == 5)
        return asked[-1]

    condition = Condition(holds)
    assert wait(condition, None)
    assert asked == [False] * 5 + [True]


@both
def test_what_comes_in_the_last_moment_counts(wait: Wait) -> None:
    """What holds when the time is over is found, although nobody has woken the wait."""
    until = soon()
    assert wait(Condition(lambda: time.monotonic() >= until), until)


@both
def test_an_error_of_the_condition_ends_the_wait(wait: Wait) -> None:
    """What the condition raises is raised by the wait."""
    with pytest.raises(ZeroDivisionError):
        wait(Condition(lambda: bool(1 / 0)), None)


@both
def test_no_wake_up_is_lost(wait: Wait, hasty: None) -> None:
    """Two parties that wait for each other by turns come to the end, however their steps fall."""
    turns, rounds = [0], 300 if wait is on_loop else 3000

    def party(mine: int, condition: Condition, other: Condition) -> None:
        for _ in range(rounds):
            assert wait(condition, time.monotonic() + LONG)
            turns[0] = 1 - mine
            other.wake()

    conditions = [Condition(lambda: turns[0] == 0), Condition(lambda: turns[0] == 1)]
    with ThreadPoolExecutor(2) as pool:
        each = [pool.submit(party, mine, conditions[mine], conditions[1 - mine]) for mine in (0, 1)]
        assert [party.result(2 * LONG) for party in each] == [None, None]


async def test_a_cancelled_wait_leaves_the_condition_as_it_was() -> None:
    """A task that is cancelled while it waits can be followed by another wait, which is woken."""
    held: list[int] = []
    condition = Condition(lambda: bool(held))
    first = asyncio.create_task(condition.wait_async())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    assert first.cancelled()
    second = asyncio.create_task(condition.wait_async())
    await asyncio.sleep(0)
    held.append(1)
    condition.wake()
    assert await second


async def test_a_task_is_woken_by_a_thread() -> None:
    """A wait on an event loop ends by a wake from another thread, while the loop has nothing else to do."""
    held: list[int] = []
    condition = Condition(lambda: bool(held))
    thread = threading.Timer(0.02, lambda: (held.append(1), condition.wake()))
    thread.start()
    assert await condition.wait_async(time.monotonic() + LONG)
    thread.join()


def test_a_waiter_whose_loop_was_closed_is_woken_in_vain() -> None:
    """Waking a task of a closed event loop, or nobody at all, does nothing."""
    condition = Condition(lambda: False)
    condition.wake()
    assert not on_loop(condition, soon())
    condition.wake("with", "arguments")


def test_an_interrupted_wait_can_be_followed_by_another() -> None:
    """Ctrl-C at any point of a wait leaves nothing behind that keeps the next from being woken."""

    def interrupted(interrupt: Interrupt) -> None:
        held: list[int] = []
        condition = Condition(lambda: bool(held))
        with interrupt:
            condition.wait(time.monotonic() + 0.0005)
        thread = threading.Timer(0.002, lambda: (held.append(1), condition.wake()))
        thread.start()
        assert condition.wait(time.monotonic() + LONG)
        thread.join()

    at_every_point(interrupted)
