"""Wakers: one sleep each, woken from anywhere and as often as anybody likes."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

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


@contextmanager
def woken_at_last(*wakers: ThreadWaker) -> Iterator[None]:
    """Wake them after ten seconds, so that a test whose sleep has no end fails."""
    timer = threading.Timer(10.0, wake_all, (wakers,))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def test_however_short_a_sleep_it_ends() -> None:
    """A time that is over while the thread goes to sleep ends the sleep: it is not slept through."""
    wakers = [ThreadWaker() for _ in range(3_000)]
    with woken_at_last(*wakers):
        assert not any(waker.sleep(time.monotonic() + number % 7 * 1e-6) for number, waker in enumerate(wakers))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no timer signals")
def test_a_sleep_ends_whose_time_was_over_in_a_signal_handler() -> None:
    """A signal handler that takes longer than there was left of the sleep does not make it endless."""
    waker = ThreadWaker()
    until = time.monotonic() + 0.05

    def outlast(*_: object) -> None:
        while time.monotonic() <= until + 0.01:
            pass

    before = signal.signal(signal.SIGALRM, outlast)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with woken_at_last(waker):
            assert not waker.sleep(until)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


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
