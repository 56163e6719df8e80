"""What attacks have found: each of these once lost a message, began what it should not, or waited for itself."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers
from effects_support import Gate, closed, failing, heard, plain, soon, task

import go_state as gs
from go_state.runtime.flow.driver import refuse_running_loop
from go_state.testing import Harness, SimClock

drivers = both_drivers.drivers


def test_an_asyncio_that_another_thread_is_importing_runs_no_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-imported module is none that could run one."""
    monkeypatch.setitem(sys.modules, "asyncio", types.ModuleType("asyncio"))
    refuse_running_loop("start")


def test_a_command_can_stop_its_app() -> None:
    """It asks for the end and does not wait for it, for the end waits for the command."""
    holder: list[gs.App[Any, Any]] = []

    def quit_in_thread() -> None:
        holder[-1].stop()

    async def quit_in_task() -> None:
        await holder[-1].stop_async()

    for call in (gs.Cmd.call(quit_in_thread, thread=True), gs.Cmd.call(quit_in_task)):
        holder.append(gs.start(heard(on=lambda name, call=call: [call] if name == "quit" else ())))
        holder[-1].send("quit", "after")
        assert holder[-1].wait(10) == ("quit", "after")


def test_what_has_timed_out_is_not_tried_again() -> None:
    """Its thread, which waits for its next try, ends instead; whatever `err` takes its time for."""
    tried: list[str] = []
    slow = threading.Event()

    def pay() -> None:
        tried.append("try")
        raise ConnectionError("no")

    def err(failure: gs.Failure) -> str:
        slow.wait(0.05)  # as long as the thread would need to try again
        return failure.kind

    call = gs.Cmd.call(pay, thread=True, timeout=5, retry=gs.Retry(3, wait=10, jitter=0), err=err)
    assert gs.batch(heard(call), [], clock=SimClock(jumps=True)).model == ("TimedOut",)
    assert tried == ["try"]


def test_what_came_before_a_failure_in_its_sequence_is_heard(drivers: Drivers) -> None:
    """The message of a part that is done, and of the plain ones after it, up to the one that fails."""
    sequence = gs.Cmd.seq(task("paid"), gs.Cmd.call(plain, "noted"), gs.Cmd.call(failing, "no"), gs.Cmd.call(plain, "never"))
    result = drivers.batch(heard(on=lambda name: [sequence] if name == "go" else ()), ["go"], on_error=gs.SetAside())
    assert result.model == ("go", "paid", "noted")
    assert [str(failed.error) for failed in result.set_aside] == ["no"]


def test_a_cancel_of_all_begins_nothing() -> None:
    """Neither what waits for a key nor what waits for room."""
    gate = Gate()
    calls = [
        gs.Cmd.call(soon, "A", key="k"),
        gs.Cmd.call(gate.hold_thread, "pay", thread=True, key="k", busy="queue"),
        gs.Cmd.call(gate.hold, "held"),
        gs.Cmd.call(gate.hold, "waiting"),
    ]
    with gs.start(
        heard(*calls, on=lambda name: [gs.Cmd.cancel()] if name == "cancel" else ()), effects=gs.Effects(at_once=1)
    ) as app:
        with app.watch() as models:
            assert models.get(10) in ((), ("A",))
        gate.wait_for("held")
        assert app.apply("cancel", timeout=10) == ("A", "cancel")
        assert app.statistics().commands_running == 0
    assert gate.begun == ["held"]


def test_what_cannot_be_part_of_a_key_is_refused_in_its_turn(drivers: Drivers) -> None:
    """The turn is rolled back and can be set aside; without a key it is as good as any other."""
    keyed, unkeyed = (gs.Cmd.map([gs.Cmd.call(soon, "x", **how)], lambda _, name: name, [1]) for how in ({"key": "k"}, {}))
    commands = {"keyed": keyed, "unkeyed": unkeyed, "cancel": gs.Cmd.map([gs.Cmd.cancel("k")], lambda _, name: name, [1])}
    result = drivers.batch(
        heard(on=lambda name: commands.get(name, ())), ["keyed", "cancel", "unkeyed"], on_error=gs.SetAside()
    )
    assert result.model == ("unkeyed", "x")
    assert ["hashed" in str(failed.error) for failed in result.set_aside] == [True, True]


