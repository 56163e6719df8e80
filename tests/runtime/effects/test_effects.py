"""Commands that go on after their turn: their order, their keys, their ends, the same under both drivers."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers
from effects_support import Gate, closed, fail, failing, heard, plain, soon, task, thread

import go_state as gs
from go_state.system.timers import Timers
from go_state.testing import SimClock

drivers = both_drivers.drivers

send, after, seq, both = gs.Cmd.send, gs.Cmd.after, gs.Cmd.seq, gs.Cmd.all


@dataclass(frozen=True)
class Card:
    name: str
    msg: Any


FAILS = gs.Cmd.call(fail, "x", err=lambda failure: "a")
FAILS_INLINE = gs.Cmd.call(failing, "x", err=lambda failure: "a")

SHAPES = {
    "plain parts are inline": (seq(send("a"), lambda: "b", gs.Cmd.call(plain, "c")), "abc"),
    "what follows a task waits for it": (seq(task("a"), send("b")), "ab"),
    "what comes before a task does not": (seq(send("a"), task("b"), lambda: "c"), "abc"),
    "side by side, the shorter is first": (both(after(2, "a"), after(1, "b")), "ba"),
    "all of an all, then the next": (seq(both(after(2, "a"), after(1, "b")), send("c")), "bac"),
    "sequences side by side": (both(seq(after(1, "a"), after(3, "b")), seq(after(2, "c"), after(1.5, "d"))), "acdb"),
    "sequences in a sequence": (seq(seq(task("a"), send("b")), seq(task("c"), send("d"))), "abcd"),
    "all in all": (both(both(after(3, "c"), send("a")), after(2, "b")), "abc"),
    "empty and None parts": (seq(None, task("a"), both(), seq(), None, send("b")), "ab"),
    "a failure ends its sequence": (seq(FAILS, send("b")), "a"),
    "also an inline one": (seq(FAILS_INLINE, send("b")), "a"),
    "a failure in an all lets the others go on": (seq(both(FAILS, after(1, "b")), send("c")), "ab"),
    "only the inner sequence ends": (both(seq(FAILS_INLINE, send("x")), seq(after(1, "b"), send("c"))), "abc"),
    "threads and tasks and timers": (seq(thread("a"), after(1, "b"), task("c"), thread("d"), send("e")), "abcde"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_nested_commands_run_in_the_promised_order(drivers: Drivers, shape: str) -> None:
    """The order of messages is that of the shape, in every mode."""
    command, order = SHAPES[shape]
    clock = SimClock(jumps=True)
    assert "".join(drivers.batch(heard(command), [], clock=clock).model) == order
    assert "".join(drivers.run(heard(command), closed(), clock=clock)) == order
    assert (
        "".join(drivers.run(heard(on=lambda name: [command] if name == "go" else ()), closed("go"), clock=clock))
        == "go" + order
    )
    assert "".join(drivers.batch(heard(*gs.Cmd.map([command], str.upper)), [], clock=clock).model) == order.upper()


def test_commands_of_one_turn_do_not_wait_for_each_other(drivers: Drivers) -> None:
    """Two that wait for each other come to an end."""
    meeting = threading.Barrier(2)
    meet = gs.Cmd.call(meeting.wait, 10, ok=lambda number: "met", thread=True)
    assert drivers.batch(heard(meet, meet), []).model == ("met", "met")


def test_a_command_begins_after_the_commit(drivers: Drivers) -> None:
    """A turn that is rolled back has begun nothing."""
    begun = []
    broken = heard(gs.Cmd.call(lambda: begun.append("thread"), thread=True), gs.Cmd.after(0, "late"), failing_inline)
    with pytest.raises(LookupError):
        drivers.batch(broken, [])
    assert begun == []


def failing_inline() -> None:
    raise LookupError("inline")


def test_messages_enter_behind_what_is_queued(drivers: Drivers) -> None:
    """What a command sends is put at the end of the queue when it is done."""
    program = heard(task("late"))
    assert drivers.run(program, closed("a", "b", "c")) == ("a", "b", "c", "late")


def test_none_is_no_message(drivers: Drivers) -> None:
    """A command that returns None, or whose ok does, sends nothing."""
    program = heard(gs.Cmd.call(soon, None), task("x", ok=lambda name: None), gs.Cmd.after(0), gs.Cmd.after(0, None))
    assert drivers.batch(program, [], clock=SimClock(jumps=True)).model == ()


# ---------------------------------------------------------------------- keys


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize(("busy", "answers"), [("replace", ["B"]), ("queue", ["A", "B"]), ("skip", ["A"])])
def test_one_of_a_key_is_under_way(busy: Any, answers: list[str], in_thread: bool) -> None:
    """The next of a key takes the place of the one under way, comes after it, or is left out."""
    gate = Gate()
    fn: Any = gate.hold_thread if in_thread else gate.hold

    def commands(name: str) -> Any:
        if name.isupper():
            return ()
        return [gs.Cmd.call(fn, name, ok=str.upper, key="k", busy=busy, thread=in_thread)]

    with gs.start(heard(on=commands)) as app:
        app.apply("a")
        gate.wait_for("a")
        app.apply("b")
        gate.open("a")
        if busy != "skip":
            gate.open("b")
        app.stop(timeout=10)
        assert [name for name in app.model if name.isupper()] == answers


def test_a_cancelled_command_sends_nothing() -> None:
    """One under way, one that waits behind it, and one that is over are cancelled by their key."""
    gate = Gate()

    def commands(name: str) -> Any:
        if name == "end":
            return [gs.Cmd.cancel("k"), gs.Cmd.cancel("nobody")]
        return [gs.Cmd.call(gate.hold, name, ok=str.upper, key="k", busy="queue")] if name.islower() else ()

    with gs.start(heard(on=commands)) as app:
        app.apply("over")
        gate.open("over")
        app.watch().get(where=lambda model: "OVER" in model, timeout=10)
        app.apply("running")
        app.apply("waiting")
        gate.wait_for("running")
        app.apply("end")
        assert app.statistics().commands_running == 0
        app.apply("again")
        gate.open("again")
    assert [name for name in app.model if name.isupper()] == ["OVER", "AGAIN"]
    assert (gate.begun, gate.cancelled) == (["over", "running", "again"], ["running"])


def test_one_turn_can_begin_and_cancel(drivers: Drivers) -> None:
    """Commands of one turn are begun and cancelled in their order."""
    clock = SimClock(jumps=True)
    timer = gs.Cmd.after(1, "a", key="k")
    assert drivers.batch(heard(timer, gs.Cmd.cancel("k")), [], clock=clock).model == ()
    assert drivers.batch(heard(gs.Cmd.cancel("k"), timer), [], clock=clock).model == ("a",)
    assert drivers.batch(heard(timer, gs.Cmd.after(2, "b", key="k")), [], clock=clock).model == ("b",)


def test_cancelling_in_a_sequence_ends_the_sequence(drivers: Drivers) -> None:
    """What would follow a cancelled part is left out, and what it was beside goes on."""
    clock = SimClock(jumps=True)
    first = both(seq(gs.Cmd.after(5, "x", key="k"), send("y")), seq(after(1, "a"), gs.Cmd.cancel("k"), send("b")))
    assert drivers.batch(heard(seq(first, send("z"))), [], clock=clock).model == ("a", "b")


def test_a_plain_call_takes_the_place_of_one_under_way(drivers: Drivers) -> None:
    """A key is a key, whatever kind of command has it."""
    clock = SimClock(jumps=True)
    assert drivers.batch(heard(gs.Cmd.after(5, "x", key="k"), gs.Cmd.call(plain, "a", key="k")), [], clock=clock).model == (
        "a",
    )


def test_keys_of_children_are_their_own(drivers: Drivers) -> None:
    """Two children use one key, and a cancel without a key ends all that is a child's."""
    clock = SimClock(jumps=True)
    timer = gs.Cmd.after(1, "ring", key="t")
    wrapped = [*gs.Cmd.map([timer, gs.Cmd.after(1, "free")], Card, "left"), *gs.Cmd.map([timer], Card, "right")]
    model = drivers.batch(heard(*wrapped), [], clock=clock).model
    assert model == (Card("left", "ring"), Card("left", "free"), Card("right", "ring"))
    gone = [*wrapped, *gs.Cmd.map([gs.Cmd.cancel()], Card, "left")]
    assert drivers.batch(heard(*gone), [], clock=clock).model == (Card("right", "ring"),)
    nested = gs.Cmd.map(gs.Cmd.map([timer], Card, "inner"), Card, "outer")
    assert drivers.batch(heard(*nested), [], clock=clock).model == (Card("outer", Card("inner", "ring")),)
    outer = [*nested, *gs.Cmd.map([gs.Cmd.cancel()], Card, "outer")]
    assert drivers.batch(heard(*outer), [], clock=clock).model == ()
    assert drivers.batch(heard(*nested, gs.Cmd.cancel()), [], clock=clock).model == ()


