"""`Sub.each` wants a subscription for each entry of a mapping, and looks only at entries that are different."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

import go_state as gs
from go_state.testing import Harness, SimClock


def program(subscriptions: Any) -> gs.Program[Any, Any]:
    """A program whose model is the last message, once that is a mapping; other messages are kept in a list beside it."""

    def update(model: Any, msg: Any) -> Any:
        due, got = model
        return ((msg, got) if isinstance(msg, Mapping) else (due, (*got, msg))), ()

    return gs.Program(lambda: (({}, ()), ()), update, subscriptions=lambda model: subscriptions(model[0]))


def reminders(due: Mapping[str, float]) -> list[gs.Sub[Any]]:
    return [gs.Sub.each(due, lambda name, when: gs.Sub.at(when, name))]


@pytest.mark.parametrize("kind", [dict, Map])
def test_each_entry_has_its_own_timer(kind: Any) -> None:
    """Entries come and go with the mapping, and each fires once at its time."""
    clock = SimClock()
    with gs.start(program(reminders), clock=clock) as app:
        app.apply(kind({"ann": 10.0, "bob": 20.0}))
        app.apply(kind({"bob": 20.0, "eve": 15.0}))
        clock.advance(16)
        assert app.model[1] == ("eve",)
        app.apply(kind({"bob": 30.0, "eve": 15.0}))
        clock.advance(10)
        assert app.model[1] == ("eve",)
        clock.advance(10)
        assert app.model[1] == ("eve", "bob")


@pytest.mark.parametrize("kind", [dict, Map])
def test_the_function_is_called_for_what_is_different_alone(kind: Any) -> None:
    """An entry whose value is the very same object is not looked at, in whichever order it comes."""
    asked: list[str] = []

    def want(name: str, when: float) -> gs.Sub[str]:
        asked.append(name)
        return gs.Sub.at(when, name)

    harness = Harness(program(lambda due: [gs.Sub.each(due, want)]))
    times = {"a": 1e9, "b": 2e9, "c": 3e9}
    harness.send(kind(times))
    assert sorted(asked) == ["a", "b", "c"]
    asked.clear()
    harness.send(kind({"c": times["c"], "b": 5e9, "a": times["a"]}))
    assert asked == ["b"]


@given(st.lists(st.dictionaries(st.integers(0, 6), st.sampled_from([1e9, 2e9, 3e9, None]))), st.sampled_from([dict, Map]))
def test_it_is_the_same_as_a_list_of_all(mappings: list[dict[int, float | None]], kind: Any) -> None:
    """After any changes the same subscriptions run as if all of them were made anew; None wants none."""
    each = Harness(program(lambda due: [gs.Sub.each(due, lambda n, at: None if at is None else gs.Sub.at(at, n))]))
    for mapping in mappings:
        each.send(kind(mapping))
        running = {(sub.message, sub.when) for sub in each.subscriptions}  # type: ignore[attr-defined]
        assert running == {(n, at) for n, at in mapping.items() if at is not None}
        assert len(each.subscriptions) == len(running)


def test_two_of_them_and_others_live_side_by_side() -> None:
    """Each has its own entries, under the key of the function or its own, among subscriptions of other kinds."""

    def subscriptions(due: Mapping[str, float]) -> list[gs.Sub[Any]]:
        first = gs.Sub.each(due, lambda name, at: gs.Sub.at(at, ("first", name)))
        second = gs.Sub.each(due, lambda name, at: gs.Sub.at(at, ("second", name)), key="second")
        return [first, gs.Sub.every(1e6, "tick"), *([second] if "two" in due else [])]

    harness = Harness(program(subscriptions))
    harness.send({"one": 1e9})
    assert len(harness.subscriptions) == 2
    harness.send({"one": 1e9, "two": 2e9})
    assert len(harness.subscriptions) == 5
    harness.send({"one": 1e9})
    assert len(harness.subscriptions) == 2


def test_a_childs_entries_become_the_parents() -> None:
    """`Sub.map` wraps what the entries of a child send."""
    clock = SimClock()

    def card(number: int, msg: object) -> tuple[int, object]:
        return number, msg

    wrapped = program(lambda due: gs.Sub.map(reminders(due), card, 7))
    with gs.start(wrapped, clock=clock) as app:
        app.apply({"ann": 1.0})
        clock.advance(2)
        assert app.model[1] == ((7, "ann"),)


def test_one_function_that_closes_over_the_model_is_one_subscription() -> None:
    """A lambda is made anew in each turn and stays the same function by its code."""
    harness = Harness(program(lambda due: [gs.Sub.each(due, lambda name, at: gs.Sub.at(at, len(due)))]))
    harness.send({"a": 1e9})
    harness.send({"a": 1e9, "b": 1e9})
    assert [sub.message for sub in harness.subscriptions] == [1, 2]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (lambda: gs.Sub.each([1, 2], lambda name, at: None), "mapping"),  # type: ignore[arg-type]
        (lambda: gs.Sub.each({}, None), "function of a key and a value"),  # type: ignore[arg-type]
        (lambda: gs.Sub.each({"a": 1}, lambda name, at: [gs.Sub.at(1.0, 1)]), "returns one subscription"),  # type: ignore[arg-type, return-value]
        (lambda: gs.Sub.each({"a": {}}, lambda name, of: gs.Sub.each(of, lambda n, m: None)), "returns one subscription"),
    ],
)
def test_what_is_no_each_is_said(wanted: Any, says: str) -> None:
    """A list, no function, and a function that returns several are errors of the program."""
    with pytest.raises(gs.ProgramError, match=says):
        gs.batch(program(lambda due: [wanted()]), [{"x": 1}])


def test_the_same_function_twice_needs_a_key() -> None:
    """Two with one function cannot be told apart."""

    def want(name: str, at: float) -> gs.Sub[str]:
        return gs.Sub.at(at, name)

    with pytest.raises(gs.ProgramError, match="two subscriptions have the key"):
        gs.batch(program(lambda due: [gs.Sub.each(due, want), gs.Sub.each({}, want)]), [{"x": 1e9}])


def test_a_function_that_fails_ends_the_run_with_its_error() -> None:
    """What it raises is raised as what `subscriptions` raises."""
    with pytest.raises(ZeroDivisionError):
        gs.batch(program(lambda due: [gs.Sub.each(due, lambda name, at: 1 / 0)]), [{"x": 1}])  # type: ignore[arg-type, return-value]