@pytest.mark.parametrize(("busy", "model"), [("skip", ("go", "slow")), ("queue", ("go", "slow", "plain"))])
def test_a_plain_call_minds_a_key_that_is_taken(drivers: Drivers, busy: Any, model: tuple[str, ...]) -> None:
    """It is left out, or called when its turn comes, in the run's own thread."""
    threads: list[threading.Thread] = []

    def noting(name: str) -> str:
        threads.append(threading.current_thread())
        return name

    program = heard(
        gs.Cmd.call(soon, "slow", key="k"),
        on=lambda name: [gs.Cmd.call(noting, "plain", key="k", busy=busy)] if name == "go" else (),
    )
    buffer = gs.Buffer[str]()
    buffer.put("go")
    buffer.close()
    assert drivers.run(program, buffer) == model
    assert set(threads) <= {threading.current_thread()}
    pending = Harness(program).send("go").resolve(soon, "slow").pending
    assert len(pending) == (busy == "queue")


def test_several_may_listen_for_one_signal() -> None:
    """Each hears it; the process has its handler back when the last one has ended, whichever was first."""

    def subscriptions(model: tuple[str, ...]) -> list[gs.Sub[str]]:
        first = [gs.Sub.signal(signal.SIGUSR1, "a", key="a")] if len(model) < 3 else []
        return [*first, gs.Sub.signal(signal.SIGUSR1, "b", key="b")]

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.getsignal(signal.SIGUSR1)
    buffer = gs.Buffer[str]()

    def update(model: tuple[str, ...], name: str) -> Any:
        model = (*model, name)
        if name == "again":
            return model, [gs.Cmd.call(kill)]
        if len(model) == 3:
            return model, [gs.Cmd.send("again")]
        return model, [gs.Cmd.call(buffer.close)] if len(model) == 5 else ()

    model = gs.run(gs.Program(lambda: ((), [gs.Cmd.send("again")]), update, subscriptions=subscriptions), buffer)
    assert (model[0], sorted(model[1:3]), model[3:]) == ("again", ["a", "b"], ("again", "b"))
    assert signal.getsignal(signal.SIGUSR1) is before


class Key:
    """A key that counts how often two of its kind are compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Key.compared += 1
        return self is other

    def __hash__(self) -> int:
        return object.__hash__(self)


def test_many_keyed_commands_of_one_turn_are_not_compared_with_each_other(drivers: Drivers) -> None:
    """Each is looked up, and what is given up in the turn is free again."""
    Key.compared = 0
    calls = [gs.Cmd.call(plain, 1, key=Key(), busy="skip", ok=lambda result: None) for _ in range(50)]
    calls = [each for call in calls for each in (gs.Cmd.after(0, None, key=call.key), gs.Cmd.cancel(call.key), call)]  # type: ignore[attr-defined]
    drivers.run(gs.Program(lambda: (0, calls), lambda model, msg: (model, ())), closed())
    assert Key.compared < 50


@pytest.fixture
def usr1() -> Iterator[list[int]]:
    """What the process's own handler of SIGUSR1 was called with."""
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    yield heard
    signal.signal(signal.SIGUSR1, before)


def on_usr1() -> gs.Program[tuple[str, ...], str]:
    return heard(subscriptions=lambda model: [gs.Sub.signal(signal.SIGUSR1, "usr1")])


async def test_programs_that_listen_for_one_signal_may_end_in_any_order(usr1: list[int]) -> None:
    """When all have ended, the process's own handler is called again."""
    one, other = gs.start_async(on_usr1()), gs.start_async(on_usr1())
    for app in (one, other):
        await app.__aenter__()
        await app.ready_async()
    await one.__aexit__(None, None, None)
    signal.raise_signal(signal.SIGUSR1)
    with other.watch() as models:
        while await models.get_async() != ("usr1",):
            pass
    assert usr1 == []
    await other.__aexit__(None, None, None)
    signal.raise_signal(signal.SIGUSR1)
    assert usr1 == [signal.SIGUSR1]


