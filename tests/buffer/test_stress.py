"""Races and load: many threads and loops at once, with exact counts."""

from __future__ import annotations

import asyncio
import dis
import gc
import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from go_state import Buffer, Closed, Consumer, TimedOut


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns five hundred times as often as usual, which makes races of one in a million common."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["one", "same object", "together", "mixed"])
def test_put_against_close_counts(crew: Any, hasty: None, kind: str) -> None:
    """Whatever crosses with a close: what put accepted can be read, what it refused raised Closed, no more and no less."""

    def put(buffer: Buffer[Any], barrier: threading.Barrier, thread: int) -> list[Any]:
        accepted: list[Any] = []
        barrier.wait(60)
        try:
            for number in range(5_000_000):
                several = kind == "together" or (kind == "mixed" and number % 3 == 0)
                messages = [None] if kind == "same object" else [(thread, number, i) for i in range(1 + 2 * several)]
                buffer.put(*messages)
                accepted += messages
        except Closed:
            return accepted
        raise AssertionError("the buffer was never closed")

    for repetition in range(40):
        buffer: Buffer[Any] = Buffer()
        barrier = threading.Barrier(4)
        for thread in range(3):
            crew.start(put, buffer, barrier, thread)
        with buffer.consumer() as consumer:
            barrier.wait(60)
            while buffer.size() < repetition:
                os.sched_yield()
            buffer.close()
            readable = list(consumer)
        accepted = crew.join()
        assert Counter(readable) == Counter(message for messages in accepted for message in messages)
        if kind != "same object":
            assert all([message for message in readable if message[0] == mine[0][0]] == mine for mine in accepted if mine)
        crew.threads.clear()
        crew.results.clear()


@pytest.mark.parametrize("close_first", [True, False])
def test_a_put_that_crosses_with_close_is_refused_or_kept(close_first: bool) -> None:
    """What is appended before the close's cut is accepted, and what is appended after it is refused and not there."""
    buffer: Buffer[str] = Buffer()
    append = buffer.log.append

    def cross(message: str) -> None:
        for step in (buffer.close, lambda: append(message))[:: 1 if close_first else -1]:
            step()

    buffer.log.append = cross  # type: ignore[method-assign]
    if close_first:
        with pytest.raises(Closed):
            buffer.put("x")
    else:
        buffer.put("x")
    assert (buffer.slice(), buffer.log.inbox) == ([] if close_first else ["x"], [])


def shut(buffer: Buffer[int], go: threading.Barrier) -> int:
    go.wait(60)
    buffer.close()
    return 0


@pytest.mark.slow
def test_put_after_close_is_never_seen(crew: Any, hasty: None) -> None:
    """A reader that found Closed finds nothing more, however the puts crossed with the close."""
    for _ in range(100):
        buffer: Buffer[int] = Buffer()
        consumer = buffer.consumer()
        go = threading.Barrier(3)

        def put(buffer: Buffer[int] = buffer, go: threading.Barrier = go) -> int:
            go.wait(60)
            for accepted in range(50_000_000):
                try:
                    buffer.put(accepted)
                except Closed:
                    return accepted
            raise AssertionError

        crew.start(put)
        crew.start(shut, buffer, go)
        go.wait(60)
        count = sum(1 for _ in consumer)
        end = buffer.statistics().end
        assert count == end == sum(crew.join())
        assert buffer.statistics().end == end
        crew.threads.clear()
        crew.results.clear()


def test_ping_pong_loses_no_wake_up(crew: Any, hasty: None) -> None:
    """Two threads that answer each other, so that each sleeps before every message, come to the end."""
    there: Buffer[int] = Buffer()
    back: Buffer[int] = Buffer()

    def echo() -> None:
        with there.consumer() as consumer:
            for message in consumer:
                back.put(message)

    crew.start(echo)
    with back.consumer() as consumer:
        for number in range(5000):
            there.put(number)
            assert consumer.get(timeout=60) == number
            consumer.commit()
    there.close()


