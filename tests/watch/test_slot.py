"""The slot that a value and its watchers share: what leaves a waker there, what takes it away, and that nothing is missed."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from interrupts import Interrupt, at_every_point

import go_state as gs
from go_state.waking.waker import ThreadWaker
from go_state.watch.slot import UNSET, Slot

LONG = 30.0  # seconds: a wake-up that is lost fails here


@pytest.mark.parametrize(
    ("seen", "change", "stays"),
    [
        (0, lambda slot: None, True),
        (0, lambda slot: slot.publish("new"), False),
        (0, lambda slot: slot.set("new"), False),
        (1, lambda slot: slot.set("new"), True),
        (0, lambda slot: slot.close(None), False),
    ],
    ids=["nothing", "published", "set", "seen", "closed"],
)
def test_a_waker_stays_only_while_there_is_nothing_new(seen: int, change: Callable[[Slot[str]], object], stays: bool) -> None:
    """A waker that is added after a change is refused, unless the change was seen, and leaves nothing behind."""
    slot: Slot[str] = Slot()
    change(slot)
    assert (slot.add_waker(ThreadWaker(), seen), slot.waiting) == (stays, int(stays))


@pytest.mark.parametrize("change", [lambda slot: slot.publish(1), lambda slot: slot.set(1), lambda slot: slot.close(None)])
def test_a_change_wakes_who_waits_and_forgets_them(change: Callable[[Slot[int]], object]) -> None:
    """Each waker is woken once; one that was removed is not."""
    slot: Slot[int] = Slot()
    stays, removed = ThreadWaker(), ThreadWaker()
    for waker in (stays, removed):
        slot.add_waker(waker, 0)
    slot.remove_waker(removed)
    change(slot)
    assert (stays.sleep(0.0), removed.sleep(0.0), slot.waiting) == (True, False, 0)


def test_who_may_not_wait_is_told_after_its_waker_is_there() -> None:
    """`before_wait` is called with the waker in its place: whoever forbids waiting from now on wakes it."""

    def refuse() -> None:
        assert slot.waiting == 1
        raise ZeroDivisionError

    slot: Slot[int] = Slot(before_wait=refuse)
    waker = ThreadWaker()
    with pytest.raises(ZeroDivisionError):
        slot.add_waker(waker, 0)
    slot.remove_waker(waker)
    assert slot.waiting == 0


def test_replacing_is_for_whoever_saw_the_newest() -> None:
    """A value is replaced if it is still the one that was read, and not if it was set meanwhile, to the same value even."""
    slot = Slot(1)
    before = slot.now
    slot.set(1)
    assert (slot.replace(before, 5), slot.now) == (False, (2, 1))
    assert (slot.replace(slot.now, 5), slot.now) == (True, (3, 5))
    assert Slot[int]().now == (0, UNSET)


def test_nothing_is_missed_by_whoever_waits() -> None:
    """While one thread publishes, others wait, time out and begin again: each sees the last value, and none sees an older one."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    last = 3000
    value: gs.Value[int] = gs.Value(0)

    def follow(timeout: float | None) -> int:
        watcher, newest = value.watch(), -1
        while newest < last:
            try:
                newest, older = watcher.get(timeout), newest
            except gs.TimedOut:
                continue
            assert newest > older
        return newest

    async def follow_async() -> int:
        watcher, newest = value.watch(), -1
        while newest < last:
            newest = await watcher.get_async(LONG)
        return newest

    try:
        with ThreadPoolExecutor(6) as pool:
            following = [pool.submit(follow, timeout) for timeout in (LONG, LONG, 0.00001, 0.0001)]
            following.append(pool.submit(lambda: asyncio.run(follow_async())))
            for number in range(1, last + 1):
                value.slot.publish(number)
            assert [each.result(LONG) for each in following] == [last] * 5
    finally:
        sys.setswitchinterval(before)


@pytest.mark.parametrize("waits", [False, True], ids=["there already", "not there"])
def test_an_interrupted_get_leaves_the_watcher_usable(waits: bool) -> None:
    """Ctrl-C at any point of a get: the next get waits and is given the newest, and nobody is left in the slot."""

    def interrupted(interrupt: Interrupt) -> None:
        value: gs.Value[int] = gs.Value() if waits else gs.Value(1)
        watcher = value.watch()
        with interrupt, suppress(gs.TimedOut):
            watcher.get(0.0005)
        timer = threading.Timer(0.002, value.set, (2,))
        timer.start()
        while watcher.get(LONG) != 2:
            pass
        timer.join()
        assert value.slot.waiting == 0

    at_every_point(interrupted)


def test_an_interrupted_set_sets_or_does_not() -> None:
    """Ctrl-C at any point of a set or an update: the value is the old or the new one, and can be set again."""

    def interrupted(interrupt: Interrupt) -> None:
        value = gs.Value(1)
        with interrupt:
            value.set(2)
            value.update(lambda number: number + 1)
        assert value.peek() == value.version
        assert value.set(9) == value.version

    at_every_point(interrupted)