@pytest.mark.processes
def test_a_signal_that_python_does_not_handle_does_what_it_does() -> None:
    """Programs that have ended in the order in which they began leave a process that SIGTERM ends."""
    body = """
import asyncio, signal, go_state as gs
program = gs.Program(lambda: (0, ()), lambda model, msg: (model, ()), subscriptions=lambda model: [gs.Sub.signal(signal.SIGTERM, 1)])
async def main():
    one, other = gs.start_async(program), gs.start_async(program)
    for app in (one, other):
        await app.__aenter__()
        await app.ready_async()
    for app in (one, other):
        await app.__aexit__(None, None, None)
    signal.raise_signal(signal.SIGTERM)
asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", body], timeout=60, check=False).returncode == -signal.SIGTERM


def test_a_signal_may_come_while_its_handler_is_put_in_its_place(usr1: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is there hears it, also while the process gets its own handler back."""
    install = signal.signal

    def noisy(number: int, handler: Any) -> Any:
        if number != signal.SIGUSR1:
            return install(number, handler)
        signal.raise_signal(number)
        before = install(number, handler)
        signal.raise_signal(number)
        return before

    monkeypatch.setattr(signal, "signal", noisy)
    buffer = gs.Buffer[str]()
    program = gs.Program(
        lambda: ((), ()),
        lambda model, msg: ((*model, msg), [gs.Cmd.call(buffer.close)]),
        subscriptions=lambda model: [gs.Sub.signal(signal.SIGUSR1, "usr1")],
    )
    assert gs.run(program, buffer) == ("usr1",)
    assert len(usr1) == 3


def test_a_beat_too_fast_to_be_counted_goes_on() -> None:
    """Where the beats that are late are more than a number can say, the next one comes at once."""
    program = gs.Program(
        lambda: (0, ()),
        lambda model, msg: (model + 1, ()),
        subscriptions=lambda model: [gs.Sub.every(5e-324, "beat")] if model < 5 else [],
    )
    with gs.start(program) as app, app.watch() as models:
        while models.get(timeout=20) < 5:
            pass


def test_a_harness_leaves_signals_alone() -> None:
    """It gives them when it is told to, from any thread."""
    before = signal.getsignal(signal.SIGINT)
    h = Harness(heard(subscriptions=lambda model: [gs.Sub.signal(signal.SIGINT, "interrupted")]))
    assert signal.getsignal(signal.SIGINT) is before
    assert h.give(signal.SIGINT).model == ("interrupted",)


async def test_streams_can_stop_their_app() -> None:
    """As commands can."""
    holder: list[gs.App[Any, Any]] = []

    async def ending() -> Any:
        yield "first"
        await holder[0].stop_async()

    holder.append(gs.start_async(heard(subscriptions=lambda model: [gs.Sub.stream(ending)])))
    async with asyncio.timeout(10):
        assert await holder[0].wait_async() == ("first",)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks begin eagerly from Python 3.12 on")
def test_an_app_begins_when_its_starter_has_it() -> None:
    """Also where tasks begin eagerly: what its streams and commands do first finds it started."""
    holder: list[gs.App[Any, Any]] = []

    async def ending() -> Any:
        yield "first"
        await holder[0].stop_async()

    async def main() -> Any:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        holder.append(gs.start_async(heard(subscriptions=lambda model: [gs.Sub.stream(ending)])))
        async with asyncio.timeout(10):
            return await holder[0].wait_async()

    assert asyncio.run(main()) == ("first",)


def test_a_failed_part_is_remembered_through_a_crash() -> None:
    """What follows an `all` of which a part had failed is left out in the next life as well; and no mark of it stays."""
    both = gs.Cmd.all(gs.Cmd.call(failing, "a", err=lambda failure: "a failed"), gs.Cmd.call(soon, "b"))
    sequence = gs.Cmd.seq(both, gs.Cmd.call(plain, "c"))
    for crashes in (False, True):
        h = Harness(heard(on=lambda name: [sequence] if name == "go" else ())).send("go").fail(failing, LookupError("a"))
        if crashes:
            h.crash()
        assert h.resolve(soon, "b").model == ("go", "a failed", "b")
        assert (h.pending, h.noted) == ((), ())
