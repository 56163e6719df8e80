"""What goes wrong with a command or a stream, in every mode and under both drivers: as written, and nothing is left."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers
from effects_support import closed, soon

import go_state as gs
from go_state.testing import SimClock

drivers = both_drivers.drivers


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No test leaves a thread, and none a task that was never awaited."""
    before = set(threading.enumerate())
    gc.freeze()  # what was there before is not looked through, which would take most of these tests' time
    yield
    gc.collect()
    gc.unfreeze()
    left = [thread for thread in set(threading.enumerate()) - before if not thread.name.startswith("asyncio_")]
    assert left == []


@dataclass(frozen=True)
class Model:
    heard: tuple[str, ...] = ()


@dataclass(frozen=True)
class Go:
    pass


@dataclass(frozen=True)
class Said:
    what: str


Msg = Go | Said


CLOCK = SimClock(jumps=True)


async def hang(name: str) -> str:
    await CLOCK.sleep()
    return name


async def cancels_itself(name: str) -> str:
    raise asyncio.CancelledError


async def gives_up(name: str) -> str:
    raise LookupError(name)


def gives_up_in_thread(name: str) -> str:
    raise LookupError(name)


async def nothing(name: str) -> None:
    await asyncio.sleep(0)


async def no_message(name: str) -> Any:
    return 3.5


def ok(name: str) -> Msg:
    return Said(name)


def err(failure: gs.Failure) -> Msg:
    return Said(f"{failure.kind}: {failure.text}")


class Mode:
    """One mode with one command, from the message Go."""

    def __init__(self, drivers: Drivers, name: str) -> None:
        self.drivers = drivers
        self.name = name

    def __call__(self, command: Any, **how: Any) -> tuple[str, ...]:
        def update(model: Model, msg: Msg) -> gs.Step[Model, Msg]:
            match msg:
                case Go():
                    return model, [command, gs.Cmd.after(100, Said("later"))]
                case Said(what):
                    return Model((*model.heard, what)), ()
            raise gs.ProgramError(f"{msg} is no message")

        program = gs.Program(lambda: (Model(), ()), update)
        how.setdefault("clock", CLOCK)
        if self.name == "run":
            return self.drivers.run(program, closed(Go()), **how).heard  # type: ignore[no-any-return]
        if self.name == "batch":
            return self.drivers.batch(program, [Go()], **how).model.heard  # type: ignore[no-any-return]
        with gs.MemoryStore() as store:
            return self.drivers.aggregate(program, [Go()], store=store, key="k", **how).model.heard  # type: ignore[no-any-return]


@pytest.fixture(params=["run", "batch", "aggregate"])
def mode(drivers: Drivers, request: pytest.FixtureRequest) -> Mode:
    return Mode(drivers, request.param)


call = gs.Cmd.call

ANSWERED = {
    "raises": (call(gives_up, "x", ok=ok, err=err), "LookupError: x"),
    "raises in a thread": (call(gives_up_in_thread, "x", ok=ok, err=err, thread=True), "LookupError: x"),
    "hangs": (call(hang, "x", ok=ok, err=err, timeout=3), "TimedOut: hang took longer than 3 seconds"),
    "ok raises nothing and is None": (call(soon, "x", ok=lambda name: None, err=err), None),
    "returns None": (call(nothing, "x", err=err), None),
}


@pytest.mark.parametrize("fault", ANSWERED)
def test_a_fault_with_err_is_a_message(mode: Mode, fault: str) -> None:
    """The run goes on, with what err makes of the failure."""
    command, message = ANSWERED[fault]
    assert mode(command) == (("later",) if message is None else (message, "later"))