# ---------------------------------------------------------------------- bounds


def test_so_many_run_at_once() -> None:
    """Beyond the bound commands wait, and begin in their order when others end."""
    gate = Gate()
    names = [f"c{number}" for number in range(5)]
    program = heard(*[gs.Cmd.call(gate.hold, name) for name in names])
    with gs.start(program, effects=gs.Effects(at_once=2)) as app:
        gate.wait_for("c1")
        assert (gate.begun, app.statistics().commands_running) == (["c0", "c1"], 5)
        for name in ("c1", "c0", "c2", "c3", "c4"):
            gate.open(name)
            app.watch().get(where=lambda model, name=name: name in model, timeout=10)
        assert app.model == ("c1", "c0", "c2", "c3", "c4")


def test_a_batch_takes_no_more_while_commands_wait(drivers: Drivers) -> None:
    """So an endless source does not fill the memory with commands."""
    taken, most = [0], [0]
    done = [0]

    def source() -> Any:
        for number in range(50):
            taken[0] += 1
            most[0] = max(most[0], taken[0] - done[0])
            yield number

    async def work() -> None:
        done[0] += 1

    program = gs.Program(lambda: (0, ()), lambda model, msg: (model + 1, [gs.Cmd.call(work)]))
    assert drivers.batch(program, source(), effects=gs.Effects(at_once=2)).model == 50
    assert done[0] == 50
    assert most[0] <= 5


