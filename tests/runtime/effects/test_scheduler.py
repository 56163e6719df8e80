"""The scheduler by itself: which effects are launched and stopped, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import go_state as gs
from go_state.runtime.effects.place import Origin
from go_state.runtime.effects.scheduler import Cancelling, Effect, Orders, Scheduler

ORIGIN = Origin(None, None, "t")


def effect(name: str, key: str | None = None, busy: Any = "replace", scope: Any = ()) -> Effect:
    return Effect(gs.Cmd.call(len, name, key=key, busy=busy), scope, None, (0,), ORIGIN)  # type: ignore[arg-type]


def timer(key: str | None = None) -> Effect:
    return Effect(gs.Cmd.after(1, "late", key=key), (), None, (0,), ORIGIN)  # type: ignore[arg-type]


def cancel(key: str | None, scope: Any = ()) -> Cancelling:
    return Cancelling(scope, None if key is None else (scope, key))


def names(effects: Sequence[Effect]) -> list[object]:
    return [each.call.args[0] for each in effects]


def test_an_effect_without_a_key_is_launched() -> None:
    """It is busy until it has ended."""
    scheduler, one = Scheduler(2), effect("one")
    assert scheduler.begin(one) == Orders((), (one,))
    assert (scheduler.count, scheduler.is_busy(), scheduler.begun()) == (1, True, [one])
    assert list(scheduler.end(one)) == []
    assert (one.over, scheduler.count, scheduler.is_busy()) == (True, 0, False)


@pytest.mark.parametrize(
    ("busy", "stop", "launch", "count"),
    [("replace", ["first"], ["second"], 1), ("queue", [], [], 2), ("skip", ["second"], [], 1)],
)
def test_what_becomes_of_one_whose_key_is_taken(busy: str, stop: list[str], launch: list[str], count: int) -> None:
    """It takes the place of the first, waits for its end, or is left out."""
    scheduler, first, second = Scheduler(5), effect("first", "k"), effect("second", "k", busy)
    scheduler.begin(first)
    orders = scheduler.begin(second)
    assert [each.call.args[0] for each in orders.stop] == stop
    assert [each.call.args[0] for each in orders.launch] == launch
    assert scheduler.count == count
    assert all(each.over for each in orders.stop)
    assert scheduler.is_taken(((), "k"))


def test_those_of_a_key_are_launched_one_after_the_other() -> None:
    """In the order in which they have come."""
    scheduler = Scheduler(5)
    effects = [effect(str(number), "k", "queue") for number in range(4)]
    launched = [each for one in effects for each in scheduler.begin(one).launch]
    for one in effects:
        assert launched[-1] is one
        launched += scheduler.end(one)
    assert launched == effects
    assert not scheduler.is_taken(((), "k"))


def test_calls_wait_for_room_and_timers_do_not() -> None:
    """The next is launched when one ends."""
    scheduler, effects, late = Scheduler(2), [effect(str(number)) for number in range(4)], timer()
    launched = [list(scheduler.begin(each).launch) for each in effects]
    assert launched == [[effects[0]], [effects[1]], [], []]
    assert (scheduler.is_full, scheduler.waiting()) == (True, effects[2:])
    assert scheduler.begin(late) == Orders((), (late,))
    assert scheduler.begun() == [*effects[:2], late]
    assert list(scheduler.end(effects[1])) == [effects[2]]
    assert list(scheduler.end(late)) == []
    assert list(scheduler.end(effects[0])) == [effects[3]]
    assert not scheduler.is_full


def test_one_that_is_cancelled_while_it_waits_is_never_launched() -> None:
    """For room or for its key."""
    scheduler = Scheduler(1)
    first, behind, waiting = effect("first", "k"), effect("behind", "k", "queue"), effect("waiting", "other")
    for each in (first, behind, waiting):
        scheduler.begin(each)
    assert scheduler.begin(cancel("other")) == Orders([waiting], [])
    assert scheduler.begin(cancel("k")) == Orders([behind, first], [])
    assert scheduler.count == 0


def test_room_that_a_cancel_makes_is_given_to_others_and_not_to_the_cancelled() -> None:
    """All of a scope are over before any of them makes room."""
    scheduler, child = Scheduler(1), ((str,),)
    first, second, other = effect("first", scope=child), effect("second", scope=child), effect("other")
    for each in (first, second, other):
        scheduler.begin(each)
    orders = scheduler.begin(cancel(None, child))
    assert (list(orders.stop), list(orders.launch)) == ([second, first], [other])


def test_a_cancel_of_everything_reaches_every_scope() -> None:
    """And one of a scope its children alone."""
    scheduler, child = Scheduler(9), ((str,),)
    mine, theirs, nested = effect("mine", "k"), effect("theirs", "k", scope=child), effect("nested", scope=(*child, (int,)))
    for each in (mine, theirs, nested):
        scheduler.begin(each)
    assert list(scheduler.keys_in(child)) == [(child, "k")]
    assert list(scheduler.begin(cancel(None, child)).stop) == [nested, theirs]
    assert list(scheduler.begin(cancel(None)).stop) == [mine]


def test_the_end_of_a_run_takes_out_everything() -> None:
    """Those that wait included, in the order of their beginning."""
    scheduler = Scheduler(1)
    effects = [effect("a", "k"), effect("b", "k", "queue"), timer("t"), effect("c")]
    for each in effects:
        scheduler.begin(each)
    assert scheduler.end_everything() == effects
    assert all(each.over for each in effects)
    assert (scheduler.count, scheduler.is_full, scheduler.is_busy()) == (0, False, False)


def test_a_call_that_waits_for_its_next_try_keeps_its_room_and_is_not_busy() -> None:
    """A simulated clock may go on meanwhile."""
    scheduler, one, two = Scheduler(1), effect("one"), effect("two")
    scheduler.begin(one)
    one.parked = True
    assert not scheduler.is_busy()
    assert scheduler.begin(two) == Orders()


class Child:
    """The name of a child, which counts how often any is compared."""

    compared = 0

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        Child.compared += 1
        return isinstance(other, Child) and self.name == other.name


def test_a_cancel_of_a_child_looks_at_no_other() -> None:
    """Of a thousand children each may cancel its own: to look at all of them each time would take a thousand times as long."""
    scheduler = Scheduler(at_once=9999)
    for number in range(1000):
        scheduler.begin(effect(f"{number}", scope=((str, Child(f"{number}")),)))
        scheduler.begin(effect(f"{number} keyed", key="k", scope=((str, Child(f"{number}")), (str, "part"))))
    Child.compared = 0
    scope = ((str, Child("7")),)
    assert len(list(scheduler.keys_in(scope))) == 1
    assert names(scheduler.begin(cancel(None, scope)).stop) == ["7 keyed", "7"]
    assert Child.compared < 50
    assert scheduler.count == 1998


def test_a_child_whose_name_cannot_be_hashed_is_cancelled() -> None:
    """It has no keys, and its effects are found all the same."""
    scheduler = Scheduler(at_once=9)
    for name in "ab":
        scheduler.begin(effect(name, scope=((str, [name]),)))
    assert names(scheduler.begin(cancel(None, ((str, ["a"]),))).stop) == ["a"]
    assert names(scheduler.end_everything()) == ["b"]
