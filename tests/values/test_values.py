"""Values elsewhere: the contract of a value, on real servers, through restarts, deletions and lost connections."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest
from values_support import EtcdPlace, Limits, opened

import go_state as gs

pytestmark = pytest.mark.processes


def test_what_is_set_is_read_at_once_and_by_others(values: Any, open_another: Callable[[], Any], key: str) -> None:
    mine, theirs = values.value(key, Limits), open_another().value(key, Limits)
    with pytest.raises(gs.errors.Empty):
        mine.peek()
    revision = mine.set(Limits(3))
    assert mine.peek() == Limits(3)
    assert mine.versioned() == (revision, Limits(3))
    with theirs.watch() as watcher:
        assert watcher.get(10) == Limits(3)
    assert theirs.version == revision


def test_a_watcher_gets_the_newest_and_never_an_older_one(values: Any, open_another: Callable[[], Any], key: str) -> None:
    mine, theirs = values.value(key, int), open_another().value(key, int)
    seen = []
    with theirs.watch() as watcher:
        for number in range(200):
            mine.set(number)
        while not seen or seen[-1] != 199:
            seen.append(watcher.get(10))
    assert seen == sorted(set(seen))


def test_a_watcher_that_has_seen_a_revision_waits_for_the_next(values: Any, key: str) -> None:
    value = values.value(key, int)
    revision = value.set(1)
    with value.watch(since=revision) as watcher:
        with pytest.raises(gs.errors.Empty):
            watcher.get_nowait()
        value.set(2)
        assert watcher.get(10) == 2


@pytest.mark.slow
def test_forty_concurrent_updates_lose_none(place: Any, values: Any, key: str, crew: Any) -> None:
    """Four connections, ten threads each: every one adds one, whoever comes in between."""
    values.value(key, Limits).set(Limits())
    with ExitStack() as stack:
        for _ in range(4):
            value = stack.enter_context(place.open()).value(key, Limits)
            for _ in range(10):
                crew.start(value.update, lambda limits: replace(limits, most=limits.most + 1))
        crew.join()
        assert values.value(key, Limits).update(lambda limits: limits) == Limits(40)


def test_update_calls_its_function_again_when_somebody_was_first(
    values: Any, open_another: Callable[[], Any], key: str
) -> None:
    mine, theirs = values.value(key, int), open_another().value(key, int)
    mine.set(1)
    seen = []

    def add(number: int) -> int:
        seen.append(number)
        if len(seen) == 1:
            theirs.set(10)
        return number + 1

    assert mine.update(add) == 11
    assert seen == [1, 10]


def test_a_value_that_is_not_set_cannot_be_updated(values: Any, key: str) -> None:
    with pytest.raises(gs.errors.Empty, match="set it before"):
        values.value(key, int).update(lambda number: number + 1)


def test_a_deleted_value_is_unset_and_can_be_set_again(values: Any, open_another: Callable[[], Any], key: str) -> None:
    mine, theirs = values.value(key, int), open_another().value(key, int)
    mine.set(1)
    with theirs.watch() as watcher:
        assert watcher.get(10) == 1
        mine.delete()
        with pytest.raises(gs.errors.Empty):
            mine.peek()
        with pytest.raises(gs.errors.TimedOut):
            watcher.get(1)
        assert theirs.peek(None) is None
        mine.set(1)
        assert watcher.get(10) == 1


def test_a_value_of_another_type_is_raised_until_a_better_one_is_set(
    values: Any, open_another: Callable[[], Any], key: str
) -> None:
    good, bad = values.value(key, Limits), open_another().value(key, str)
    bad.set("a secret")
    with good.watch() as watcher:
        for read in (lambda: watcher.get(10), good.peek, lambda: good.update(lambda limits: limits)):
            with pytest.raises(gs.errors.Incompatible) as caught:
                read()
            assert "secret" not in str(caught.value)
        good.set(Limits(1))
        assert watcher.get(10) == Limits(1)


def test_a_value_that_cannot_be_stored_is_refused_before_it_is_sent(values: Any, key: str) -> None:
    value = values.value(key, Limits)
    with pytest.raises(gs.errors.NotStorable):
        value.set(object())
    with pytest.raises(gs.errors.Empty):
        value.peek()


def test_a_key_has_one_type(values: Any, key: str) -> None:
    values.value(key, int)
    assert values.value(key, int) is values.value(key, int)
    with pytest.raises(gs.errors.UsageError, match="another type"):
        values.value(key, str)


async def test_on_an_event_loop(place: Any, key: str) -> None:
    async with opened(place) as values:
        value = values.value(key, int)
        with pytest.raises(gs.errors.InsideLoop):
            value.set(1)
        assert await value.set_async(1) == value.version
        assert await value.update_async(lambda number: number + 1) == 2
        async with value.watch() as watcher:
            assert await watcher.get_async(10) == 2
            await value.delete_async()
            with pytest.raises(gs.errors.TimedOut):
                await watcher.get_async(0.2)


def test_derived_values_follow_it(values: Any, key: str) -> None:
    value, own = values.value(key, int), gs.Value(5)
    with gs.watch.select(value.map(lambda number: number * 2), own).watch() as watcher:
        value.set(4)
        assert watcher.get(10) == (8, 5)


def test_closing_the_connection_ends_watchers_after_what_they_have_not_seen(place: Any, key: str) -> None:
    with place.open() as values:
        value = values.value(key, int)
        watcher = value.watch()
        value.set(1)
    assert watcher.get(1) == 1
    with pytest.raises(gs.errors.Ended):
        watcher.get(1)
    with pytest.raises(gs.errors.UsedAfterClose):
        values.value(key, int)
    assert value.closed


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_restart_of_the_server_is_noticed_and_survived(
    place: Any, values: Any, open_another: Callable[[], Any], key: str, how: Any
) -> None:
    mine, theirs = values.value(key, int), open_another().value(key, int)
    with theirs.watch() as watcher, theirs.connected.watch() as connected:
        mine.set(1)
        assert watcher.get(10) == 1
        assert connected.get(10, where=lambda yes: yes) is True
        place.server.stop(how)
        assert connected.get(2) is False, "the loss was not noticed in two seconds"
        with pytest.raises(gs.errors.StoreUnavailable):
            mine.set(2)
        assert theirs.peek() == 1
        place.server.start()
        assert connected.get(10, where=lambda yes: yes) is True
        _set_when_possible(mine, 3)
        assert watcher.get(5, where=lambda number: number == 3) == 3


def _set_when_possible(value: Any, number: int) -> None:
    with value.connected.watch() as connected:
        connected.get(10, where=lambda yes: yes)
    value.set(number)


@pytest.mark.slow
def test_a_server_that_is_frozen_is_noticed(place: Any, values: Any, key: str) -> None:
    """It hangs up on nobody and answers nothing: only who asks finds out."""
    value = values.value(key, int)
    value.set(1)
    with value.connected.watch() as connected, value.watch() as watcher:
        assert connected.get(10, where=lambda yes: yes) is True
        assert watcher.get(10) == 1
        place.server.freeze()
        try:
            assert connected.get(3) is False
            assert value.peek() == 1
        finally:
            place.server.thaw()
        assert connected.get(10, where=lambda yes: yes) is True
        value.set(2)
        assert watcher.get(5) == 2


def test_who_sets_while_others_watch_loses_nothing(values: Any, open_another: Callable[[], Any], key: str) -> None:
    """Ten watchers, each in a thread, all end at the last value."""
    value = values.value(key, int)
    ends: list[int] = []
    theirs = open_another().value(key, int)

    def watch() -> None:
        with theirs.watch() as watcher:
            ends.append(watcher.get(20, where=lambda number: number == 50))

    threads = [threading.Thread(target=watch) for _ in range(10)]
    for thread in threads:
        thread.start()
    for number in range(51):
        value.set(number)
    for thread in threads:
        thread.join(30)
    assert ends == [50] * 10


async def test_a_connection_of_an_event_loop_s_own(key: str, place: Any) -> None:
    if isinstance(place, EtcdPlace):
        with pytest.raises(gs.errors.InsideLoop, match="async with"), gs.values.Etcd(place.server.url):
            pass
        async with gs.values.Etcd(place.server.url) as etcd:
            value = etcd.value(key, int)
            await value.set_async(1)
            assert value.peek() == 1
    else:
        import nats

        client = await nats.connect(place.server.url)
        async with gs.values.NatsKV(client, "another") as bucket:
            value = bucket.value(key, int)
            await value.set_async(1)
            assert value.peek() == 1
        await client.close()
    assert value.closed


async def test_a_cancelled_set_leaves_the_connection_usable(place: Any, key: str) -> None:
    async with opened(place) as values:
        value = values.value(key, int)
        task = asyncio.create_task(value.set_async(1))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
        await value.set_async(2)
        assert value.peek() == 2
