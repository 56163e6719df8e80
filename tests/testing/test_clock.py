"""SimClock: time that passes when a test says so, for one run or several, and for fakes that take their time."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import go_state as gs
from go_state.testing import SimClock


def sleeping(clock: SimClock, *seconds: float) -> gs.Program[tuple[float, ...], float]:
    """Return a program that notes when each of its calls is done."""

    async def sleep(each: float) -> float:
        await clock.sleep(each)
        return clock.time()

    return gs.Program(lambda: ((), [gs.Cmd.call(sleep, each) for each in seconds]), lambda model, time: ((*model, time), ()))


def test_each_sleeper_wakes_at_its_own_time() -> None:
    """In the order of their times, whenever they began to sleep; two of one time both."""
    clock = SimClock(jumps=True)
    assert gs.batch(sleeping(clock, 5, 1, 3, 3, 2), [], clock=clock).model == (1, 2, 3, 3, 5)


def test_time_passes_as_far_as_it_is_told() -> None:
    """Not a second further, and what is not due then is not there."""
    clock = SimClock(start=100.0)
    with gs.start(sleeping(clock, 1, 2.5), clock=clock) as app:
        clock.advance(0.999)
        assert (app.model, clock.time()) == ((), 100.999)
        clock.advance(1)
        assert (app.model, clock.time()) == ((101.0,), 101.999)
        clock.advance(1000)
        assert (app.model, clock.time()) == ((101.0, 102.5), 1101.999)


def test_several_runs_share_a_clock() -> None:
    """Their timers come in one order, and one that ends does not stop the others."""
    clock, order = SimClock(), list[str]()

    def ticking(name: str, seconds: float) -> gs.Program[int, str]:
        return gs.Program(
            lambda: (0, ()),
            lambda model, msg: (model + 1, ()),
            view=lambda model: order.append(f"{name}{model}") if model else None,
            subscriptions=lambda model: [gs.Sub.every(seconds, "tick")],
        )

    with gs.start(ticking("a", 2), clock=clock):
        with gs.start(ticking("b", 3), clock=clock):
            clock.advance(5)
        clock.advance(1)
    assert order == ["a1", "b1", "a2", "a3"]


def test_a_run_that_hangs_is_said() -> None:
    """Instead of waiting for ever; and time has not passed."""
    clock, over = SimClock(), threading.Event()
    hanging = gs.Program(lambda: (0, ()), lambda model, msg: (model, [gs.Cmd.call(over.wait, 10, ok=lambda _: None)]))
    with gs.start(hanging, clock=clock) as app:
        app.send("hang")
        with pytest.raises(gs.TimedOut, match="hang"):
            clock.advance(1, timeout=0.01)
        assert clock.time() == 0
        over.set()
        clock.advance(1)
    assert clock.time() == 1


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "5"])
def test_time_does_not_go_back(seconds: Any) -> None:
    """Nor nowhere, nor to an end that it does not have."""
    with pytest.raises(gs.UsageError, match="time goes forward"):
        SimClock().advance(seconds)


@pytest.mark.parametrize("time", [float("nan"), float("inf"), "5", None])
def test_a_time_is_a_number_of_seconds(time: Any) -> None:
    """Whatever else a clock is set to is refused, and so is a sleep that would never be over."""
    with pytest.raises(gs.UsageError, match="a number of seconds since 1970"):
        SimClock(time)
    with pytest.raises(gs.UsageError, match="a number of seconds since 1970"):
        SimClock().set(time)
    with pytest.raises(gs.UsageError, match="sleep takes a number of seconds"):
        asyncio.run(SimClock().sleep(float("nan")))


async def test_a_loop_that_its_runs_wait_for_is_told_of() -> None:
    """`advance` in the loop of its runs cannot end; the error names what can."""
    clock = SimClock()
    program: gs.Program[int, int] = gs.Program(lambda: (0, [gs.Cmd.after(1, 5)]), lambda model, msg: (msg, ()))
    async with gs.start_async(program, clock=clock) as app:
        app.send(1)
        with pytest.raises(gs.TimedOut, match="use advance_async"):
            clock.advance(1, timeout=0.01)
        await clock.advance_async(1)
        assert app.model == 5
