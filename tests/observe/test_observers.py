"""Observers that raise, take long or use the app, and those that are no observers."""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from interrupts import Interrupt, at_every_point
from observe_support import Add, Do, Kept, Model, Msg, program

import go_state as gs

LONG = 20.0


class Raising:
    """Raises from the event with this number on."""

    def __init__(self, number: int = 0) -> None:
        self.calls = 0
        self.number = number

    def on_event(self, event: gs.observe.Event) -> None:
        self.calls += 1
        if self.calls > self.number:
            raise ValueError("a text that is not to be told")


@pytest.mark.parametrize("number", range(8))
def test_one_that_raises_is_reported_once_and_left_out(number: int) -> None:
    """The run and the other observers do not notice, whichever event it was."""
    raising, kept, plain = Raising(number), Kept(), Kept()
    messages: list[Msg] = [Add(), Do("after"), Add()]
    expected = gs.batch(program, messages, observe=plain, clock=gs.testing.SimClock(jumps=True))
    with pytest.warns(gs.errors.ObserverFailed, match="Raising has raised a ValueError, in .*test_observers") as told:
        result = gs.batch(program, messages, observe=[raising, kept], clock=gs.testing.SimClock(jumps=True))
    assert result == expected
    assert kept.names() == plain.names()
    assert len(told) == 1
    assert "not to be told" not in str(told[0].message)
    assert raising.calls == number + 1


def test_one_that_raises_is_left_out_of_all_programs() -> None:
    """Of the programs of many keys as well: one warning."""
    raising = Raising()

    def use() -> None:
        with gs.start_keyed(program, observe=raising) as apps:
            for key in "abc":
                apps[key].apply(Add())

    with pytest.warns(gs.errors.ObserverFailed) as told:
        use()
    assert (len(told), raising.calls) == (1, 1)


class Tracing(Kept):
    """A tracer of which one method raises."""

    def __init__(self, raises: str) -> None:
        super().__init__()
        self.raises = raises

    def carry(self) -> object | None:
        return self._do("carry", "here")

    def turn_begins(self, program: str, key: str | None, message: str, position: object, carried: object | None, /) -> object:
        return self._do("turn_begins", carried)

    def turn_ends(self, turn: object, event: object, /) -> None:
        self._do("turn_ends", None)

    @contextmanager
    def _scope(self) -> Iterator[None]:
        self._do("enter", None)
        yield
        self._do("exit", None)

    def command_begins(self, event: gs.observe.CommandStarted, turn: object | None, /) -> Any:
        return self._do("command_begins", self._scope())

    def _do(self, name: str, result: object) -> object:
        if self.raises == name:
            raise ValueError
        return result


@pytest.mark.parametrize("method", ["carry", "turn_begins", "turn_ends", "enter", "exit", "command_begins"])
def test_a_tracer_that_raises_is_left_out(method: str) -> None:
    """The message has its turn, and the command runs."""
    kept = Kept()

    def use() -> Model:
        with gs.start(program, observe=[Tracing(method), kept]) as app:
            app.apply(Add())
            app.send(Do("task"), Add())
        return app.model

    with pytest.warns(gs.errors.ObserverFailed):
        assert use().count == 3
    assert len(kept.of(gs.observe.Turn)) == 4
    assert len(kept.of(gs.observe.CommandDone)) == 1


def test_a_tracer_that_cannot_be_hashed() -> None:
    """Tracers are told apart by what they are, not by what they equal."""

    class Unhashable(Tracing):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return True

    tracers = [Unhashable(""), Unhashable("")]
    with gs.start(program, observe=tracers) as app:
        assert app.apply(Add()).count == 1
        app.send(Do("task"))
    assert all(each.of(gs.observe.CommandDone) for each in tracers)


def test_events_are_told_in_the_thread_of_the_run() -> None:
    """Also those of commands in other threads, and of what the disk's thread has written."""
    threads: set[str] = set()

    class Where:
        def on_event(self, event: gs.observe.Event) -> None:
            threads.add(threading.current_thread().name)

    messages: list[Msg] = [Add(), Do("thread"), Do("task"), Do("err")]
    gs.batch(program, messages, observe=Where())
    assert threads == {threading.current_thread().name}


async def test_events_of_a_durable_app_are_told_on_its_event_loop(tmp_path: Any) -> None:
    """What is written in a thread is told on the loop."""
    threads: set[str] = set()
    kinds: set[type] = set()

    class Where:
        def on_event(self, event: gs.observe.Event) -> None:
            threads.add(threading.current_thread().name)
            kinds.add(type(event))

    with gs.LMDBStore(tmp_path / "s") as store:
        async with gs.start_async(program, store=store, key="k", observe=Where()) as app:
            await app.apply_async(Add())
            await asyncio.sleep(0)
    assert threads == {threading.current_thread().name}
    assert {gs.observe.Flush, gs.observe.SnapshotSaved, gs.observe.LeaseReleased} <= kinds


