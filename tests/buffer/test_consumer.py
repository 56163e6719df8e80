"""The consumer: reading, waiting, committing, and ending a wait without losing anything."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from go_state import Buffer, Closed, Consumer, TimedOut, UsageError
from go_state.errors import ConcurrentGet, Empty, NothingPending


@pytest.fixture
def buffer() -> Buffer[Any]:
    return Buffer()


@pytest.fixture
def consumer(buffer: Buffer[Any]) -> Consumer[Any]:
    return buffer.consumer()


@pytest.fixture
async def reader(buffer: Buffer[Any]) -> AsyncIterator[Consumer[Any]]:
    async with buffer.consumer() as consumer:
        yield consumer


# ---------------------------------------------------------------------- reading


async def test_three_ways_to_get(buffer: Buffer[str], reader: Consumer[str]) -> None:
    """get, get_nowait and get_async read on from each other."""
    buffer.put(*"abc")
    assert (reader.get(), reader.get_nowait(), await reader.get_async()) == ("a", "b", "c")


async def test_nothing_there(reader: Consumer[str]) -> None:
    """get_nowait raises Empty, the others TimedOut when their time is over."""
    with pytest.raises(Empty):
        reader.get_nowait()
    for timeout in (0, -1, 0.001):
        with pytest.raises(TimedOut):
            reader.get(timeout=timeout)
        with pytest.raises(TimedOut):
            await reader.get_async(timeout=timeout)
    assert reader.cursor.take(5) == []


async def test_timed_out_names_the_time_that_was_given(reader: Consumer[str]) -> None:
    """The message has the caller's number, not what was left of it."""
    with pytest.raises(TimedOut, match=r"within 0\.01 seconds"):
        reader.get(timeout=0.01)
    with pytest.raises(TimedOut, match=r"within 0\.01 seconds"):
        await reader.get_async(timeout=0.01)


async def test_a_timeout_of_zero_takes_what_is_there(buffer: Buffer[int], reader: Consumer[int]) -> None:
    """A message that is there is given whatever the timeout."""
    buffer.put(1, 2)
    assert (reader.get(timeout=0), await reader.get_async(timeout=-1)) == (1, 2)


def test_commit_and_rollback_count(buffer: Buffer[str], consumer: Consumer[str]) -> None:
    """Repeated gets go on; commit moves the base and rollback returns to it, both saying how many messages that were."""
    buffer.put(*"abcd")
    consumer.cursor.take(3)
    assert consumer.rollback() == 3
    assert (consumer.get(), consumer.commit()) == ("a", 1)
    assert [consumer.get(), consumer.get()] == ["b", "c"]
    assert consumer.rollback() == 2
    assert consumer.cursor.take(9) == ["b", "c", "d"]


def test_nothing_pending_has_its_own_error(buffer: Buffer[str], consumer: Consumer[str]) -> None:
    """Commit and rollback without a read are refused by type and text, and change nothing."""
    buffer.put("a")
    for finish, verb in ((consumer.commit, "commit"), (consumer.rollback, "roll back")):
        with pytest.raises(NothingPending, match=verb):
            finish()
    assert consumer.get() == "a"


# ---------------------------------------------------------------------- transactions


def test_a_transaction_commits(buffer: Buffer[str], consumer: Consumer[str]) -> None:
    """The message is committed when the block ends."""
    buffer.put("a", "b")
    with consumer.transaction() as message:
        assert message == "a"
    assert buffer.slice() == ["b"]


def test_a_transaction_rolls_back(buffer: Buffer[str], consumer: Consumer[str]) -> None:
    """The message is given again when the block raised, and the exception passes on."""
    buffer.put("a")
    with pytest.raises(KeyError), consumer.transaction():
        raise KeyError
    assert consumer.get() == "a"


async def test_a_transaction_in_a_task(buffer: Buffer[str], reader: Consumer[str]) -> None:
    """`async with` commits and rolls back alike."""
    buffer.put("a", "b")
    async with reader.transaction() as message:
        assert message == "a"
    with pytest.raises(KeyError):
        async with reader.transaction(timeout=1) as message:
            raise KeyError
    assert (message, buffer.slice(), await reader.get_async()) == ("b", ["b"], "b")


async def test_a_cancelled_transaction_rolls_back(buffer: Buffer[str], reader: Consumer[str]) -> None:
    """A task that is cancelled inside the block gives the message back."""
    buffer.put("a")
    entered = asyncio.Event()

    async def work() -> None:
        async with reader.transaction():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()
    await asyncio.wait([task])
    assert reader.get_nowait() == "a"


async def test_a_transaction_passes_on_what_ends_its_get(buffer: Buffer[str], reader: Consumer[str]) -> None:
    """With nothing to read it raises TimedOut or Closed, and there is nothing to finish."""
    with pytest.raises(TimedOut), reader.transaction(timeout=0):
        pass
    buffer.close()
    with pytest.raises(Closed):
        async with reader.transaction():
            pass


