"""Subscriptions follow the model: begun, kept, ended by key, never twice, and none in a replay."""

from __future__ import annotations

import asyncio
import itertools
import math
import os
import signal
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers
from effects_support import Gate, closed
from hypothesis import given
from hypothesis import strategies as st

import go_state as gs
from go_state.system.timers import Timers
from go_state.testing import Harness, SimClock

drivers = both_drivers.drivers


def counting(subscriptions: Any, **parts: Any) -> gs.Program[tuple[Any, ...], Any]:
    return gs.Program(lambda: ((), ()), lambda model, msg: ((*model, msg), ()), subscriptions=subscriptions, **parts)


def test_every_ticks_and_skips_what_is_late() -> None:
    """A tick comes each second; ticks that are over before the run looks are left out."""
    clock = SimClock()
    with gs.start(counting(lambda model: [gs.Sub.every(1.0, "tick")]), clock=clock) as app:
        clock.advance(0.99)
        assert app.model == ()
        clock.advance(0.02)
        assert app.model == ("tick",)
        clock.advance(10)
        assert len(app.model) == 11
        app.stop()
    clock.advance(10)
    assert len(app.model) == 11


def test_late_ticks_are_left_out() -> None:
    """After a long turn there is one tick, and the next at its old time."""
    clock = SimClock()

    def update(model: tuple[float, ...], msg: str) -> Any:
        if msg == "long":
            clock._now += 3.5  # as if the turn had taken so long
            return model, ()
        return (*model, clock.time()), ()

    program = gs.Program(lambda: ((), ()), update, subscriptions=lambda model: [gs.Sub.every(1.0, "tick")])
    with gs.start(program, clock=clock) as app:
        app.apply("long")
        clock.settle()
        assert app.model == (3.5,)
        clock.advance(0.5)
        assert app.model == (3.5, 4.0)


def test_at_fires_once_also_when_it_is_over() -> None:
    """A time that is over is now; what has fired does not fire again while its key stays."""
    clock = SimClock(start=1000.0)
    subs = [gs.Sub.at(10.0, "missed"), gs.Sub.at(1000.0 + 3600, "later", key="later")]
    with gs.start(counting(lambda model: subs), clock=clock) as app:
        clock.settle()
        assert app.model == ("missed",)
        clock.advance(3599)
        assert app.model == ("missed",)
        clock.advance(1)
        assert app.model == ("missed", "later")
        clock.advance(86400)
        assert app.model == ("missed", "later")


def test_what_stays_goes_on_and_what_is_new_begins() -> None:
    """A key that stays keeps its time, though its message is another; with another time it begins anew; gone is gone."""
    clock = SimClock()

    def subscriptions(model: tuple[Any, ...]) -> Any:
        if "off" in model:
            return None
        every = 2.0 if "slower" in model else 1.0
        return [gs.Sub.every(every, lambda: ("tick", len(model)), key="t"), None]

    with gs.start(counting(subscriptions), clock=clock) as app:
        clock.advance(0.75)
        app.apply("x")
        clock.advance(0.25)
        assert app.model == ("x", ("tick", 1))
        app.apply("slower")
        clock.advance(1.9)
        assert len(app.model) == 3
        clock.advance(0.1)
        assert app.model[-1] == ("tick", 3)
        app.apply("off")
        clock.advance(100)
        assert app.model[-1] == "off"


def test_they_are_asked_for_with_each_new_model_alone() -> None:
    """A turn that returns the model it was given asks for none."""
    asked = []

    def subscriptions(model: int) -> Any:
        asked.append(model)
        return ()

    program = gs.Program(lambda: (0, ()), lambda model, msg: (model + msg if msg else model, ()), subscriptions=subscriptions)
    gs.batch(program, [1000, 0, 0, 1000])
    assert asked == [0, 1000, 2000]


async def numbers(end: int) -> AsyncIterator[int]:
    for number in range(end):
        yield number


def test_a_stream_is_taken_in_order_and_closed(drivers: Drivers) -> None:
    """Every item is a message, in order; when its key goes its generator is closed."""
    closed = threading.Event()
    buffer = gs.Buffer[Any]()

    async def endless() -> AsyncIterator[int]:
        number = 0
        try:
            while True:
                yield number
                number += 1
                await asyncio.sleep(0)
        finally:
            closed.set()

    def update(model: int, msg: Any) -> Any:
        if model == 500:
            if closed.is_set():
                buffer.close()
            return model, [] if closed.is_set() else [gs.Cmd.after(0.001, "look")]
        assert msg == model
        return model + 1, [gs.Cmd.send("look")] if model == 499 else []

    program = gs.Program(lambda: (0, ()), update, subscriptions=lambda model: [gs.Sub.stream(endless)] if model < 500 else [])
    assert drivers.run(program, buffer) == 500
    assert closed.is_set()


