"""Timers that nothing else is left to wait for: of a batch, each has its turn at its time, and none is an effect before it has to be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

import go_state as gs
from go_state.system.timers import Shared, Timers

Seen = tuple[tuple[float, str], ...]


def seen_by(first: list[gs.Command[str]], then: Callable[[str], list[gs.Command[str]]] = lambda _: []) -> gs.Program[Seen, str]:
    """Return a program that notes each message and its time."""

    def update(model: Seen, msg: str, turn: gs.Turn) -> gs.Step[Seen, str]:
        return (*model, (turn.at, msg)), then(msg)

    return gs.Program(lambda: ((), first), update)


def simulated(program: gs.Program[Seen, str], **options: object) -> gs.Result[Seen, str]:
    return gs.batch(program, [], clock=gs.testing.SimClock(jumps=True), **options)  # type: ignore[arg-type]


def test_each_has_its_turn_at_its_time() -> None:
    """What a turn sends comes before the next timer, unless that is due at the same time; and so does what it sets for an earlier one."""
    more = {"a": [gs.Cmd.send("sent"), gs.Cmd.after(1, "between")], "b": [gs.Cmd.send("sent")]}
    program = seen_by(
        [gs.Cmd.after(9, "b"), gs.Cmd.after(5, "a"), gs.Cmd.after(9, "c"), gs.Cmd.after(7, None, "d", "e")],
        lambda m: more.get(m, []),
    )  # type: ignore[arg-type]
    result = simulated(program)
    assert result.model == ((5, "a"), (5, "sent"), (6, "between"), (7, "d"), (7, "e"), (9, "b"), (9, "c"), (9, "sent"))
    assert result.processed == 8
    assert asyncio.run(gs.batch_async(program, [], clock=gs.testing.SimClock(jumps=True))).model == result.model


def test_all_of_them_are_cancelled() -> None:
    """`Cmd.cancel()` ends those that are set, and those that are due by now, but for the few whose messages are in the queue."""
    first: list[gs.Command[str]] = [
        gs.Cmd.after(1, "stop"),
        *(gs.Cmd.after(1, f"due {n}") for n in range(200)),
        gs.Cmd.after(2, "set"),
    ]
    result = simulated(seen_by(first, lambda msg: [gs.Cmd.cancel(), gs.Cmd.after(3, "new")] if msg == "stop" else []))
    assert result.model == ((1, "stop"), *((1, f"due {n}") for n in range(63)), (4, "new"))


def test_those_that_have_arrived_are_cancelled() -> None:
    """Of timers that the system's clock has found due together, the first one's turn ends the others."""
    first: list[gs.Command[str]] = [gs.Cmd.after(0.0, "stop" if number == 0 else f"due {number}") for number in range(300)]
    model = gs.batch(seen_by(first, lambda msg: [gs.Cmd.cancel()] if msg == "stop" else []), []).model
    assert model[0][1] == "stop"
    assert len(model) <= 64  # those whose messages were in the queue by then


def test_a_message_that_fails_is_set_aside() -> None:
    """The others have their turns, and the failed message is no other's."""
    failing: dict[str, list[gs.Command[str]]] = {"b": [5]}  # type: ignore[list-item]
    program = seen_by([gs.Cmd.after(each, name) for each, name in enumerate("abc")], lambda msg: failing.get(msg, []))
    result = simulated(program, on_error=gs.SetAside())
    assert [name for _, name in result.model] == ["a", "c"]
    assert [each.message for each in result.set_aside] == ["b"]
    with pytest.raises(gs.errors.ProgramError):
        simulated(program)


def test_a_queue_between_has_them_at_their_times() -> None:
    """A queue of the user's own is given each message when it is due."""
    program = seen_by([gs.Cmd.after(each, str(each)) for each in (3, 1, 2)])
    for source in ([], lambda: ([], False)):
        with gs.Buffer[str]() as queue:
            clock = gs.testing.SimClock(jumps=True)
            result = gs.batch(program, source, producer=queue, consumer=queue.consumer(), clock=clock)  # type: ignore[arg-type]
        assert result.model == ((1, "1"), (2, "2"), (3, "3"))


def test_a_timeout_ends_them() -> None:
    """Timers that set one another have an end by the batch's timeout."""
    with pytest.raises(gs.TimedOut):
        simulated(seen_by([gs.Cmd.after(1, "again")], lambda msg: [gs.Cmd.after(1, msg)]), timeout=0.05)


def test_a_clock_that_is_set_moves_only_those_of_the_day() -> None:
    """A timer that shares its action has its time in the heap, and keeps it."""
    clock, fired = gs.testing.SimClock(), list[object]()
    timers = Timers(clock)
    timers.add_shared(5.0, Shared(fired.append), "shared")
    timers.set_at(8.0, fired.append, "of the day")
    clock.time = lambda: 4.0  # type: ignore[method-assign]  # while the monotonic clock is at zero
    assert timers.next_wait() == 4.0
    clock.set(5.0)
    timers.fire(9)
    assert fired == ["of the day", "shared"]
