"""A value and its watchers: the newest only, each in its own time, from threads and tasks alike."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import go_state as gs
from go_state.watch.slot import UNSET


def until_waited_for(value: gs.Value[Any]) -> None:
    """Return once somebody waits for the value."""
    while not value.slot.waiting:
        threading.Event().wait(0.0005)


def later(value: gs.Value[Any], *actions: Any) -> threading.Thread:
    """Do the actions, each once somebody waits for the value."""

    def work() -> None:
        for action in actions:
            until_waited_for(value)
            action()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_unset_is_not_none() -> None:
    """A value that was never set has nothing to give; one that was set to None gives None."""
    value: gs.Value[Any] = gs.Value()
    with value.watch() as watcher:
        for look in (value.peek, watcher.peek, watcher.get_nowait):
            with pytest.raises(gs.Empty):
                look()
        assert (value.version, value.peek("none yet"), repr(UNSET)) == (0, "none yet", "UNSET")
        assert value.set(None) == 1
        assert watcher.get() is None


def test_the_first_get_gives_what_is_there_and_the_next_what_is_newer() -> None:
    """The first get gives the current value at once; the next waits for another set, equal data included."""
    value = gs.Value("a")
    with value.watch() as watcher:
        assert watcher.get() == "a"
        with pytest.raises(gs.TimedOut):
            watcher.get(timeout=0.01)
        thread = later(value, lambda: value.set("a"))
        assert (watcher.get(timeout=5), watcher.version) == ("a", 2)
        thread.join()


def test_only_the_newest_is_given() -> None:
    """A hundred sets between two gets give one value, the last."""
    value: gs.Value[int] = gs.Value()
    with value.watch() as watcher:
        for number in range(100):
            value.set(number)
        assert watcher.get() == 99
        with pytest.raises(gs.Empty):
            watcher.get_nowait()


def test_a_filter_does_not_take_what_it_rejects() -> None:
    """What a filtered get has passed over is there for a plain one, also after it timed out."""
    value = gs.Value(1)
    with value.watch() as watcher:
        with pytest.raises(gs.TimedOut):
            watcher.get(0.01, where=lambda v: v > 3)
        with pytest.raises(gs.Empty):
            watcher.get_nowait(where=lambda v: v > 3)
        assert watcher.get_nowait() == 1
        thread = later(value, lambda: value.set(2), lambda: value.set(5))
        assert watcher.get(5, where=lambda v: v > 3) == 5
        thread.join()


async def test_a_filter_waits_on_a_loop_too() -> None:
    """The same on an event loop, cancelled in the middle."""
    value = gs.Value(1)
    async with value.watch() as watcher:
        waiting = asyncio.create_task(watcher.get_async(where=lambda v: v > 3))
        await asyncio.sleep(0)
        value.set(2)
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not value.slot.waiting
        assert await watcher.get_async() == 2


async def test_a_cancelled_get_loses_nothing() -> None:
    """A get that is cancelled while the value is set leaves it to the next get, every time."""
    value: gs.Value[int] = gs.Value()
    async with value.watch() as watcher:
        for number in range(200):
            waiting = asyncio.create_task(watcher.get_async())
            await asyncio.sleep(0)
            value.set(number)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await watcher.get_async(1) == number


def test_two_gets_at_once_are_refused() -> None:
    """A second get on a waiting watcher raises, and exactly one of the two gets the value."""
    value: gs.Value[int] = gs.Value()
    watcher = value.watch()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(watcher.get)
        until_waited_for(value)
        with pytest.raises(gs.ConcurrentGet):
            watcher.get(1)
        value.set(1)
        assert first.result(5) == 1


def test_close_gives_what_was_not_seen_and_then_ends() -> None:
    """After the value's end a watcher gets the newest value if it has not seen it, then Closed for good."""
    value = gs.Value(1)
    seen, unseen = value.watch(), value.watch()
    seen.get()
    value.set(2)
    value.close()
    value.close()
    assert [seen.get(), unseen.get()] == [2, 2]
    for _ in range(3):
        with pytest.raises(gs.Closed):
            seen.get()
        with pytest.raises(gs.Closed):
            unseen.get_nowait()
    with pytest.raises(gs.Closed):
        value.set(3)
    with pytest.raises(gs.Closed):
        value.update(lambda v: v)
    assert (list(value.watch()), value.peek(), value.closed) == ([2], 2, True)


def test_close_frees_those_who_wait() -> None:
    """Threads that wait when the value ends get its error; so does everybody who comes later."""
    value: gs.Value[int] = gs.Value()
    error = KeyError("gone")
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(value.watch().get) for _ in range(3)]
        while value.slot.waiting < 3:
            threading.Event().wait(0.001)
        value.close(error)
        assert all(each.exception(5) is error for each in waiting)
    with pytest.raises(KeyError):
        value.watch().get()


def test_closing_a_watcher_frees_its_get() -> None:
    """Close from another thread ends a waiting get with Closed; later gets too, whatever the value holds; twice is harmless."""
    value: gs.Value[int] = gs.Value()
    watcher = value.watch()
    thread = later(value, watcher.close)
    with pytest.raises(gs.Closed):
        watcher.get(5)
    thread.join()
    value.set(1)
    watcher.close()
    with pytest.raises(gs.Closed):
        watcher.get()
    assert not value.slot.waiting