def test_a_fast_stream_waits_for_the_run() -> None:
    """Of a stream only so many items wait, however fast it is."""
    given, slow = [0], Gate()

    async def endless() -> AsyncIterator[int]:
        while True:
            given[0] += 1
            yield given[0]

    def update(model: int, msg: Any) -> Any:
        if msg % 400 == 1:
            slow.hold_thread(str(msg))
        return model + 1, ()

    with gs.start(gs.Program(lambda: (0, ()), update, subscriptions=lambda model: [gs.Sub.stream(endless)])) as app:
        for seen in range(1, 2000, 400):
            slow.wait_for(str(seen))
            assert given[0] - seen <= 2 * 64 + 1
            slow.open(str(seen))
        app.stop(drain=False)


def test_children_have_keys_of_their_own() -> None:
    """The subscriptions of two children with one key are two, and their messages say whose they are."""
    clock = SimClock()
    of_child = [gs.Sub.every(1.0, "tick", key="t")]

    wrap = [gs.Sub.map(of_child, tuple_of, name) for name in ("left", "right")]
    with gs.start(counting(lambda model: [*wrap[0], *wrap[1]]), clock=clock) as app:
        clock.advance(1)
        assert app.model == (("left", "tick"), ("right", "tick"))


def tuple_of(*parts: Any) -> Any:
    return parts


def test_a_signal_is_a_message() -> None:
    """A signal reaches the program in the main thread, and afterwards it is Python's again."""
    before = signal.getsignal(signal.SIGUSR1)
    buffer = gs.Buffer[Any]()

    def update(model: tuple[str, ...], msg: str) -> Any:
        if msg == "go":
            return model, [lambda: os.kill(os.getpid(), signal.SIGUSR1)]
        buffer.close()
        return (*model, msg), ()

    program = gs.Program(lambda: ((), ()), update, subscriptions=lambda model: [gs.Sub.signal(signal.SIGUSR1, "usr1")])
    buffer.put("go")
    assert gs.run(program, buffer) == ("usr1",)
    assert signal.getsignal(signal.SIGUSR1) is before


def test_a_signal_on_a_loop_is_a_message() -> None:
    """The same in the main thread's event loop."""
    buffer = gs.Buffer[Any]()

    def update(model: tuple[str, ...], msg: str) -> Any:
        if msg == "go":
            return model, [lambda: os.kill(os.getpid(), signal.SIGUSR1)]
        buffer.close()
        return (*model, msg), ()

    program = gs.Program(lambda: ((), ()), update, subscriptions=lambda model: [gs.Sub.signal(signal.SIGUSR1, "usr1")])
    buffer.put("go")
    assert asyncio.run(gs.run_async(program, buffer)) == ("usr1",)


def test_a_signal_elsewhere_teaches() -> None:
    """In another thread it is refused, with what to do."""
    program = counting(lambda model: [gs.Sub.signal(signal.SIGUSR1, "usr1")])
    with pytest.raises(gs.UsageError, match="main thread"), gs.start(program):
        pass


# ---------------------------------------------------------------------- durable


@dataclass(frozen=True)
class Ticks:
    count: int = 0


@dataclass(frozen=True)
class Tick:
    pass


def ticking() -> gs.Program[Ticks, Tick]:
    def update(model: Ticks, msg: Tick) -> gs.Step[Ticks, Tick]:
        return Ticks(model.count + 1), ()

    return gs.Program(lambda: (Ticks(), ()), update, subscriptions=lambda model: [gs.Sub.every(1.0, Tick, key="t")])


@pytest.mark.parametrize("snapshots", [None, gs.Snapshots(every=1)])
def test_a_restored_program_ticks_again_once(tmp_path: Path, snapshots: Any) -> None:
    """After a restart each subscription is begun once, from the restored model; the replay begins none."""
    for round_number in range(1, 4):
        clock = SimClock()
        with (
            gs.LMDBStore(tmp_path / "s") as store,
            gs.start(ticking(), store=store, key="k", snapshots=snapshots, clock=clock) as app,
        ):
            clock.advance(2.5)
            assert app.model == Ticks(2 * round_number)


def test_a_replay_begins_nothing(tmp_path: Path) -> None:
    """What replays asks for no subscriptions at all."""
    asked = []

    def subscriptions(model: Ticks) -> Any:
        asked.append(model)
        return ()

    program = gs.Program(lambda: (Ticks(), ()), ticking().update, subscriptions=subscriptions)
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("k", of=Tick)
        journal.put(Tick(), Tick())
        journal.close()
    with gs.LMDBStore(tmp_path / "s") as store:
        assert gs.replay(program, store.journal("k")) == Ticks(2)
        assert gs.verify(program, store.journal("k")).finding is None
    assert asked == []
    buffer = gs.Buffer[Tick]()
    buffer.put(Tick())
    buffer.close()
    gs.run(program, buffer, replaying=lambda: True)
    assert asked == []


