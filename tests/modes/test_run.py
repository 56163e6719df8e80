"""Run: what it accepts, how it ends, and how it waits."""

import asyncio
import threading
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers

total = gs.reducer(int, lambda model, msg: model + msg)


def test_returns_the_last_model(drivers: Drivers) -> None:
    """A run over a closed buffer returns when all is processed."""
    buffer: gs.Buffer[int] = gs.Buffer()
    buffer.put(1, 2, 3)
    buffer.close()
    assert drivers.run(total, buffer) == 6


def test_waits_for_threads_that_put(drivers: Drivers) -> None:
    """Messages put by another thread while the run waits are processed, in order, until the close."""
    buffer: gs.Buffer[int] = gs.Buffer()

    def put() -> None:
        for number in range(1000):
            buffer.put(number)
        buffer.close()

    collect: gs.Program[tuple[int, ...], int] = gs.reducer(tuple, lambda model, msg: (*model, msg))
    thread = threading.Thread(target=put)
    thread.start()
    assert drivers.run(collect, buffer) == tuple(range(1000))
    thread.join()


def test_reader_and_its_buffer_as_ports(drivers: Drivers) -> None:
    """A buffer and one of its consumers are read like the buffer, from where the consumer stands."""
    with gs.Buffer() as buffer, buffer.consumer() as consumer:
        buffer.put(1, 2, 4)
        consumer.get()
        consumer.commit()
        buffer.close()
        assert drivers.run(total, producer=buffer, consumer=consumer) == 6
        assert consumer.committed == 3


def test_two_buffers_as_ports(drivers: Drivers) -> None:
    """Messages may come from one buffer and go to another."""
    with gs.Buffer() as source, gs.Buffer(retention=gs.retention.keep_all) as sink:
        consumer = source.consumer()
        source.put(1, 2)
        source.close()
        forward = gs.Program(lambda: (None, ()), lambda model, msg: (None, [gs.Cmd.send(msg * 10)]))
        drivers.run(forward, producer=sink, consumer=consumer)
        assert sink.slice() == [10, 20]


def test_bounded_buffer_takes_the_runs_own_messages(drivers: Drivers) -> None:
    """A run never blocks or fails on the bound that outsiders have."""
    buffer: gs.Buffer[int] = gs.Buffer(maxsize=1)
    buffer.put(5)
    buffer.close()
    program = gs.Program(lambda: (0, ()), lambda model, msg: (model + 1, [gs.Cmd.send(msg - 1, msg - 1)] if msg else ()))
    assert drivers.run(program, buffer) == 63


def test_reader_of_a_failed_run_is_struck_off(drivers: Drivers) -> None:
    """After a run that failed the buffer has no reader of its own left."""
    buffer: gs.Buffer[Any] = gs.Buffer()
    buffer.put("not a number")
    with pytest.raises(TypeError):
        drivers.run(total, buffer)
    assert buffer.statistics().readers == ()


async def test_waiting_run_is_freed_by_close() -> None:
    """A run that waits on the loop ends when the buffer is closed from a thread."""
    buffer: gs.Buffer[int] = gs.Buffer()
    task = asyncio.create_task(gs.run_async(total, buffer))
    await asyncio.sleep(0)
    await asyncio.to_thread(buffer.close)
    assert await task == 0


def test_no_thread_is_left(drivers: Drivers) -> None:
    """A run starts no thread that outlives it."""
    before = set(threading.enumerate())
    with gs.Buffer() as buffer:
        buffer.put(1)
    drivers.run(total, buffer)
    assert not set(threading.enumerate()) - before