@pytest.mark.parametrize(
    ("arguments", "teaches"),
    [
        ({"effects": gs.Effects}, "effects= is a gs.Effects"),
        ({"clock": 3}, "clock= is a gs.testing.SimClock"),
    ],
)
def test_wrong_arguments_teach(drivers: Drivers, arguments: dict[str, Any], teaches: str) -> None:
    """What cannot serve is refused before anything runs."""
    with pytest.raises(gs.UsageError, match=teaches):
        drivers.batch(heard(), [], **arguments)


@pytest.mark.parametrize(("how", "teaches"), [({"at_once": 0}, "at_once"), ({"grace": -1}, "grace")])
def test_wrong_bounds_teach(how: dict[str, Any], teaches: str) -> None:
    """A bound that lets nothing run is refused."""
    with pytest.raises(gs.UsageError, match=teaches):
        gs.Effects(**how)


def test_timers_that_are_cancelled_take_no_room() -> None:
    """Of many calls that end long before their timeout, few timers are left."""
    timers = Timers(SimClock())
    gone_off: list[int] = []
    for number in range(100_000):
        timer = timers.set(3600.0 + number, gone_off.append, number)
        if number % 1000:
            timer.cancel()
            timer.cancel()
    assert len(timers) == 100
    assert timers.size <= 300
    timers.clock.set(1e6)
    timers.fire(1000)
    assert gone_off == list(range(0, 100_000, 1000))
    assert not timers


class Wordless(Exception):
    def __str__(self) -> str:
        raise LookupError("no words")


@pytest.mark.parametrize("how", [{}, {"thread": True}], ids=["inline", "thread"])
def test_an_error_without_words_is_an_outcome_as_any(drivers: Drivers, how: Any) -> None:
    """Its class raises when it is asked for its text: `err=` is told its kind."""

    def fails() -> str:
        raise Wordless

    command = gs.Cmd.call(fails, err=lambda failure: f"{failure.kind}: {failure.text}", **how)
    assert drivers.batch(heard(command), []).model == ("Wordless: a Wordless, whose text raises a LookupError",)


@pytest.mark.parametrize("how", [{}, {"thread": True}], ids=["task", "thread"])
def test_a_missing_extra_is_no_outcome_of_a_call(drivers: Drivers, how: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`err=` would take it for what the call has come to, such as a payment that was declined: it ends the run, and says what to install."""
    monkeypatch.setitem(sys.modules, "tenacity", None)
    fn = plain if how else soon
    command = gs.Cmd.call(fn, "paid", err=lambda failure: "declined", retry=gs.Retry(), **how)
    with pytest.raises(gs.errors.MissingExtra, match=r"go-state\[retry\]"):
        drivers.batch(heard(command), [])


@pytest.mark.slow
@pytest.mark.parametrize("leaf", [lambda: "done", task("done"), thread("done")], ids=["inline", "task", "thread"])
@pytest.mark.parametrize(
    "around",
    [
        lambda command: gs.Cmd.seq(command),
        lambda command: gs.Cmd.all(command),
        lambda command: gs.Cmd.map([command], str)[0],
        lambda command: gs.Cmd.seq(gs.Cmd.all(gs.Cmd.map([command], str)[0])),
    ],
    ids=["seq", "all", "map", "mixed"],
)
def test_commands_may_be_nested_deeply(leaf: Any, around: Any) -> None:
    """Thousands deep they are performed as one would be."""
    command = leaf
    for _ in range(2000):
        command = around(command)
    assert gs.batch(heard(command), []).model == ("done",)
