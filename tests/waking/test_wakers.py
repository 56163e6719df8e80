"""Wakers: one sleep each, woken from anywhere and as often as anybody likes."""

from __future__ import annotations

import asyncio
import threading
import time

from go_state.waking.loop_waker import LoopWaker
from go_state.waking.waker import ThreadWaker, Waker, wake_all


def test_a_wake_before_the_sleep_counts() -> None:
    """A thread that is woken before it sleeps does not sleep, and a second wake does nothing."""
    waker = ThreadWaker()
    waker.wake()
    waker.wake()
    assert waker.sleep(None)


def test_a_sleep_ends_in_time() -> None:
    """A sleep that nobody ends says so when its time is over; one whose time was over before looks only."""
    until = time.monotonic() + 0.01
    assert not ThreadWaker().sleep(until)
    assert time.monotonic() >= until
    assert not ThreadWaker().sleep(0.0)


async def test_a_task_sleeps_as_a_thread_does() -> None:
    """The same of a task: woken before its sleep, woken twice, and not woken in time."""
    waker = LoopWaker()
    waker.wake()
    waker.wake()
    assert await waker.sleep(None)
    assert not await LoopWaker().sleep(time.monotonic() + 0.01)


async def test_many_are_woken_at_once() -> None:
    """Threads and tasks are woken together, from the loop of the tasks and from another thread, each as often as it happens."""
    thread_waker, here = ThreadWaker(), [LoopWaker() for _ in range(3)]
    wakers: list[Waker] = [thread_waker, *here]
    wake_all(wakers)
    other = threading.Thread(target=wake_all, args=(wakers,))
    other.start()
    assert [await waker.sleep(time.monotonic() + 30) for waker in here] == [True] * 3
    assert thread_waker.sleep(0.0)
    other.join()


def test_the_tasks_of_a_closed_loop_are_skipped() -> None:
    """Those of other loops, and threads, are woken all the same."""

    async def make() -> LoopWaker:
        return LoopWaker()

    dead, thread_waker = asyncio.run(make()), ThreadWaker()
    wake_all([dead, thread_waker])
    dead.wake()
    assert (dead.is_dead, thread_waker.is_dead, thread_waker.sleep(0.0)) == (True, False, True)
