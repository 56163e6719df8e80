"""What a finalizer or a signal handler may do: it interrupts anything, at any bytecode, and puts."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

import go_state as gs
from go_state.buffer import Buffer

BUFFERS: dict[str, Callable[[], Buffer[Any]]] = {
    "unbounded": Buffer,
    "bounded": lambda: Buffer(maxsize=50),
    "with a policy": lambda: Buffer(retention=gs.retention.fixed(50)),
    "that keeps all": lambda: Buffer(retention=gs.retention.keep_all),
}


def in_time(work: Callable[[], object]) -> None:
    """Do the work in a thread of its own, which a deadlock leaves behind."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "a put waits for the lock that its own thread holds"
    if errors:
        raise errors[0]


@pytest.mark.parametrize("kind", BUFFERS)
@pytest.mark.parametrize("count", [1, 2])
def test_a_message_that_is_dropped_may_put(kind: str, count: int) -> None:
    """Its `__del__` runs while the buffer forgets it, and what it puts is read."""
    buffer = BUFFERS[kind]()

    class Session:
        def __del__(self) -> None:
            buffer.put(*["left"] * count)

    def work() -> None:
        consumer = buffer.consumer()
        for _ in range(8):
            buffer.put(Session())
        while not consumer.empty():
            consumer.cursor.take(1)
            consumer.commit()
            buffer.size()

    in_time(work)


def at_bytecode(number: int, interrupt: Callable[[], object]) -> tuple[Callable[..., Any], list[int]]:
    """Return a trace function that calls `interrupt` at so many bytecodes of the buffer, and how many there were."""
    seen = [0]

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        if "go_state/buffer" not in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            if seen[0] == number:
                seen[0] += 1
                interrupt()
            else:
                seen[0] += 1
        return trace

    return trace, seen


def look(consumer: gs.Consumer[Any]) -> None:
    consumer.cursor.take(1)
    with suppress(gs.TimedOut):
        consumer.cursor.wait(-1)


def commit_one(buffer: Buffer[Any], consumer: gs.Consumer[Any]) -> None:
    consumer.cursor.take(1)
    consumer.commit()


WORK: dict[str, Callable[[Buffer[Any], Any], object]] = {
    "put": lambda buffer, consumer: buffer.put("own"),
    "put two": lambda buffer, consumer: buffer.put("own", "own"),
    "take": lambda buffer, consumer: consumer.cursor.take(5),
    "commit": commit_one,
    "settle": lambda buffer, consumer: consumer.cursor.settle(0, ("own",), True),
    "statistics": lambda buffer, consumer: buffer.statistics(),
    "open a reader": lambda buffer, consumer: buffer.consumer().close(),
    "close": lambda buffer, consumer: buffer.close(),
    "rollback": lambda buffer, consumer: (consumer.cursor.take(1), consumer.rollback()),
    "wait": lambda buffer, consumer: look(consumer),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", BUFFERS)
@pytest.mark.parametrize("what", WORK)
@pytest.mark.parametrize("count", [1, 2])
def test_a_put_may_interrupt_every_bytecode(kind: str, what: str, count: int) -> None:
    """It enters once and in order, or is told that the buffer is closed, wherever it has come."""

    def interrupted(number: int) -> bool:
        buffer = BUFFERS[kind]()
        consumer = buffer.consumer()
        buffer.put("first")
        entered: list[str] = []

        def put() -> None:
            try:
                buffer.put(*["late"] * count)
            except gs.Closed:
                return
            entered.extend(["late"] * count)

        trace, seen = at_bytecode(number, put)
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            WORK[what](buffer, consumer)
        finally:
            sys.settrace(before)
        own = {"put": 1, "put two": 2, "settle": 1}.get(what, 0)
        assert sorted(buffer.slice()[-len(entered) - own :] if entered or own else []) == sorted(entered + ["own"] * own)
        assert consumer.diff() + consumer.position == 1 + own + len(entered)
        return seen[0] > number

    def work() -> None:
        number = 0
        while interrupted(number) or number < 2:  # Python 3.12 traces no bytecode of the first call
            number += 1
        assert number > 10

    in_time(work)


def test_a_signal_handler_may_put() -> None:
    """It interrupts the main thread in the middle of its own puts and reads, and no message is lost."""
    buffer: Buffer[str] = Buffer()
    consumer = buffer.consumer()
    count = 0

    def handle(number: int, frame: object) -> None:
        nonlocal count
        count += 1
        buffer.put("signal", "signal")

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    read: list[str] = []
    try:
        while count < 200:
            buffer.put("own")
            buffer.statistics()
            read += consumer.cursor.take(5)
            consumer.commit()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    while messages := consumer.cursor.take(1000):
        read += messages
    assert read.count("signal") == 2 * count


def test_no_wake_up_is_lost_while_threads_take_turns_at_every_bytecode() -> None:
    """Each message of several threads wakes a sleeping reader, in a thread and on a loop."""
    buffer: Buffer[int] = Buffer()

    def reading() -> None:
        with buffer.consumer("newest") as consumer:
            ready.release()
            while consumer.get(timeout=20):
                ready.release()

    async def reading_async() -> None:
        async with buffer.consumer("newest") as consumer:
            ready.release()
            while await consumer.get_async(timeout=20):
                ready.release()

    ready = threading.Semaphore(0)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=reading), threading.Thread(target=lambda: asyncio.run(reading_async()))]
        for thread in threads:
            thread.start()
        for number in range(1001):
            assert ready.acquire(timeout=20)
            assert ready.acquire(timeout=20)
            buffer.put(number < 1000)
    finally:
        sys.setswitchinterval(interval)
        buffer.close()
    for thread in threads:
        thread.join()
