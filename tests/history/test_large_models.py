"""Large models: what is looked at as a whole only now and then is found all the same, and the message is named."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import immutables
import pytest

import go_state as gs

ENTRIES, MESSAGES, AT = 5_000, 300, 123


@dataclass(frozen=True)
class Table:
    entries: immutables.Map[int, int]
    rows: dict[int, list[int]]
    n: int = 0
    last: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Set:
    key: int
    value: int


FIRST = Table(immutables.Map(dict.fromkeys(range(ENTRIES), 0)), {key: [0] for key in range(ENTRIES)})


def update(model: Table, msg: Set) -> gs.Step[Table, Set]:
    return replace(model, entries=model.entries.set(msg.key, msg.value), n=model.n + 1, last=[*model.last[-2:], msg.value]), ()


class History:
    """Messages in memory, each with its own position as the value."""

    name, identity, has_sent = "large", "large", True

    def span(self) -> gs.abc.Span:
        return gs.abc.Span(0, MESSAGES)

    def entries(self, start: int, end: int | None = None) -> Any:
        stop = MESSAGES if end is None else end
        return (gs.abc.Entry(position, 0.0, Set(position * 7 % ENTRIES, position)) for position in range(start, stop))

    def set_aside(self) -> dict[int, str]:
        return {}


def program(change: Callable[[Table, Table, Set], Table]) -> gs.Program[Table, Set]:
    """Return a program that does something else with one message."""

    def changed(model: Table, msg: Set) -> gs.Step[Table, Set]:
        after = update(model, msg)[0]
        return (change(model, after, msg) if msg.value == AT else after), ()

    return gs.Program(lambda: (FIRST, ()), changed)


same = program(lambda before, after, msg: after)


def clock(before: Table, after: Table, msg: Set) -> Table:
    return replace(after, entries=after.entries.set(3, time.perf_counter_ns()))


def new_in_place(before: Table, after: Table, msg: Set) -> Table:
    before.last.append(1)
    return after


def deep_in_place(before: Table, after: Table, msg: Set) -> Table:
    before.rows[4321].append(1)
    return after


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "what", "path"),
    [
        (clock, "two runs of update differ", ".entries[3]"),
        (new_in_place, "update changes the model that it is given", ".last"),
        (deep_in_place, "update changes the model that it is given", ".rows[4321]"),
    ],
)
def test_verify_finds_the_message(change: Any, what: str, path: str) -> None:
    """Chance in a persistent map, and a list in a dict of thousands that was changed in place."""
    try:
        finding: Any = gs.verify(program(change), History()).finding
    finally:
        FIRST.rows[4321][1:] = []
    assert (finding.what, finding.path) == (what, path)
    assert (finding.start, finding.position) == (AT, AT)


def test_compare_finds_the_message() -> None:
    """Two updates that part in one entry of a persistent map."""
    other = program(lambda before, after, msg: replace(after, entries=after.entries.set(9, -1)))
    parted: Any = gs.history.compare(same, other, History()).parted
    assert (parted.position, [each.path for each in parted.fields]) == (AT, [".entries[9]"])
    compared = gs.history.compare(same, other, History(), go_on=True)
    assert compared.counts == {".entries[...]": 1}


def test_a_large_model_is_seldom_looked_at_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """For hundreds of messages it is encoded a few times."""
    count = itertools.count()
    encode = gs.JsonCodec.encode

    def counted(self: Any, value: Any) -> bytes:
        next(count)
        return encode(self, value)

    monkeypatch.setattr(gs.JsonCodec, "encode", counted)
    assert gs.verify(same, History()).messages == MESSAGES
    assert next(count) <= 4