RAISED = {
    "raises": (call(gives_up, "x"), LookupError, "x"),
    "raises in a thread": (call(gives_up_in_thread, "x", thread=True), LookupError, "x"),
    "hangs": (call(hang, "x", timeout=3), gs.TimedOut, "hang took longer than 3 seconds"),
    "is cancelled by itself": (call(cancels_itself, "x"), gs.ProgramError, "cancels_itself raised CancelledError"),
    "ok raises": (call(soon, "x", ok=gives_up_in_thread, err=err), LookupError, "x"),
    "err raises": (call(gives_up, "x", err=lambda failure: [][1]), IndexError, "out of range"),
    "gives no message": (call(no_message, "x"), gs.ProgramError, "3.5 is no message"),
    "a plain function with a timeout": (call(ok, "x", timeout=3), gs.ProgramError, "give Cmd.call thread=True"),
    "a coroutine function in a thread": (call(soon, "x", thread=True), gs.ProgramError, "leave thread=True out"),
}


@pytest.mark.parametrize("fault", RAISED)
def test_a_fault_without_err_ends_the_run(mode: Mode, fault: str) -> None:
    """It is raised, says which message asked for it, and what else was under way is cancelled."""
    command, kind, text = RAISED[fault]
    with pytest.raises(kind, match=text) as caught:
        mode(command)
    notes = " ".join(caught.value.__notes__)
    assert "of type Go" in notes or fault == "gives no message"


@pytest.mark.parametrize("fault", [fault for fault in RAISED if fault != "gives no message"])
def test_a_fault_can_be_set_aside(mode: Mode, fault: str) -> None:
    """The message is set aside with what its command has failed with, its turn stays, and the run goes on."""
    command, kind, text = RAISED[fault]
    aside = gs.Buffer[Any]()
    assert mode(command, on_error=gs.SetAside(aside)) == ("later",)
    (failed,) = aside.slice()
    assert (failed.message, type(failed.error)) == (Go(), kind)
    assert text.replace("\\", "") in str(failed.error)


def test_a_timeout_of_a_thread_goes_on_without_it(mode: Mode) -> None:
    """A thread cannot be ended: it is not listened to any more."""
    let_go = threading.Event()

    def slow(name: str) -> str:
        let_go.wait(10)
        return name

    class Impatient(SimClock):
        """Time that passes though a thread is busy."""

        def left(self, due: float | None, resting: Any, wake: Any, /) -> float | None:
            return super().left(due, lambda: True, wake)

    started = time.monotonic()

    def answered(failure: gs.Failure) -> Msg:
        let_go.set()
        return err(failure)

    command = call(slow, "x", ok=ok, err=answered, thread=True, timeout=3)
    heard = mode(command, clock=Impatient(jumps=True))
    assert heard[0].startswith("TimedOut: ")
    assert heard[1:] == ("later",)
    assert time.monotonic() - started < 8


# ---------------------------------------------------------------------- streams


async def two(first: str) -> AsyncIterator[Msg]:
    yield Said(first)
    await asyncio.sleep(0)
    yield Said("two")


async def breaks(first: str) -> AsyncIterator[Msg]:
    yield Said(first)
    raise LookupError("the stream broke")


async def not_a_stream(first: str) -> None:
    """Await and give nothing."""


def test_a_stream_gives_its_items_and_ends(drivers: Drivers) -> None:
    """What it gives enters as messages; its end is no fault, and it is not begun again."""
    buffer = gs.Buffer[Any]()

    def update(model: tuple[Any, ...], msg: Any) -> Any:
        if msg == Said("two"):
            return (*model, "ended"), [gs.Cmd.after(1, "later")]
        if msg == "later":
            buffer.close()
        return (*model, msg), ()

    program = gs.Program(lambda: ((), ()), update, subscriptions=lambda model: [gs.Sub.stream(two, "one")])
    assert drivers.run(program, buffer, clock=SimClock(jumps=True)) == (Said("one"), "ended", "later")