def test_a_slow_one_slows_the_run_and_nothing_else() -> None:
    """The next turn begins when it has returned."""
    may_go_on, inside = threading.Event(), threading.Event()

    class Slow:
        def on_event(self, event: gs.observe.Event) -> None:
            if isinstance(event, gs.observe.Turn) and event.position == 0:
                inside.set()
                assert may_go_on.wait(LONG)

    with gs.start(program, observe=Slow()) as app:
        app.send(Add(), Add())
        assert inside.wait(LONG)
        assert app.model.count == 1  # it is committed and published
        with pytest.raises(gs.TimedOut):
            app.apply(Add(), timeout=0.01)
        may_go_on.set()
    assert app.model.count == 3


def test_one_may_send_to_its_app() -> None:
    """A message that it sends has its turn after those that are queued."""

    class Sending(Kept):
        def on_event(self, event: gs.observe.Event) -> None:
            super().on_event(event)
            if isinstance(event, gs.observe.Turn) and event.position == 0:
                app.send(Add(10))

    kept = Sending()
    with gs.start(program, observe=kept) as app:
        app.ready()
        app.apply(Add())
    assert app.model.count == 11
    assert [event.position for event in kept.of(gs.observe.Turn)] == [0, 1]


def test_one_that_waits_for_its_app_is_left_out() -> None:
    """To wait for a turn there would never end: it raises, as in a view."""

    class Waiting:
        app: gs.App[Model, Msg]

        def on_event(self, event: gs.observe.Event) -> None:
            if isinstance(event, gs.observe.Turn):
                self.app.apply(Add())

    def use() -> Model:
        waiting = Waiting()
        with gs.start(program, observe=waiting) as app:
            waiting.app = app
            app.apply(Add())
        return app.model

    with pytest.warns(gs.errors.ObserverFailed, match="UsageError"):
        assert use().count == 1


@pytest.mark.parametrize(
    "given", [3, Kept, [Kept(), "log"], lambda event: None], ids=["number", "class", "text in a list", "function"]
)
def test_what_is_no_observer_is_refused(given: object) -> None:
    """A class, a function, a number: the error says what is wanted."""
    with pytest.raises(gs.UsageError, match=r"observe= is an observer, such as gs\.observe\.Log"):
        gs.batch(program, [], observe=given)  # type: ignore[arg-type]


def test_only_turns_from_some_time_on() -> None:
    """An observer that asks for slow turns only is told of those; one beside it that does not of all."""

    class Patient(Kept):
        turns_from = 60.0

    patient, every = Patient(), Kept()
    gs.batch(program, [Add(), Add()], observe=patient)
    assert patient.names() == ["RunStarted", "RunEnded"]
    gs.batch(program, [Add(), Add()], observe=[patient, every])
    assert every.names() == ["RunStarted", "Turn", "Turn", "RunEnded"]


def test_many_threads_send_and_one_observer_is_told_of_each_turn_once() -> None:
    """In the order of the positions, however threads are switched."""
    kept, interval = Kept(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with gs.start(program, observe=[kept, Tracing("")]) as app:
            senders = [threading.Thread(target=lambda: [app.send(Add()) for _ in range(200)]) for _ in range(4)]
            for each in senders:
                each.start()
            for each in senders:
                each.join()
    finally:
        sys.setswitchinterval(interval)
    assert app.model == Model(count=800)
    assert [event.position for event in kept.of(gs.observe.Turn)] == list(range(800))


def test_a_warning_that_counts_as_an_error_is_one() -> None:
    """Whoever asks for that gets it from the run, whose turns stay."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(gs.errors.ObserverFailed):
            gs.batch(program, [Add()], observe=Raising())


def test_ctrl_c_at_every_point() -> None:
    """Whatever was told of a turn is so, and is told once; the next run has the rest of the turns."""

    def act(interrupt: Interrupt) -> None:
        def init() -> gs.Step[Model, Msg]:
            interrupt.__enter__()  # from the first turn on
            return Model(), ()

        kept, buffer = Kept(), gs.Buffer[Msg]()
        buffer.put(Add(), Add(), Add())
        buffer.close()
        try:
            gs.run(gs.Program(init, program.update, name="shop"), buffer, observe=[kept, Tracing("")])
        except KeyboardInterrupt:
            pass
        finally:
            interrupt.__exit__(None)
        told = [event.position for event in kept.of(gs.observe.Turn)]
        left = len(buffer.slice())
        assert told == sorted(set(told))
        assert all(isinstance(position, int) and position < 3 - left for position in told)
        gs.run(program, buffer, observe=kept)
        both = [event.position for event in kept.of(gs.observe.Turn)]
        assert len(both) == len(told) + left
        assert both == sorted(set(both))

    at_every_point(act)