def test_an_aggregate_subscribes_from_the_stored_model(drivers: Drivers) -> None:
    """A timer of the loaded model is due, and what it sends is saved."""
    program = gs.Program(
        lambda: (Ticks(), ()), ticking().update, subscriptions=lambda model: [gs.Sub.at(model.count, Tick, key=model.count)]
    )

    def source(clock: SimClock) -> Any:
        while clock.time() < 2.5:
            yield None
            clock._now += 0.5

    with gs.MemoryStore() as store:
        clock = SimClock()
        first = drivers.aggregate(program, source(clock), store=store, key="k", clock=clock).model.count
        again = drivers.aggregate(program, [], store=store, key="k", clock=clock).model.count
    assert first == 3
    assert again == 3


def test_a_keyed_aggregate_has_none() -> None:
    """One model for each key has no one model to follow."""
    with gs.MemoryStore() as store, pytest.raises(gs.UsageError, match="for subscriptions to follow"):
        gs.aggregate(ticking(), [], store=store, key=lambda msg: "k")


# ---------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("make", "teaches"),
    [
        (lambda: gs.Sub.every(0, "x"), "greater than 0"),
        (lambda: gs.Sub.every(float("nan"), "x"), "greater than 0"),
        (lambda: gs.Sub.at("tomorrow", "x"), "seconds since 1970"),
        (lambda: gs.Sub.stream(3), "async generator function"),
        (lambda: gs.Sub.signal("TERM", "x"), "number of a signal"),
        (lambda: gs.Sub.signal(signal.SIGKILL, "x"), "a signal that a process can handle"),
        (lambda: gs.Sub.signal(signal.SIGSTOP, "x"), "a signal that a process can handle"),
        (lambda: gs.Sub.signal(0, "x"), "a signal that a process can handle"),
        (lambda: gs.Sub.signal(10_000, "x"), "a signal that a process can handle"),
        (lambda: gs.Sub.every(1, ["x"]), "give it one by key="),
    ],
)
def test_wrong_subscriptions_teach(make: Any, teaches: str) -> None:
    """What cannot be subscribed to is refused where it is written."""
    with pytest.raises(gs.ProgramError, match=teaches):
        make()


@pytest.mark.parametrize(
    ("subs", "teaches"),
    [
        (gs.Sub.every(1, "x"), "returns a list of gs.Sub"),
        (["x"], "a str is among the subscriptions"),
        ([gs.Sub.every(1, "x", key="k"), gs.Sub.every(2, "y", key="k")], "two subscriptions have the key 'k'"),
    ],
)
def test_wrong_lists_teach(subs: Any, teaches: str) -> None:
    """What `subscriptions` returns is looked at before anything is begun."""
    with pytest.raises(gs.ProgramError, match=teaches):
        gs.batch(counting(lambda model: subs), [])


def test_waiting_for_a_far_time_wakes_nobody() -> None:
    """A simulated month passes in one step, and so does one to a time that never comes."""
    looks = 0

    class Clock(SimClock):
        def left(self, *args: Any) -> float | None:
            nonlocal looks
            looks += 1
            return super().left(*args)

    month = 30 * 86_400.0
    program = counting(lambda model: [gs.Sub.at(month, "due"), gs.Sub.at(math.inf, "never")])
    clock = Clock()
    with gs.start(program, clock=clock) as app:
        clock.advance(month)
        assert app.model == ("due",)
    assert looks < 20


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
def test_a_time_is_that_of_the_clock_also_when_it_is_set(seconds: float) -> None:
    """Set forward it is due when the run next waits, set back it is not due before the clock says so."""

    class Clock(SimClock):
        set_by = 0.0

        def time(self) -> float:
            return self.monotonic() + self.set_by

    clock = Clock()
    timers = Timers(clock)
    gone_off: list[float] = []
    timers.set_at(7200.0, lambda _: gone_off.append(clock.time()), None)
    timers.set(10_000.0, lambda _: None, None)
    clock.set_by = seconds
    assert timers.next_wait() == min(7200.0 - seconds, 10_000.0)
    clock.set(7200.0 - seconds)
    timers.fire(10)
    assert gone_off == [7200.0]


