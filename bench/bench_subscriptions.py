"""What does a turn cost that changes one of 10,000 entities, each of which wants a timer?"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ratio import line

import go_state as gs

ENTITIES = 10_000
TURNS = 200
RUNS = 5


@dataclass(frozen=True)
class Reminders:
    wanted: tuple[gs.Sub[int], ...] = tuple([gs.Sub.at(2e9 + number, number, key=number) for number in range(ENTITIES)])


@dataclass(frozen=True)
class Entities:
    due: Mapping[int, float]


def moved(model: Reminders, msg: int) -> gs.Step[Reminders, int]:
    """Move one reminder among subscriptions that the model keeps."""
    sub = gs.Sub.at(3e9 + msg, msg, key=("moved", msg))
    return replace(model, wanted=(*model.wanted[:msg], sub, *model.wanted[msg + 1 :])), ()


def set_in_dict(model: Entities, msg: int) -> gs.Step[Entities, int]:
    return Entities({**model.due, msg: 3e9 + msg}), ()


def set_in_map(model: Any, msg: int) -> gs.Step[Any, int]:  # a persistent map of `immutables`, which has no types
    return Entities(model.due.set(msg, 3e9 + msg)), ()


def for_each(model: Entities) -> list[gs.Sub[int]]:
    return [gs.Sub.each(model.due, lambda number, due: gs.Sub.at(due, number))]


def for_all(model: Entities) -> list[gs.Sub[int]]:
    return [gs.Sub.at(due, number, key=number) for number, due in model.due.items()]


def main() -> None:
    from immutables import Map

    dues = {number: 2e9 + number for number in range(ENTITIES)}
    kinds: list[tuple[str, Callable[[], Any], Any, Any, str]] = [
        ("Sub.each of a dict", lambda: Entities(dues), set_in_dict, for_each, "<= 1"),
        ("Sub.each of a persistent map", lambda: Entities(Map(dues)), set_in_map, for_each, "<= 1"),
        ("subscriptions that the model keeps", Reminders, moved, lambda model: model.wanted, "<= 1"),
        ("subscriptions made anew in each turn", lambda: Entities(dues), set_in_dict, for_all, ""),
    ]
    for name, first, update, subscriptions, budget in kinds:
        made = [through(first, update, subscriptions) - through(first, update, None) for _ in range(RUNS)]
        low, high = min(made) * 1e3, max(made) * 1e3
        line(
            f"10,000 timers of which one changes, a turn: {name}",
            statistics.median(made) * 1e3,
            budget,
            f"{low:.2f}-{high:.2f}",
            unit="ms",
        )


def through(first: Callable[[], Any], update: Any, subscriptions: Any) -> float:
    """Return what one turn takes, once all of the first model's subscriptions are begun."""
    program: gs.Program[Any, int] = gs.Program(lambda: (first(), ()), update, subscriptions=subscriptions)
    with gs.start(program, clock=gs.testing.SimClock()) as app:
        app.apply(0)
        before = time.perf_counter()
        for number in range(TURNS):
            app.apply(number)
        return (time.perf_counter() - before) / TURNS


if __name__ == "__main__":
    print(__doc__)
    main()