def test_ping_pong_between_loops_loses_no_wake_up(crew: Any, hasty: None) -> None:
    """Two event loops in two threads likewise."""
    there: Buffer[int] = Buffer()
    back: Buffer[int] = Buffer()

    async def echo() -> None:
        async with there.consumer() as consumer:
            async for message in consumer:
                back.put(message)

    async def ask() -> None:
        async with back.consumer() as consumer:
            for number in range(1000):
                there.put(number)
                assert await consumer.get_async(timeout=60) == number
        there.close()

    crew.start(asyncio.run, echo())
    crew.start(asyncio.run, ask())
    crew.join()


def test_readers_that_look_lose_no_wake_up_of_others(crew: Any, hasty: None) -> None:
    """A message that another thread's look took in still wakes the reader that sleeps."""
    buffer: Buffer[int] = Buffer()
    back: Buffer[int] = Buffer()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            buffer.size()

    def echo() -> None:
        with buffer.consumer() as consumer:
            for message in consumer:
                back.put(message)

    crew.start(look)
    crew.start(echo)
    with back.consumer() as consumer:
        for number in range(300):
            buffer.put(number)
            assert consumer.get(timeout=60) == number
    stop.set()
    buffer.close()


def test_an_interrupt_doubles_nothing() -> None:
    """A look that Ctrl-C interrupts anywhere inside of it leaves each message in the buffer once."""
    interrupted = Interrupted()
    for step in range(1, 200):
        buffer: Buffer[int] = Buffer()
        with buffer.consumer() as consumer:
            for number in range(5):
                buffer.put(number)
            ended = interrupted.after(step, buffer.size)
            buffer.put(5)
            assert consumer.cursor.take(100) == [0, 1, 2, 3, 4, 5]
        if ended:
            return
    raise AssertionError("size() never came to its end")


class Interrupted:
    """Runs a function and interrupts it after so many traced bytecodes at which CPython may deliver a signal."""

    def after(self, steps: int, fn: Callable[[], object]) -> bool:
        """Return True when the function ended before its interrupt."""

        def trace(frame: FrameType, event: str, arg: object) -> Any:
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
            nonlocal steps
            if event == "call" or (event == "opcode" and after_a_call(frame)):
                steps -= 1
                if steps == 0:
                    raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            fn()
        except KeyboardInterrupt:
            return False
        finally:
            sys.settrace(before)
        return True


def after_a_call(frame: FrameType) -> bool:
    """Signals are delivered when a call has returned: tell whether the instruction before this one was a call."""
    return dis.opname[frame.f_code.co_code[call_before(frame)]] in ("CALL", "CALL_FUNCTION_EX")


def call_before(frame: FrameType) -> int:
    """Return the offset of the instruction before the frame's, caches skipped."""
    offsets = [instruction.offset for instruction in dis.get_instructions(frame.f_code) if instruction.offset < frame.f_lasti]
    return offsets[-1] if offsets else 0


# ---------------------------------------------------------------------- the big one

PUTTERS = 4
EACH = 250_000  # at least, from each putter, before the close