def test_beats_that_nobody_can_keep_up_with_are_left_out() -> None:
    """Each waits at most once in the queue, so that others' messages have their turn, and so has the end."""
    beats = [gs.Sub.every(0.001, "beat", key=number) for number in range(2000)]
    program = gs.Program(lambda: (0, ()), lambda model, msg: (model + (msg == "other"), ()), subscriptions=lambda model: beats)
    with gs.start(program) as app:
        for number in range(1, 4):
            assert app.apply("other", timeout=20) == number
            assert app.statistics().queue_size <= 2001
        app.stop(drain=False, timeout=20)


def test_many_timers_at_once_give_the_loop_back() -> None:
    """While 20,000 are due, other tasks of the event loop have their turns in between."""
    arrived = itertools.count(1)
    due = gs.Cmd.map([gs.Cmd.after(0.0, "due")] * 20_000, lambda message: next(arrived))
    program = gs.Program(lambda: (0, due), lambda model, number: (number, ()))
    seen = [0]

    async def main() -> None:
        async with gs.start_async(program):
            while seen[-1] < 20_000:
                seen.append(next(arrived))
                await asyncio.sleep(0)

    asyncio.run(main())
    assert max(after - before for before, after in itertools.pairwise(seen)) < 5_000


def test_a_turn_is_dated_by_the_clock_of_its_run(drivers: Drivers, tmp_path: Path) -> None:
    """The clock that was given is that of turn.at, in memory, in a batch, with ports of one's own and in a journal."""
    program = gs.Program(lambda: ((), ()), lambda model, msg, turn: ((*model, turn.at), ()))
    assert drivers.batch(program, [1], clock=SimClock(5.0)).model == (5.0,)
    assert drivers.run(program, closed(1), clock=SimClock(5.0)) == (5.0,)
    buffer, other = closed(1), gs.Buffer[Any]()
    assert drivers.run(program, producer=other, consumer=buffer.consumer(), clock=SimClock(5.0)) == (5.0,)
    with gs.start(program, clock=SimClock(5.0)) as app:
        assert app.apply(1) == (5.0,)
    dated: gs.Program[Any, int] = gs.Program(lambda: (0.0, ()), dated_update)
    with gs.LMDBStore(tmp_path / "s") as store:
        with gs.start(dated, store=store, key="k", clock=SimClock(5.0)) as durable:
            assert durable.apply(1) == 5.0
            durable.send(1, 1)
        assert gs.replay(dated, store.journal("k")) == 5.0


def dated_update(model: float, msg: int, turn: gs.Turn) -> gs.Step[float, int]:
    return turn.at, ()


# A pool of kept values: of each of six keys two that go on as one another, and one that does not.
POOL = [
    gs.Sub.every(seconds, message, key=key) for key in range(6) for seconds, message in ((1.0, "a"), (1.0, "b"), (2.0, "a"))
]


@pytest.mark.slow
@given(
    st.lists(
        st.lists(st.sampled_from([*POOL, None]), unique_by=lambda sub: sub and sub.key, max_size=7), min_size=1, max_size=8
    )
)
def test_what_is_kept_and_what_is_made_anew_lead_to_the_same(turns: list[list[Any]]) -> None:
    """The very same values, in whatever order and place, or equal ones: what runs is what the newest model asks for."""

    def running(make: Any) -> list[Any]:
        program = gs.Program(
            lambda: ((), ()), lambda model, msg: (model if isinstance(msg, str) else tuple(msg), ()), subscriptions=make
        )
        h, seen = Harness(program), []
        for wanted in turns:
            h.send(wanted)
            began = {each.sub.key: each.due for each in h._manager.inputs._running.values()}
            h.advance(0.25)
            seen.append(({each.key: each for each in h.subscriptions}, began))
        return seen

    kept, anew = running(lambda model: model), running(lambda model: [sub and replace(sub) for sub in model])
    assert kept == anew
    assert [asked for asked, _ in kept] == [{sub.key: sub for sub in wanted if sub is not None} for wanted in turns]


@pytest.mark.parametrize(
    ("first", "second"),
    [("a", "aa"), ("ab", "bb"), ("abc", "bba"), ("abc", "abcb"), ("abc", "babc"), ("a-c", "aca"), ("abc", "aba")],
)
def test_two_of_one_key_are_refused_wherever_they_are(first: str, second: str) -> None:
    """Also the very same value twice, of which one was running before."""
    values = {letter: gs.Sub.every(1.0, "tick", key=letter) for letter in "abc"} | {"-": None}
    program = gs.Program(
        lambda: (first, ()), lambda model, msg: (msg, ()), subscriptions=lambda model: [values[letter] for letter in model]
    )
    h = Harness(program)
    with pytest.raises(gs.ProgramError, match="two subscriptions have the key"):
        h.send(second)