@pytest.mark.parametrize(
    ("fn", "kind", "text"),
    [(breaks, LookupError, "the stream broke"), (not_a_stream, gs.ProgramError, "not an async generator")],
)
def test_a_stream_that_raises_ends_the_run(drivers: Drivers, fn: Any, kind: type[Exception], text: str) -> None:
    """Its exception is decided on as that of a command."""
    program = gs.Program(
        lambda: ((), ()), lambda model, msg: (model, ()), subscriptions=lambda model: [gs.Sub.stream(fn, "one")]
    )
    with pytest.raises(kind, match=text):
        drivers.run(program, gs.Buffer[Any]())


def test_a_stream_that_raises_can_be_set_aside(drivers: Drivers) -> None:
    """The subscription takes the message's place, and the run goes on."""
    aside, buffer = gs.Buffer[Any](), gs.Buffer[Any]()
    sub = gs.Sub.stream(breaks, "one")

    def update(model: tuple[str, ...], msg: Any) -> Any:
        return (*model, msg.what), ()

    class Ends:
        """Where failing messages go; the first one ends the run."""

        def put(self, *failed: Any) -> None:
            aside.put(*failed)
            buffer.close()

    program = gs.Program(lambda: ((), ()), update, subscriptions=lambda model: [sub])
    assert drivers.run(program, buffer, on_error=gs.SetAside(Ends())) == ("one",)
    (failed,) = aside.slice()
    assert (failed.message, str(failed.error)) == (sub, "the stream broke")


# ---------------------------------------------------------------------- the end


def test_what_does_not_end_is_said(drivers: Drivers) -> None:
    """A thread that goes on after its grace is named in a warning."""
    let_go = threading.Event()

    def stuck() -> None:
        let_go.wait(30)

    def broken(model: int, msg: str) -> Any:
        raise LookupError("broken")

    program = gs.Program(lambda: (0, [gs.Cmd.call(stuck, thread=True), gs.Cmd.send("x")]), broken)
    with pytest.warns(gs.errors.LeftRunning, match="stuck"), pytest.raises(LookupError):
        drivers.batch(program, [], effects=gs.Effects(grace=0))
    let_go.set()
    for thread in threading.enumerate():
        if thread.name.startswith("go_state"):
            thread.join(10)


def test_stop_cancels_what_runs_and_says_what() -> None:
    """An app that is stopped in time cancels its commands, and has their names."""
    begun = threading.Event()

    async def endless(name: str) -> None:
        begun.set()
        await asyncio.Event().wait()

    command = gs.Cmd.call(endless, "x")
    with gs.start(gs.Program(lambda: (0, [command]), lambda model, msg: (model, ()))) as app:
        begun.wait(10)
        with pytest.raises(gs.TimedOut):
            app.stop(timeout=0.01)
        app.wait(timeout=10)
        assert app.cancelled == (command,)


async def test_stop_on_a_loop_cancels_what_runs() -> None:
    """The same on an event loop, without draining."""
    begun = asyncio.Event()
    ended = []

    async def endless(name: str) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    command = gs.Cmd.call(endless, "x")
    async with gs.start_async(
        gs.Program(lambda: (0, [command, gs.Cmd.after(1000, "y")]), lambda model, msg: (model, ()))
    ) as app:
        await begun.wait()
        await app.stop_async(drain=False)
        assert app.cancelled == (command, gs.Cmd.after(1000, "y"))
    assert ended == ["x"]


def test_a_command_that_cannot_begin_ends_the_app_and_not_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The turn is committed when its commands begin: its model stays, and its sender is not told that it was rolled back."""
    from go_state.runtime.effects.executor import Workers

    def start(self: Workers, effect: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Workers, "start", start)
    program = gs.Program(lambda: (0, ()), lambda model, msg: (model + msg, [gs.Cmd.call(int, thread=True)]))
    app = gs.start(program)
    with pytest.raises(gs.errors.AppEnded) as told:
        app.apply(5, timeout=20)
    assert str(told.value.__cause__) == "can't start new thread"
    assert (app.model, app.statistics().processed) == (5, 1)
