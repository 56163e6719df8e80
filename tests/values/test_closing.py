"""How a connection and its values end: calls that are running, waits, forks, Ctrl-C, loops that are closed; nothing is left."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from etcd_server import EtcdServer
from interrupts import Interrupt, at_every_point
from values_support import opened

import go_state as gs
from go_state.values.home import Home, OwnHome

pytestmark = pytest.mark.processes


@pytest.mark.slow
def test_closing_frees_a_set_that_waits_for_the_server(place: Any, key: str, crew: Any) -> None:
    """The server answers nothing; who closes the connection does not leave a thread waiting for ever."""
    with ExitStack() as stack:
        values = stack.enter_context(place.open())
        value = values.value(key, int)
        value.set(1)
        place.server.freeze()
        stack.callback(place.server.thaw)
        waiting = threading.Event()

        def act() -> str:
            waiting.set()
            try:
                value.set(2)
            except (gs.errors.UsedAfterClose, gs.errors.StoreUnavailable) as error:
                return type(error).__name__
            return "set"

        crew.start(act)
        waiting.wait(10)
    crew.join(20)
    with pytest.raises(gs.errors.UsedAfterClose):
        value.set(3)
    with pytest.raises(gs.errors.UsedAfterClose):
        value.update(lambda number: number)


async def test_closing_ends_a_call_of_another_loop_and_does_not_cancel_its_task() -> None:
    home, begun = OwnHome("test"), threading.Event()

    async def forever() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def call() -> str:
        with pytest.raises(gs.errors.UsedAfterClose):
            await home.run_async(forever)
        return "told"

    task = asyncio.create_task(call())
    await asyncio.to_thread(begun.wait)
    await home.end_async(_nothing)
    assert await task == "told"
    with pytest.raises(gs.errors.UsedAfterClose):
        await home.run_async(_nothing)
    with pytest.raises(gs.errors.UsedAfterClose):
        await asyncio.to_thread(home.run, _nothing, "set")


async def _nothing() -> None:
    """Do nothing."""


async def test_a_closing_that_is_cancelled_still_ends_the_thread(etcd_server: EtcdServer, key: str) -> None:
    for steps in range(6):
        before = threading.active_count()
        entered = asyncio.Event()

        async def open_and_close(entered: asyncio.Event = entered) -> None:
            async with gs.values.Etcd(etcd_server.url) as etcd:
                etcd.value(key, int)
                entered.set()

        task = asyncio.create_task(open_and_close())
        await entered.wait()
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait((task,))
        assert threading.active_count() <= before


def test_a_loop_that_is_closed_by_its_owner_ends_who_waits(crew: Any) -> None:
    """As when somebody stops a loop in the middle: nobody is told of that, and a thread waits for an answer."""
    loop, begun = asyncio.new_event_loop(), threading.Event()
    home = Home(loop)

    async def forever() -> None:
        begun.set()
        loop.stop()
        await asyncio.Event().wait()

    crew.start(pytest.raises, gs.errors.UsedAfterClose, home.run, forever, "set")
    loop.run_forever()
    loop.run_until_complete(_cancel_others())
    loop.close()
    crew.join(20)
    with pytest.raises(gs.errors.UsedAfterClose):
        home.run(_nothing, "set")
    with pytest.raises(gs.errors.UsedAfterClose):
        asyncio.run(home.run_async(_nothing))


async def _cancel_others() -> None:
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


def test_a_loop_that_is_closed_without_a_word_ends_who_waits(crew: Any) -> None:
    loop = asyncio.new_event_loop()
    crew.start(pytest.raises, gs.errors.UsedAfterClose, Home(loop).run, _nothing, "set")
    while not loop._ready:  # type: ignore[attr-defined]
        os.sched_yield()
    loop.close()
    crew.join(20)


def test_many_threads_that_ask_for_a_key_get_one_value(place: Any, key: str, crew: Any) -> None:
    with place.open() as values:
        for number in range(50):
            barrier = threading.Barrier(4)

            def ask(number: int = number, barrier: threading.Barrier = barrier) -> Any:
                barrier.wait()
                return values.value(f"{key}-{number}", int)

            for _ in range(4):
                crew.start(ask)
            crew.join()
            assert len({id(value) for value in crew.results}) == 1
            crew.threads.clear()
            crew.results.clear()


def test_a_thread_that_asks_while_the_connection_closes_gets_a_value_that_ends(place: Any, key: str, crew: Any) -> None:
    for _ in range(5):
        begun = threading.Event()
        with place.open() as values:

            def ask(values: Any = values, begun: threading.Event = begun) -> None:
                made = []
                with suppress(gs.errors.UsedAfterClose):
                    for number in range(30):
                        made.append(values.value(f"{key}-{number}", int))
                        begun.set()
                for value in made:
                    with value.watch() as watcher, pytest.raises(gs.errors.Ended):
                        watcher.get(20)

            crew.start(ask)
            begun.wait(10)
        crew.join(60)


def test_a_fork_leaves_the_connection_to_the_parent(place: Any, key: str, crew: Any) -> None:
    """In the child every use says so, and none of it waits; the parent goes on."""
    with place.open() as values:
        value = values.value(key, int)
        value.set(1)
        uses: list[Callable[[], Any]] = [
            lambda: value.set(2),
            lambda: value.update(lambda number: number + 1),
            value.delete,
            value.peek,
            lambda: value.version,
            lambda: values.value("another", int),
        ]
        child = os.fork()
        if child == 0:
            code = 0
            for nth, use in enumerate(uses, 1):
                try:
                    use()
                    code = nth
                except gs.errors.UsageError:
                    pass
                except BaseException:
                    code = 100 + nth
            repr(value)
            os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert value.update(lambda number: number + 1) == 2


def test_ctrl_c_in_set_at_every_point_leaves_the_value_usable(place: Any, key: str) -> None:
    with place.open() as values:
        value = values.value(key, int)
        value.set(0)

        def act(interrupt: Interrupt) -> None:
            with interrupt:
                value.set(1)

        at_every_point(act)
        value.set(2)
        assert value.peek() == 2
        assert value.update(lambda number: number + 1) == 3


async def test_a_task_that_is_cancelled_at_every_step_of_an_update_leaves_the_value_usable(place: Any, key: str) -> None:
    async with opened(place) as values:
        value = values.value(key, int)
        await value.set_async(0)
        for steps in range(12):
            task = asyncio.create_task(value.update_async(lambda number: number + 1))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait((task,))
        before = await value.update_async(lambda number: number)
        assert 0 <= before <= 12
        assert await value.update_async(lambda number: number + 1) in range(before + 1, 14)


def test_nothing_is_left_when_connections_come_and_go(place: Any, key: str) -> None:
    """No thread, no descriptor, no task; what is not closed is a ResourceWarning, and fails the test."""

    def use() -> None:
        with place.open() as values:
            for number in range(5):
                values.value(f"{key}-{number}", int).set(number)

    use()
    gc.collect()
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        use()
    gc.collect()
    assert threading.active_count() <= threads
    assert len(os.listdir("/proc/self/fd")) <= files


def test_a_connection_that_is_open_is_not_opened_again(etcd_server: EtcdServer) -> None:
    with gs.values.Etcd(etcd_server.url) as etcd, pytest.raises(gs.errors.UsageError, match="open already"), etcd:
        pass
    with etcd:
        etcd.value("again", int).set(1)