@pytest.mark.parametrize("finish", ["commit", "rollback"])
def test_a_blocks_own_error_is_not_hidden(buffer: Buffer[str], consumer: Consumer[str], finish: str) -> None:
    """A block or function that finished the message by itself and then raised raises its own error."""
    buffer.put("a", "b")
    with pytest.raises(KeyError), consumer.transaction():  # noqa: PT012
        getattr(consumer, finish)()
        raise KeyError

    def work(index: int, message: str) -> None:
        getattr(consumer, finish)()
        raise KeyError

    with pytest.raises(KeyError):
        consumer.range(work)


# ---------------------------------------------------------------------- iteration and range


def test_iteration_commits_when_the_next_is_asked_for(buffer: Buffer[int], consumer: Consumer[int]) -> None:
    """The message in hand is uncommitted, those before it are committed; it ends when the buffer is closed and drained."""
    buffer.put(1, 2, 3)
    buffer.close()
    assert [(message, buffer.size()) for message in consumer] == [(1, 3), (2, 2), (3, 1)]
    assert buffer.size() == 0


async def test_async_iteration_commits_when_the_next_is_asked_for(buffer: Buffer[int], reader: Consumer[int]) -> None:
    """As in a thread."""
    buffer.put(1, 2, 3)
    buffer.close()
    assert [(message, buffer.size()) async for message in reader] == [(1, 3), (2, 2), (3, 1)]
    assert buffer.size() == 0


async def test_break_leaves_the_message_uncommitted(buffer: Buffer[int], reader: Consumer[int]) -> None:
    """After break or an exception the message in hand can be rolled back or committed."""
    buffer.put(1, 2, 3)
    for message in reader:
        if message == 2:
            break
    assert reader.rollback() == 1
    async for message in reader:
        assert message == 2
        break
    assert reader.commit() == 1
    with pytest.raises(KeyError):  # noqa: PT012
        for _ in reader:
            raise KeyError
    assert (reader.rollback(), buffer.slice()) == (1, [3])


async def test_the_body_may_commit_or_roll_back(buffer: Buffer[int], reader: Consumer[int]) -> None:
    """A commit in the body is enough, and a message that it rolls back comes again."""
    buffer.put(1, 2)
    buffer.close()
    seen: list[int] = []
    for message in reader:
        seen.append(message)
        if seen.count(1) == 1:
            reader.rollback()
        else:
            reader.commit()
    assert seen == [1, 1, 2]
    assert buffer.size() == 0


async def test_the_async_body_may_commit_or_roll_back(buffer: Buffer[int], reader: Consumer[int]) -> None:
    """As in a thread."""
    buffer.put(1, 2)
    buffer.close()
    seen: list[int] = []
    async for message in reader:
        seen.append(message)
        if seen.count(1) == 1:
            reader.rollback()
        else:
            reader.commit()
    assert seen == [1, 1, 2]
    assert buffer.size() == 0


def test_range_commits_also_when_told_to_stop(buffer: Buffer[str], consumer: Consumer[str]) -> None:
    """False ends it after committing that message, as in the original; other falsy answers go on."""
    buffer.put(*"abc")
    answers = iter([None, False])
    seen: list[tuple[int, str]] = []
    consumer.range(lambda index, message: (seen.append((index, message)), next(answers))[1])
    assert seen == [(0, "a"), (1, "b")]
    assert buffer.slice() == ["c"]


def test_range_rolls_back_on_an_error(buffer: Buffer[str], consumer: Consumer[str]) -> None:
    """The message that raised is given again, those before it are not."""
    buffer.put(*"ab")

    def work(index: int, message: str) -> None:
        if index:
            raise KeyError

    with pytest.raises(KeyError):
        consumer.range(work)
    assert consumer.get() == "b"


def test_range_waits_until_the_buffer_ends(buffer: Buffer[int], crew: Any) -> None:
    """consumer.range waits for more, and returns when the buffer is closed and drained."""
    seen: list[int] = []
    half = threading.Event()
    consumer = buffer.consumer()
    crew.start(consumer.range, lambda index, message: (seen.append(message), half.set()))
    buffer.put(1)
    assert half.wait(60)
    buffer.put(2)
    buffer.close()
    crew.join()
    assert seen == [1, 2]


# ---------------------------------------------------------------------- waiting


def test_put_wakes_a_thread(buffer: Buffer[int], consumer: Consumer[int], crew: Any, asleep: Callable[..., None]) -> None:
    """A sleeping get returns the message, over and over."""
    for number in range(200):
        crew.start(consumer.get)
        asleep(consumer)
        buffer.put(number)
        crew.join()
    assert crew.results == list(range(200))


