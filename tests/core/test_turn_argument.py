"""The turn: what update is told about its message, and that only an update that asks is told."""

import time
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers


def closed(*messages: Any) -> gs.Buffer[Any]:
    buffer: gs.Buffer[Any] = gs.Buffer(retention=gs.retention.keep_all)
    buffer.put(*messages)
    buffer.close()
    return buffer


def test_chance_with_a_seed_is_the_same_again() -> None:
    """Two turns of one seed give the same numbers and UUIDs, call by call."""
    one, other = gs.Turn(1.5, 7, "journal_id/7"), gs.Turn(1.5, 7, "journal_id/7")
    assert [one.random(), one.uuid(), one.random()] == [other.random(), other.uuid(), other.random()]


def test_chance_is_another_at_every_call_and_in_every_turn() -> None:
    """No two calls give the same, in one turn or in two."""
    turns = [gs.Turn(1.5, 7, "journal_id/7"), gs.Turn(1.5, 8, "journal_id/8"), gs.Turn(1.5, 7), gs.Turn(1.5, 7)]
    found = {each for turn in turns for _ in range(10) for each in (turn.random(), turn.uuid())}
    assert len(found) == 80


def test_chance_has_the_usual_form() -> None:
    """A random number lies from 0 to below 1, and a UUID is of version 4."""
    turn = gs.Turn(1.5, 7, "journal_id/7")
    assert all(0 <= turn.random() < 1 for _ in range(100))
    assert turn.uuid().version == 4


def test_a_turn_prints_when_and_where() -> None:
    """What it prints holds the time and the position, and no seed."""
    assert repr(gs.Turn(1.5, 7, "journal_id/7")) == "Turn(at=1.5, position=7)"


def test_a_run_tells_the_turn(drivers: Drivers) -> None:
    """Over a buffer a turn begins now, and its position is the message's, also of messages sent by commands."""
    began = time.time()

    def update(model: Any, msg: str, turn: gs.Turn) -> gs.Step[Any, str]:
        assert began <= turn.at <= time.time()
        return (*model, (msg, turn.position)), [gs.Cmd.send("sent")] if msg == "a" else ()

    model = drivers.run(gs.Program(lambda: ((), ()), update), closed("a", "b"))
    assert model == (("a", 0), ("b", 1), ("sent", 2))


def test_an_update_of_two_arguments_is_given_two(drivers: Drivers) -> None:
    """Where the third argument has a default, or is not there, update is called with the model and the message alone."""
    with_default = gs.reducer(list, lambda model, msg, turn=None: [*model, (msg, turn)])
    with_rest = gs.reducer(list, lambda model, *rest: [*model, rest])
    assert drivers.run(with_default, closed("a")) == [("a", None)]
    assert drivers.run(with_rest, closed("a")) == [("a",)]


def test_a_reducer_may_ask_for_the_turn(drivers: Drivers) -> None:
    """A program without commands is told the turn as well."""
    positions = gs.reducer(tuple, lambda model, msg, turn: (*model, turn.position))
    assert drivers.run(positions, closed("a", "b")) == (0, 1)


@pytest.mark.parametrize("update", [lambda: 0, lambda model: model, lambda model, msg, turn, more: model])
def test_an_update_of_other_arguments_is_refused(update: Any) -> None:
    """An update that takes neither two nor three arguments is told both forms."""
    with pytest.raises(gs.ProgramError, match=r"update\(model, msg\) or \(model, msg, turn\)"):
        gs.Program(lambda: (0, ()), update)