class Reading:
    """One reader's diary: what it committed, what it has pending, and whose burst it answers."""

    def __init__(self, number: int, consumer: Consumer[int], echoes: list[threading.Semaphore]) -> None:
        self.number = number
        self.consumer = consumer
        self.random = random.Random(number)
        self.seen: list[int] = []
        self.answered = 0
        self.echoes = echoes
        self.interrupted = 0

    def took(self, message: int) -> None:
        """Note a message; now and then commit or roll back; answer the putter whose burst ends with it."""
        self.seen.append(message)
        if message < 0 and -message % 4 == self.number and len(self.seen) > self.answered:
            self.echoes[(-message >> 2) % PUTTERS].release()
            self.answered = len(self.seen)  # a message that is given again is answered once
        if len(self.seen) % 64 == 0:
            if self.random.random() < 0.1:
                del self.seen[-self.consumer.rollback() :]
            else:
                self.consumer.commit()

    def read(self) -> None:
        """Read in a thread, with time-outs, until the buffer is closed and drained."""
        while True:
            try:
                self.took(self.consumer.get(timeout=self.random.random() * 1e-5 if self.random.random() < 0.1 else 60))
            except TimedOut:
                self.interrupted += 1
            except Closed:
                return

    async def read_async(self) -> None:
        """Read in an event loop, with time-outs and cancelled tasks."""
        async with self.consumer:
            while True:
                chance = self.random.random()
                try:
                    if chance < 0.01:
                        self.took(await self.cancelled(self.random.randrange(4)))
                    else:
                        self.took(await self.consumer.get_async(self.random.random() * 1e-5 if chance < 0.05 else 60))
                except (TimedOut, asyncio.CancelledError):
                    self.interrupted += 1
                except Closed:
                    return

    async def cancelled(self, steps: int) -> int:
        """Start a get in a task and cancel it some steps of the loop later, whether it waits, is woken or has ended."""
        task = asyncio.create_task(self.consumer.get_async())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        return await task


def put_until_closed(buffer: Buffer[int], putter: int, echo: threading.Semaphore, crossed: Callable[[], object]) -> list[int]:
    """Put bursts and wait after each for a reader's answer, so that readers fall asleep; return what was accepted."""
    rng = random.Random(100 + putter)
    accepted: list[int] = []
    try:
        for burst in range(1_000_000):
            for _ in range(rng.randrange(300)):
                message = len(accepted) * PUTTERS + putter
                buffer.put(message)
                accepted.append(message)
                if len(accepted) == EACH:
                    crossed()
            ends = -(((len(accepted) * PUTTERS + putter) << 2) + burst % 4)
            extra = [] if burst % 3 else [(len(accepted) + 1) * PUTTERS + putter]
            buffer.put(ends, *extra)
            accepted += [ends, *extra]
            if len(accepted) - len(extra) <= EACH + 1 and len(accepted) >= EACH:
                crossed()
            assert echo.acquire(timeout=60), "no reader answered: a wake-up was lost"
    except Closed:
        return accepted
    raise AssertionError("the buffer was never closed")


@pytest.mark.slow
def test_a_million_messages(crew: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Four readers, two in event loops, get what four putters put: nothing lost, doubled, out of order or left asleep."""
    buffer: Buffer[int] = Buffer()
    echoes = [threading.Semaphore(0) for _ in range(PUTTERS)]
    crossed = threading.Semaphore(0)
    readings = [Reading(number, buffer.consumer(), echoes) for number in range(4)]
    for reading in readings:
        crew.start(*((reading.read,) if reading.number < 2 else (asyncio.run, reading.read_async())))
    putting = type(crew)()
    for putter in range(PUTTERS):
        putting.start(put_until_closed, buffer, putter, echoes[putter], crossed.release)
    for _ in range(PUTTERS):
        assert crossed.acquire(timeout=100)
    buffer.close()
    accepted = putting.join()
    crew.join()
    assert sum(map(len, accepted)) >= PUTTERS * EACH
    check(readings, accepted)
    gc.collect()
    assert (buffer.log.sleepers, caplog.records) == ([], [])


def check(readings: list[Reading], accepted: list[list[int]]) -> None:
    """Every reader saw one and the same order, in which each putter's accepted messages are just those it put."""
    seen = readings[0].seen
    assert all(reading.seen == seen for reading in readings)
    assert all(reading.interrupted > 20 for reading in readings)
    by_putter: dict[int, list[int]] = {putter: [] for putter in range(PUTTERS)}
    for message in seen:
        by_putter[(-message >> 2 if message < 0 else message) % PUTTERS].append(message)
    assert sorted(by_putter.values()) == sorted(accepted)