async def test_put_wakes_a_task(
    buffer: Buffer[int], reader: Consumer[int], asleep_async: Callable[..., Awaitable[None]]
) -> None:
    """A sleeping get_async returns the message, whether put from its own loop or from a thread."""
    for number in range(100):
        task = asyncio.create_task(reader.get_async())
        await asleep_async(reader)
        buffer.put(number) if number % 2 else await asyncio.to_thread(buffer.put, number)
        assert await task == number


async def test_settle_wakes_the_other_readers(
    buffer: Buffer[int], reader: Consumer[int], asleep_async: Callable[..., Awaitable[None]]
) -> None:
    """A run's own messages reach every reader that sleeps."""
    task = asyncio.create_task(reader.get_async())
    await asleep_async(reader)
    with buffer.consumer() as running:
        running.cursor.settle(0, [1])
    assert await task == 1


def test_one_news_wakes_only_who_sleeps(buffer: Buffer[int], crew: Any, asleep: Callable[..., None]) -> None:
    """A reader that sleeps is rung once, not once per message: its waker is gone after the first put."""
    consumers = [buffer.consumer() for _ in range(3)]
    for consumer in consumers:
        crew.start(consumer.get)
        asleep(consumer)
    assert len(buffer.log.sleepers) == 3
    buffer.put(1)
    assert buffer.log.sleepers == []
    buffer.put(2)
    assert crew.join() == [1, 1, 1]


def test_a_waiting_get_holds_up_nothing(
    buffer: Buffer[int], consumer: Consumer[int], crew: Any, asleep: Callable[..., None]
) -> None:
    """Close, diff and statistics answer while a get waits, and close frees it; in bigbuff they all blocked."""
    crew.start(consumer.get)
    asleep(consumer)
    assert (consumer.diff(), buffer.diff(consumer), buffer.statistics().readers[0].lag) == (0, 0, 0)
    consumer.close()
    with pytest.raises(Closed):
        crew.join()
    crew.errors.clear()


async def test_a_consumer_closed_while_a_task_waits(buffer: Buffer[int], asleep_async: Callable[..., Awaitable[None]]) -> None:
    """The task is freed with Closed, whether closed from its own loop or from a thread; closing again is harmless."""
    for close in (lambda c: c.close(), lambda c: asyncio.to_thread(c.close), lambda c: c.close_async()):
        consumer = buffer.consumer()
        task = asyncio.create_task(consumer.get_async())
        await asleep_async(consumer)
        if (closing := close(consumer)) is not None:
            await closing
        with pytest.raises(Closed):
            await task
        await consumer.close_async()
    assert buffer.statistics().readers == ()


def test_a_closed_consumer_refuses(buffer: Buffer[int], consumer: Consumer[int]) -> None:
    """Every read raises Closed although the buffer is open, and what was uncommitted is nobody else's loss."""
    buffer.put(1)
    with buffer.consumer() as other:
        other.get()
    for read in (other.get, other.get_nowait, lambda: other.cursor.take(1), other.cursor.wait):
        with pytest.raises(Closed):
            read()
    assert consumer.get() == 1


def test_a_second_wait_in_a_thread_is_refused(
    buffer: Buffer[int], consumer: Consumer[int], crew: Any, asleep: Callable[..., None]
) -> None:
    """Two waits on one reader raise ConcurrentGet in the second and leave the first alone."""
    crew.start(consumer.get)
    asleep(consumer)
    with pytest.raises(ConcurrentGet):
        consumer.get(timeout=60)
    buffer.put(1)
    assert crew.join() == [1]


async def test_a_second_wait_in_a_task_is_refused(
    buffer: Buffer[int], reader: Consumer[int], asleep_async: Callable[..., Awaitable[None]]
) -> None:
    """Also when both are tasks of one loop, or one is a thread."""
    first = asyncio.create_task(reader.get_async())
    await asleep_async(reader)
    with pytest.raises(ConcurrentGet):
        await reader.get_async()
    with pytest.raises(ConcurrentGet):
        await asyncio.to_thread(reader.get)
    buffer.put(1)
    assert await first == 1


async def test_a_second_wait_in_another_loop_is_refused(
    buffer: Buffer[int], reader: Consumer[int], asleep_async: Callable[..., Awaitable[None]]
) -> None:
    """The task that waited first goes on waiting, undisturbed, and gets the message."""
    first = asyncio.create_task(reader.get_async())
    await asleep_async(reader)

    def intrude() -> None:
        for _ in range(50):
            with pytest.raises(ConcurrentGet):
                asyncio.run(reader.get_async())

    await asyncio.to_thread(intrude)
    assert not first.done()
    buffer.put(1)
    assert await first == 1


# ---------------------------------------------------------------------- ending a wait


