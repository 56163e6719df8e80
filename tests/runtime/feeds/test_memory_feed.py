"""A run that has its log to itself: how what its effects bring enters without the log, and what wakes it where it sleeps."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from interrupts import Interrupt, at_every_point

import go_state as gs
from go_state.buffer.consumer import Consumer
from go_state.runtime.feeds.log_feed import FEW, log_feed
from go_state.runtime.flow.driver import drive


@pytest.fixture
def switching_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


async def soon(message: Any) -> Any:
    await asyncio.sleep(0)
    return message


def echo(model: tuple[Any, ...], msg: Any) -> gs.Step[Any, Any]:
    """Have each number come back as a text, by a task."""
    return (*model, msg), [gs.Cmd.call(soon, str(msg))] if isinstance(msg, int) else ()


ECHO: gs.Program[Any, Any] = gs.Program(lambda: ((), ()), echo)


async def until_idle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.mark.usefixtures("switching_often")
def test_puts_and_arrivals_that_cross_wake_the_run() -> None:
    """Threads put while tasks arrive, each as soon as it likes; every message has its turn, in the order of its thread."""
    threads, each = 3, 300

    async def main() -> tuple[Any, ...]:
        buffer: gs.Buffer[Any] = gs.Buffer()
        run = asyncio.create_task(gs.run_async(ECHO, buffer))
        seen = threading.Semaphore(0)

        def put(first: int) -> None:
            for number in range(first, first + each):
                buffer.put(number)
                if number % 7 == 0:
                    seen.acquire(timeout=0.0005)  # a pause, in which the run falls asleep

        putting = [threading.Thread(target=put, args=(number * 1000,)) for number in range(threads)]
        for thread in putting:
            thread.start()
        for thread in putting:
            await asyncio.to_thread(thread.join)
        buffer.close()
        return await asyncio.wait_for(run, 30)

    model = asyncio.run(main())
    numbers = [msg for msg in model if isinstance(msg, int)]
    assert Counter(msg for msg in model if isinstance(msg, str)) == Counter(str(number) for number in numbers)
    for first in range(0, threads * 1000, 1000):
        assert [number for number in numbers if first <= number < first + 1000] == list(range(first, first + each))


def test_each_way_to_wake_a_run_that_sleeps_does() -> None:
    """A put before and after its tasks have woken it, another reader, a put that is waited for, and the close."""

    async def main() -> Any:
        buffer: gs.Buffer[Any] = gs.Buffer()
        run = asyncio.create_task(gs.run_async(ECHO, buffer))
        await until_idle()
        buffer.put(1)
        await until_idle()
        buffer.put(2, 3)
        await until_idle()
        other = buffer.consumer("newest")
        buffer.put(4)
        await until_idle()
        assert other.get() == 4
        other.close()
        buffer.put(5)
        await until_idle()
        await asyncio.to_thread(buffer.put, 6)
        await until_idle()
        buffer.close()
        return await asyncio.wait_for(run, 20)

    assert sorted(map(str, asyncio.run(main()))) == sorted([*"123456"] * 2)


def test_a_buffer_that_was_closed_before_ends_the_run() -> None:
    """Also if the last thing that happened was an arrival."""

    async def main() -> Any:
        buffer: gs.Buffer[Any] = gs.Buffer()
        buffer.put(1)
        buffer.close()
        return await asyncio.wait_for(gs.run_async(ECHO, buffer), 20)

    assert asyncio.run(main()) == (1, "1")


def test_a_close_that_waits_does_not_wait_for_commands() -> None:
    """It waits until every message has had its turn."""

    async def main() -> None:
        buffer: gs.Buffer[Any] = gs.Buffer()
        go_on = asyncio.Event()

        async def long() -> None:
            await go_on.wait()

        program: gs.Program[Any, Any] = gs.Program(lambda: (0, ()), lambda model, msg: (model + msg, [gs.Cmd.call(long)]))
        run = asyncio.create_task(gs.run_async(program, buffer))
        await until_idle()
        buffer.put(1)
        await asyncio.wait_for(buffer.close_async(), 20)
        assert not run.done()
        go_on.set()
        assert await asyncio.wait_for(run, 20) == 1

    asyncio.run(main())


@pytest.mark.parametrize("steps", range(0, 24, 2))
def test_a_consumer_is_as_good_as_new_after_a_cancelled_run(steps: int) -> None:
    """Wherever the run was; what it had not processed is given to the next who asks, and nothing twice."""

    async def main() -> None:
        buffer: gs.Buffer[Any] = gs.Buffer()
        consumer = buffer.consumer()
        seen: list[Any] = []
        program: gs.Program[Any, Any] = gs.Program(lambda: ((), ()), lambda model, msg: (seen.append(msg), echo(model, msg))[1])
        run = asyncio.create_task(gs.run_async(program, producer=buffer, consumer=consumer))
        await asyncio.sleep(0)
        buffer.put(1)
        for _ in range(steps):
            await asyncio.sleep(0)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        buffer.put(7)
        while (message := await asyncio.wait_for(consumer.get_async(), 20)) != 7:
            seen.append(message)
            consumer.commit()
        assert Counter(seen) <= Counter([1, "1"])
        assert seen[0] == 1

    asyncio.run(main())


def test_a_consumer_that_is_closed_frees_the_run() -> None:
    """It says so, and does not sleep on."""

    async def main() -> None:
        buffer: gs.Buffer[Any] = gs.Buffer()
        consumer = buffer.consumer()
        run = asyncio.create_task(gs.run_async(ECHO, producer=buffer, consumer=consumer))
        buffer.put(1)
        await until_idle()
        consumer.close()
        with pytest.raises(gs.errors.UsedAfterClose):
            await asyncio.wait_for(run, 20)

    asyncio.run(main())


def test_the_loop_is_given_back_between_arrivals() -> None:
    """A chain of commands whose tasks are done at once leaves the other tasks their turn."""
    turns = 0

    async def main() -> int:
        nonlocal turns

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        async def at_once(left: int) -> int:
            return left - 1

        def update(model: int, left: int) -> gs.Step[int, int]:
            return model + 1, [gs.Cmd.call(at_once, left)] if left else ()

        ticking = asyncio.create_task(others())
        model: int = await gs.batch_async(gs.Program(lambda: (0, ()), update), [500])  # type: ignore[assignment]
        buffer: gs.Buffer[int] = gs.Buffer()
        buffer.put(500)
        buffer.close()
        model = await gs.run_async(gs.Program(lambda: (0, ()), update), buffer)
        ticking.cancel()
        return model

    assert asyncio.run(main()) == 501
    assert turns > 500


class Big:
    """A message that is missed when it is gone."""


@pytest.mark.slow
def test_a_sleeping_run_keeps_few_messages() -> None:
    """What effects bring lengthens the chunk so far and no further."""

    async def main() -> None:
        buffer: gs.Buffer[Any] = gs.Buffer()
        alive: weakref.WeakSet[Big] = weakref.WeakSet()

        async def another(left: int) -> tuple[int, Big]:
            big = Big()
            alive.add(big)
            return left - 1, big

        def update(model: int, msg: tuple[int, Big]) -> gs.Step[int, Any]:
            return model + 1, [gs.Cmd.call(another, msg[0])] if msg[0] else ()

        last = asyncio.Event()

        def view(model: int) -> None:
            if model == 1001:
                last.set()

        run = asyncio.create_task(gs.run_async(gs.Program(lambda: (0, ()), update, view=view), buffer))
        await until_idle()
        buffer.put((1000, Big()))
        await asyncio.wait_for(last.wait(), 20)
        await until_idle()
        gc.collect()
        assert len(alive) <= 2 * FEW
        buffer.close()
        assert await run == 1001

    asyncio.run(main())


def test_an_interrupt_loses_no_arrival_and_gives_none_twice() -> None:
    """Ctrl-C wherever a put of what effects have brought may be: it is in the queue, or nothing of it is, and what was read stays read."""

    def act(interrupt: Interrupt) -> None:
        buffer: gs.Buffer[Any] = gs.Buffer()
        reader: Consumer[Any] = buffer.consumer()
        feed = log_feed(reader.cursor, on_loop=False)
        buffer.put("a")
        taken = list(drive(feed.take()) or ())
        feed.commit(())
        entered: list[Any] = []
        with interrupt:
            feed.put(["b", "c"])
            entered = ["b", "c"]
        feed.rollback(processed=True)
        left = buffer.slice()
        assert taken == ["a"]
        assert left == ["b", "c"] or (left == [] and entered == [] and interrupt.came)
        assert reader.committed == 1

    at_every_point(act)


def test_an_interrupt_of_a_commit_finds_both_or_neither() -> None:
    """The turn's messages are there and its message is committed, or it comes again."""

    def act(interrupt: Interrupt) -> None:
        buffer: gs.Buffer[Any] = gs.Buffer()
        reader: Consumer[Any] = buffer.consumer()
        feed = log_feed(reader.cursor, on_loop=False)
        buffer.put("a")
        turns = drive(feed.take())
        assert turns is not None
        assert next(turns) == "a"  # its turn is being taken
        committed = False
        with interrupt:
            feed.commit(["b"])
            committed = True
        feed.rollback(processed=committed)
        assert (buffer.slice(), reader.committed) in ((["b"], 1), (["a"], 0))
        assert not committed or reader.committed == 1

    at_every_point(act)
