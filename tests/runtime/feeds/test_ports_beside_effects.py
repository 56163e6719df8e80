"""A queue of one's own whose get waits, while commands, timers and streams bring messages of their own."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers
from effects_support import fail, heard, said, task, thread

import go_state as gs
from go_state.testing import SimClock

drivers = both_drivers.drivers

END = "end"


class Blocking:
    """A queue whose get blocks its thread, and ends at END."""

    def __init__(self) -> None:
        self.queue = queue.SimpleQueue[str]()
        self.log: list[str] = []

    def put(self, *messages: str) -> None:
        for message in messages:
            self.queue.put(message)

    def get(self) -> str:
        message = self.queue.get()
        if message == END:
            raise gs.Closed("no more")
        return message

    def commit(self) -> None:
        self.log.append("commit")

    def rollback(self) -> None:
        self.log.append("rollback")


class Awaiting(Blocking):
    """The same, whose get waits on the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = asyncio.Event()

    def put(self, *messages: str) -> None:
        super().put(*messages)
        self.ready.set()

    async def get_async(self) -> str:
        while self.queue.empty():
            self.ready.clear()
            await self.ready.wait()
        return super().get()


def play(drivers: Drivers, program: Any, **how: Any) -> Any:
    """Run the program over a queue of the driver's kind."""
    port = Blocking() if drivers.name == "thread" else Awaiting()
    return drivers.run(program, producer=port, consumer=port, **how)


def ending(*commands: Any, count: int, **parts: Any) -> Any:
    """Return a program that performs the commands, and ends its queue after so many messages."""

    def update(model: tuple[str, ...], name: str) -> Any:
        model = (*model, name)
        return model, [gs.Cmd.send(END)] if len(model) == count else ()

    return gs.Program(lambda: ((), list(commands)), update, **parts)


def test_what_commands_bring_ends_the_wait(drivers: Drivers) -> None:
    """A task and a thread that are done while get waits: their messages are put, and got."""
    assert sorted(play(drivers, ending(task("task"), thread("thread"), count=2))) == ["task", "thread"]


def test_a_failure_as_message_ends_the_wait(drivers: Drivers) -> None:
    """What fails with err= is a message like others."""
    assert play(drivers, ending(gs.Cmd.call(fail, "no", err=said), count=1)) == ("LookupError: no",)


def test_timers_end_the_wait(drivers: Drivers) -> None:
    """Timers of commands and subscriptions, one after the other, and never twice."""
    clock = SimClock(jumps=True)
    program = ending(gs.Cmd.after(8, "after"), count=3, subscriptions=lambda model: [gs.Sub.at(3, "at"), gs.Sub.at(7, "last")])
    assert play(drivers, program, clock=clock) == ("at", "last", "after")
    assert clock.time() == 8


def test_a_stream_ends_the_wait(drivers: Drivers) -> None:
    """What a stream gives is put, and got."""

    async def numbers() -> AsyncIterator[str]:
        for number in range(3):
            yield str(number)

    assert play(drivers, ending(count=3, subscriptions=lambda model: [gs.Sub.stream(numbers)])) == ("0", "1", "2")


def test_a_failing_command_ends_the_run_though_get_waits() -> None:
    """Without err= the run ends at once, and no message is waited for; a get in a thread goes on, and the run says so."""
    port = Blocking()
    before = set(threading.enumerate())
    with pytest.warns(gs.errors.LeftRunning, match="get_async"), pytest.raises(LookupError, match="no"):
        gs.run(heard(gs.Cmd.call(fail, "no")), producer=port, consumer=port)
    [left] = set(threading.enumerate()) - before
    port.put(END)
    left.join(10)
    assert not left.is_alive()
    awaiting = Awaiting()
    with pytest.raises(LookupError, match="no"):
        asyncio.run(gs.run_async(heard(gs.Cmd.call(fail, "no")), producer=awaiting, consumer=awaiting))


async def test_a_get_that_is_given_up_loses_nothing() -> None:
    """What it has brought by then is given again."""

    class Stubborn(Awaiting):
        async def get_async(self) -> str:
            try:
                return await super().get_async()
            except asyncio.CancelledError:
                return "a message"  # that had just come

    port = Stubborn()
    with pytest.raises(LookupError, match="no"):
        await gs.run_async(heard(gs.Cmd.call(fail, "no")), producer=port, consumer=port)
    assert port.log == ["rollback"]


def test_messages_from_outside_and_inside_meet(drivers: Drivers) -> None:
    """Hundreds of each, in their own order, none lost."""
    port: Any = Blocking() if drivers.name == "thread" else Awaiting()
    count = 300

    async def step(number: int) -> str:
        await asyncio.sleep(0)
        return f"inside {number}"

    def update(model: tuple[str, ...], name: str) -> Any:
        model = (*model, name)
        kind, number = name.split()
        if len(model) == 2 * count:
            return model, [gs.Cmd.send(END)]
        return model, [gs.Cmd.call(step, int(number) + 1)] if kind == "inside" and int(number) < count - 1 else ()

    program: Any = gs.Program(lambda: ((), [gs.Cmd.call(step, 0)]), update)

    def outside(put: Callable[[str], object]) -> None:
        for number in range(count):
            put(f"outside {number}")

    if drivers.name == "thread":
        sender = threading.Thread(target=outside, args=(port.put,))
        sender.start()
        model = drivers.run(program, producer=port, consumer=port)
        sender.join()
    else:

        async def both() -> Any:
            loop = asyncio.get_running_loop()
            put = asyncio.to_thread(outside, lambda name: loop.call_soon_threadsafe(port.put, name))
            return (await asyncio.gather(gs.run_async(program, producer=port, consumer=port), put))[0]

        model = asyncio.run(both())
    for kind in ("inside", "outside"):
        assert [name for name in model if name.startswith(kind)] == [f"{kind} {number}" for number in range(count)]


def test_a_subscription_that_a_turn_begins_ends_the_wait(drivers: Drivers) -> None:
    """Also one that was not there when the run began to take messages."""

    def subscriptions(model: tuple[str, ...]) -> list[gs.Sub[str]]:
        return [gs.Sub.at(5, "alarm")] if model == ("go",) else []

    port = Blocking() if drivers.name == "thread" else Awaiting()
    port.put("go")
    program = ending(count=2, subscriptions=subscriptions)
    assert drivers.run(program, producer=port, consumer=port, clock=SimClock(jumps=True)) == ("go", "alarm")
