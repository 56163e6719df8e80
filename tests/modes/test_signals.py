"""A signal asks a batch to end between messages; the second one is as before."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers

numbers: gs.Program[list[int], int] = gs.reducer(list, lambda model, msg: [*model, msg])


def add(model: int, msg: int) -> int:
    return model + msg


total: gs.Program[int, int] = gs.reducer(int, add)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_a_batch_between_messages(drivers: Drivers, number: int) -> None:
    """The message under way is processed, the next is not, and the result says why."""

    def update(model: list[int], msg: int) -> gs.Step[list[int], int]:
        if msg == 2:
            os.kill(os.getpid(), number)
        return [*model, msg], ()

    with gs.signals() as stop:
        result = drivers.batch(gs.Program(lambda: ([], ()), update), iter(range(1_000_000)), stop=stop)
    assert (result.model, result.ended) == ([0, 1, 2], "stopped")


def test_signal_ends_a_wait_for_an_async_source() -> None:
    """A batch that waits on the loop for its source is freed."""

    async def source() -> AsyncIterator[int]:
        yield 1
        terminate()
        await asyncio.Event().wait()

    with gs.signals() as stop:
        result = asyncio.run(gs.batch_async(numbers, source(), stop=stop))
    assert (result.model, result.ended) == ([1], "stopped")


def test_signal_ends_a_wait_for_a_blocked_source(drivers: Drivers) -> None:
    """A batch that reads ahead saves and ends while its source blocks; only its thread waits for the source."""
    saved = threading.Event()
    freed: list[bool] = []

    def source() -> Iterator[int]:
        yield 1
        threading.Timer(0.05, terminate).start()
        freed.append(saved.wait(20))
        yield 2

    store = gs.MemoryStore()
    with gs.signals() as stop:
        result = drivers.aggregate(
            total, source(), store=store, key="k", stop=stop, prefetch=2, on_commit=lambda changed, position: saved.set()
        )
    assert freed == [True]
    assert (result.model, result.ended) == (1, "stopped")
    assert gs.load_model(total, store=store, key="k") == 1


def test_second_signal_gets_the_old_handler() -> None:
    """After the first signal the handlers are as before, so that a second one interrupts as usual."""
    got: list[int] = []
    old = signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    try:
        with gs.signals() as stop:
            terminate()
            assert (stop.is_set(), got) == (True, [])
            terminate()
            assert got == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, old)


def test_second_ctrl_c_interrupts() -> None:
    """A second Ctrl-C is a KeyboardInterrupt."""

    def update(model: int, msg: int) -> gs.Step[int, int]:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        return model, ()

    with gs.signals() as stop, pytest.raises(KeyboardInterrupt):
        gs.batch(gs.Program(lambda: (0, ()), update), [1, 2], stop=stop)


@pytest.mark.parametrize("raised", [False, True])
def test_handlers_are_given_back(raised: bool) -> None:
    """Leaving the block gives the old handlers back, also by an exception."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    try:
        with gs.signals():
            assert signal.getsignal(signal.SIGTERM) not in before
            if raised:
                raise LookupError
    except LookupError:
        assert raised
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_only_the_signals_asked_for() -> None:
    """With numbers given, others keep their handlers."""
    before = signal.getsignal(signal.SIGTERM)
    with gs.signals(signal.SIGUSR1) as stop:
        assert signal.getsignal(signal.SIGTERM) == before
        os.kill(os.getpid(), signal.SIGUSR1)
        assert stop.is_set()


def test_switch_calls_back_from_the_thread_that_sets_it() -> None:
    """Who registered hears of it once, and not after its block."""
    switch, heard = gs.StopSwitch(), []
    with switch.calling(lambda: heard.append(threading.get_ident())):
        thread: Any = threading.Thread(target=switch.set)
        thread.start()
        thread.join()
    switch.set()
    assert heard == [thread.ident]


def test_a_signal_that_cannot_be_caught_leaves_no_handler() -> None:
    """When one of the signals is refused by the system, those before it have their old handlers again."""
    mine = lambda number, frame: None  # noqa: E731
    old = signal.signal(signal.SIGTERM, mine)
    try:
        with pytest.raises(OSError, match="Invalid argument"), gs.signals(signal.SIGTERM, signal.SIGKILL):
            pytest.fail("the block was entered")
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, old)


@pytest.mark.parametrize("make", [gs.StopSwitch, threading.Event])
async def test_a_message_that_comes_with_the_stop_is_not_lost(make: Callable[[], Any]) -> None:
    """What an async source gives while the switch is set was taken from it, and is processed before the end."""
    stop = make()

    async def source() -> AsyncIterator[int]:
        yield 0
        stop.set()
        yield 1
        yield 2

    collect: gs.Program[tuple[int, ...], int] = gs.reducer(tuple, lambda model, msg: (*model, msg))
    result = await gs.batch_async(collect, source(), stop=stop)
    assert (result.model, result.ended) == ((0, 1), "stopped")