async def test_a_cancelled_wait_loses_nothing(
    buffer: Buffer[int], reader: Consumer[int], asleep_async: Callable[..., Awaitable[None]]
) -> None:
    """A task cancelled in its sleep has read nothing, and the reader can be waited on again."""
    for number in range(50):
        task = asyncio.create_task(reader.get_async())
        await asleep_async(reader)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        buffer.put(number)
        assert await reader.get_async() == number


@pytest.mark.parametrize("steps", range(6))
@pytest.mark.parametrize("put_first", [True, False])
async def test_cancelled_as_a_message_arrives(
    buffer: Buffer[int], reader: Consumer[int], asleep_async: Callable[..., Awaitable[None]], steps: int, put_first: bool
) -> None:
    """However many steps of the loop lie between the message and the cancel, it is given once: to the task, or later."""
    task = asyncio.create_task(reader.get_async())
    await asleep_async(reader)
    for _ in range(3):
        await asyncio.sleep(0)
    if put_first:
        buffer.put(1)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    if not put_first:
        buffer.put(1)
    await asyncio.wait([task])
    got = [] if task.cancelled() else [task.result()]
    buffer.put(2)
    while len(got) < 2:
        got.append(await reader.get_async(timeout=60))
    assert got == [1, 2]


async def test_a_timeout_as_a_message_arrives(buffer: Buffer[int], reader: Consumer[int], crew: Any) -> None:
    """Waits that time out while a thread puts lose and double nothing."""

    def put() -> None:
        for number in range(2000):
            buffer.put(number)

    crew.start(put)
    got: list[int] = []
    while len(got) < 2000:
        try:
            got.append(await reader.get_async(timeout=0.00001 * (len(got) % 7)))
        except TimedOut:
            continue
    assert got == list(range(2000))


def test_one_consumer_in_two_loops_one_after_the_other(buffer: Buffer[int], consumer: Consumer[int], crew: Any) -> None:
    """The reader follows its user to a new event loop, also when it slept in the first, and back to a thread."""

    async def read() -> int:
        waiting = asyncio.create_task(consumer.get_async())
        await asyncio.sleep(0)
        crew.start(buffer.put, 7)
        return await waiting

    assert [asyncio.run(read()) for _ in range(5)] == [7] * 5
    crew.start(buffer.put, 8)
    assert consumer.get(timeout=60) == 8
    consumer.close()


@pytest.mark.slow
def test_a_loop_ends_quietly_while_others_put(buffer: Buffer[int], crew: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Loops whose waiting tasks are cancelled at their end leave no waker, task or warning behind."""
    stop = threading.Event()

    def put() -> None:
        while not stop.is_set():
            buffer.put(1)
            buffer.size()

    async def read(consumer: Consumer[int], left: list[asyncio.Task[int]]) -> None:
        for _ in range(20):
            consumer.seek("newest")
            await consumer.get_async()
        consumer.seek("newest")
        left.append(asyncio.create_task(consumer.get_async()))
        await asyncio.sleep(0)

    crew.start(put)
    for _ in range(15):
        consumer = buffer.consumer("newest")
        asyncio.run(read(consumer, []))
        consumer.close()
    stop.set()
    crew.join()
    gc.collect()
    assert (buffer.log.sleepers, caplog.records) == ([], [])


def test_async_for_gives_the_loop_back(buffer: Buffer[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that reads a backlog lets others have their turn every few milliseconds, by iterating as by getting."""
    milliseconds = itertools.count()
    monkeypatch.setattr("go_state.buffer.consumer.time.monotonic", lambda: next(milliseconds) / 1000)
    buffer.put(*range(400))
    buffer.close()
    turns = 0

    async def beat() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> None:
        beating = asyncio.create_task(beat())
        consumer = buffer.consumer()
        for _ in range(200):
            await consumer.get_async()
        before = turns
        assert before > 50
        async for _ in consumer:
            pass
        assert turns > before + 50
        beating.cancel()

    asyncio.run(main())


@pytest.mark.parametrize("timeout", [float("nan"), "1", [1]])
def test_a_timeout_is_a_number_of_seconds(buffer: Buffer[int], timeout: Any) -> None:
    """Anything else is refused before the wait, whether or not a message is there."""
    buffer.put(1)
    consumer = buffer.consumer()
    for wait in (consumer.get, consumer.cursor.wait, buffer.consumer("newest").cursor.wait):
        with pytest.raises(UsageError, match="timeout is a number of seconds"):
            wait(timeout=timeout)
    for wait_async in (consumer.get_async, consumer.cursor.wait_async, buffer.close_async):
        with pytest.raises(UsageError, match="timeout is a number of seconds"):
            asyncio.run(wait_async(timeout=timeout))
    with pytest.raises(UsageError, match="timeout is a number of seconds"):
        buffer.close(timeout=timeout)
    assert not buffer.closed