def test_idle_watchers_are_not_known_to_the_value() -> None:
    """Ten thousand watchers that do not wait leave nothing behind."""
    value = gs.Value(0)
    watchers = [value.watch() for _ in range(10_000)]
    assert [watcher.get() for watcher in watchers] == [0] * 10_000
    assert value.slot.waiting == 0
    assert not hasattr(value, "_watchers")


def test_update_loses_none() -> None:
    """Eight threads add one a thousand times each, and nothing is lost."""
    value = gs.Value(0)

    def add() -> None:
        for _ in range(1000):
            value.update(lambda v: v + 1)

    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(add)
    assert (value.peek(), value.version) == (8000, 8001)
    with pytest.raises(gs.Empty):
        gs.Value().update(lambda v: v)


def test_update_may_use_the_value() -> None:
    """No lock is held while the function runs: it may set the value, and is then called again."""
    value, calls = gs.Value(1), []

    def fn(v: int) -> int:
        calls.append(v)
        if len(calls) == 1:
            value.set(10)
        return v + 1

    assert (value.update(fn), calls) == (11, [1, 10])


def test_derived_values() -> None:
    """A derived value is the function of the newest; a watcher is given what differs from what it was given last."""
    value = gs.Value(1)
    tens = value.map(lambda v: v // 10)
    with tens.watch() as watcher:
        assert (tens.peek(), watcher.get()) == (0, 0)
        value.set(5)
        with pytest.raises(gs.TimedOut):
            watcher.get(0.01)
        thread = later(value, lambda: value.set(7), lambda: value.set(42))
        assert watcher.get(5) == 4
        thread.join()
    assert value.map(str).map(len).peek() == 2


def test_select_waits_for_all() -> None:
    """A selection is there once all its values are, is new when one of them is, and ends with the first."""
    one, two = gs.Value(1), gs.Value[int]()
    both = gs.select(one, two.map(lambda v: -v))
    with both.watch() as watcher:
        with pytest.raises(gs.Empty):
            both.peek()
        thread = later(two, lambda: one.set(3), lambda: two.set(2))
        assert watcher.get(5) == (3, -2)
        thread.join()
        thread = later(one, lambda: one.set(4), two.close)
        assert watcher.get(5) == (4, -2)
        with pytest.raises(gs.Closed):
            watcher.get(5)
        thread.join()


def test_since_and_every() -> None:
    """`since` leaves out what is known; `every` gives at most one value in that time, the newest, and the last at the end."""
    value = gs.Value(1)
    with pytest.raises(gs.Empty):
        value.watch(since=1).get_nowait()
    watcher = value.watch(every=60)
    assert watcher.get() == 1
    value.set(2)
    with pytest.raises(gs.TimedOut):
        watcher.get(0.01)
    value.close()
    assert watcher.get() == 2
    quick = gs.Value(1)
    slow = quick.watch(every=0.02)
    slow.get()
    quick.set(2)
    quick.set(3)
    assert slow.get(5) == 3
    for wrong in ({"since": -1}, {"since": "a"}, {"every": -1}):
        with pytest.raises(gs.UsageError):
            value.watch(**wrong)


def follow(watcher: Any, seed: int) -> list[int]:
    chance, found = random.Random(seed), []
    for number in watcher:
        found.append(number)
        if chance.random() < 0.3:
            threading.Event().wait(chance.random() / 500)
    return found


async def follow_async(watcher: Any, seed: int) -> list[int]:
    chance, found = random.Random(seed), []
    async for number in watcher:
        found.append(number)
        await asyncio.sleep(chance.choice([0, 0, 0.001]))
    return found


async def test_a_hundred_watchers_end_at_the_last_value() -> None:
    """Fifty threads and fifty tasks at random speeds see strictly increasing values, and all end with the last."""
    value: gs.Value[int] = gs.Value()
    loop = asyncio.get_running_loop()

    def work() -> None:
        for number in range(3000):
            value.set(number)
        value.close()

    with ThreadPoolExecutor(51) as pool:
        threads = [loop.run_in_executor(pool, follow, value.watch(), seed) for seed in range(50)]
        tasks = [asyncio.create_task(follow_async(value.watch(), seed)) for seed in range(50)]
        pool.submit(work)
        everything = await asyncio.gather(*threads, *tasks)
    for seen in everything:
        assert seen == sorted(set(seen))
        assert seen[-1] == 2999
    assert not value.slot.waiting


def test_a_publisher_without_a_lock_wakes_everybody() -> None:
    """One who publishes alone, without the lock, leaves no watcher asleep that waits for the last value."""
    for _ in range(200):
        value: gs.Value[int] = gs.Value()
        with ThreadPoolExecutor(2) as pool:
            seen = [pool.submit(value.watch().get, 10, where=lambda v: v == 50) for _ in range(2)]
            for number in range(51):
                value.slot.publish(number)
            assert [each.result(10) for each in seen] == [50, 50]
