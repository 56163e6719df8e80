"""Two versions of a module side by side: a comparison of what has changed says what a comparison of the whole does."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import go_state as gs
from go_state.core.ports import Entry, Span
from go_state.history.reading import twins

VERSION = """
from dataclasses import dataclass, field, replace
import go_state as gs

@dataclass(frozen=True)
class Leaf:
    number: int = 0
    tags: frozenset[str] = frozenset()
    words: tuple[str, ...] = ()
    {extra}

@dataclass(frozen=True)
class Model:
    total: int = 0
    by_name: dict[str, Leaf] = field(default_factory=dict)
    nested: dict[str, dict[int, tuple[Leaf, ...]]] = field(default_factory=dict)
    leaves: tuple[Leaf, ...] = ()
    one: Leaf | None = None
    numbers: list[float] = field(default_factory=list)

@dataclass(frozen=True)
class Do:
    what: int
    at: int
    number: int

def change(m, what, at, number):
    name, leaf = f"n{{at}}", Leaf(number, frozenset([f"t{{number}}"]), ("w",) * (number % 3))
    match what:
        case 0: return replace(m, total=m.total + number)
        case 1: return replace(m, by_name={{**m.by_name, name: leaf}})
        case 2: return replace(m, by_name={{key: each for key, each in m.by_name.items() if key != name}})
        case 3: return replace(m, nested={{**m.nested, name: {{**m.nested.get(name, {{}}), number: (leaf, leaf)}}}})
        case 4: return replace(m, leaves=(*m.leaves[:at], leaf))
        case 5: return replace(m, leaves=m.leaves[:at] + m.leaves[at + 1 :])
        case 6: return replace(m, one=None if m.one else leaf)
        case 7: return replace(m, numbers=[*m.numbers, number / 2])
        case 8: return replace(m, by_name=dict(sorted(m.by_name.items(), reverse=number % 2 == 0)))
        case 9: return Model(**vars(m))
        case 11: m.numbers.append(number / 2)
    return m

def update(m: Model, msg: Do) -> gs.Step[Model, Do]:
    return change(m, *{change}), ()

program = gs.Program(lambda: (Model(), ()), update)
"""


def version(name: str, monkeypatch: pytest.MonkeyPatch, change: str = "(msg.what, msg.at, msg.number)", extra: str = "") -> Any:
    """Return a module of that source."""
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(VERSION.format(change=change, extra=extra), module.__dict__)
    return module


class History:
    """Messages as a history."""

    name, identity, has_sent = "messages", "", True

    def __init__(self, messages: list[Any]) -> None:
        self._messages = messages

    def span(self) -> Span:
        return Span(0, len(self._messages))

    def set_aside(self) -> dict[int, str]:
        return {}

    def entries(self, start: int, end: int | None = None) -> Iterator[Entry[Any]]:
        for position in range(start, len(self._messages) if end is None else end):
            yield Entry(position, float(position), self._messages[position])


def found(old: Any, new: Any, messages: list[Any]) -> list[tuple[int, tuple[object, ...]]]:
    """Return where the two part, one message after the other, and in which fields."""
    done = gs.history.compare(old.program, new.program, History(messages), go_on=True)
    each = [] if done.parted is None else [(done.parted.position, tuple(part.path for part in done.parted.fields))]
    return [*each, (done.messages, tuple(sorted(done.counts.items())))]


@pytest.mark.parametrize("extra", ["", "more: int = 7"])
@pytest.mark.parametrize("seed", range(6))
def test_what_has_changed_is_compared_as_the_whole_is(seed: int, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For models of every shape that come and go, and two updates that part now and then: in what they do, or in what they take."""
    dice = random.Random(seed)
    old = version("twins_old", monkeypatch)
    parts = f"(msg.what if msg.number % 17 != {seed} else msg.at, msg.at, msg.number + (msg.number % 19 == {seed}))"
    new = version("twins_new", monkeypatch, parts, extra)
    messages = [old.Do(dice.randrange(11), dice.randrange(6), dice.randrange(40)) for _ in range(300)]
    quick = found(old, new, messages)
    same = found(old, version("twins_same", monkeypatch, extra=extra), messages)
    monkeypatch.setattr(twins, "_is_as_before", lambda *models: False)
    assert found(old, new, messages) == quick
    assert len(quick) == 2
    assert same == [(300, ())]


def test_most_messages_are_not_compared_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoded are the first models and the last ones, and otherwise messages alone."""
    old, new = version("twins_old", monkeypatch), version("twins_new", monkeypatch)
    encoded: list[object] = []
    encode = gs.JsonCodec.encode

    def noted(self: Any, value: Any) -> bytes:
        encoded.append(value)
        return encode(self, value)

    monkeypatch.setattr(gs.JsonCodec, "encode", noted)
    assert found(old, new, [old.Do(1 + number % 9, number % 5, number) for number in range(500)]) == [(500, ())]
    assert len(encoded) <= 6


def test_a_model_that_is_changed_in_place_is_noticed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """No object says that it was changed: then the last models are not equal."""
    old, new = version("twins_old", monkeypatch), version("twins_new", monkeypatch, "(11, 0, 1)")
    (parted, _) = found(old, new, [old.Do(10, 0, 0) for _ in range(50)])
    assert parted == (49, (".numbers",))
