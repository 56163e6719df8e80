"""The purity guard: a strict program's update cannot change the model that it is given, in whatever way it tries."""

from __future__ import annotations

import copy
import functools
import pickle
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import attrs
import immutables
import msgspec
import pytest

import go_state as gs
from go_state.testing import play


@dataclass
class Open:
    count: int = 0
    inner: list[int] = field(default_factory=list)


class Pair(NamedTuple):
    left: list[int]
    right: int


@attrs.frozen
class Box:
    items: dict[str, list[int]]


@attrs.define
class OpenBox:
    items: list[int]


class Packed(msgspec.Struct, frozen=True):
    items: list[int]


class OpenPacked(msgspec.Struct):
    items: list[int]


@dataclass(frozen=True, slots=True)
class Slotted:
    items: list[int]


@dataclass(frozen=True)
class Model:
    items: list[int] = field(default_factory=lambda: [1, 2])
    table: dict[str, Any] = field(default_factory=lambda: {"a": [1], "b": {"c": {1}}})
    tags: set[int] = field(default_factory=lambda: {1, 2})
    part: Any = None
    count: int = 0


def plain() -> dict[str, Any]:
    return {"n": 0}


CHANGES: dict[str, Callable[[Model], object]] = {
    "append": lambda m: m.items.append(3),
    "index": lambda m: m.items.__setitem__(0, 9),
    "augmented": lambda m: m.items.__iadd__([1]),
    "sort": lambda m: m.items.sort(),
    "del": lambda m: m.items.__delitem__(0),
    "key": lambda m: m.table.__setitem__("x", 1),
    "update": lambda m: m.table.update(x=1),
    "setdefault": lambda m: m.table.setdefault("x", 1),
    "nested list": lambda m: m.table["a"].append(2),
    "nested set": lambda m: m.table["b"]["c"].add(2),
    "set": lambda m: m.tags.discard(1),
    "set operator": lambda m: m.tags.__ior__({5}),
}


class SlottedOpen:
    __slots__ = ("items",)

    def __init__(self) -> None:
        self.items = [1]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SlottedOpen) and self.items == other.items

    __hash__ = None  # type: ignore[assignment]


PARTS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "open dataclass": (Open, lambda p: setattr(p, "count", 1)),
    "list of an open dataclass": (Open, lambda p: p.inner.append(1)),
    "named tuple": (lambda: Pair([1], 2), lambda p: p.left.append(1)),
    "tuple": (lambda: ([1], 2), lambda p: p[0].append(1)),
    "attrs": (lambda: Box({"a": [1]}), lambda p: p.items["a"].append(2)),
    "open attrs": (lambda: OpenBox([1]), lambda p: setattr(p, "items", [])),
    "struct": (lambda: Packed([1]), lambda p: p.items.append(1)),
    "open struct": (lambda: OpenPacked([1]), lambda p: setattr(p, "items", [])),
    "slots": (lambda: Slotted([1]), lambda p: p.items.append(1)),
    "persistent map": (lambda: immutables.Map(a=[1]), lambda p: p["a"].append(1)),
    "deque": (lambda: deque([1]), lambda p: p.append(2)),
    "list in a deque": (lambda: deque([[1]]), lambda p: p[0].append(2)),
    "equal in a deque": (lambda: deque([1]), lambda p: p.__setitem__(0, True)),
    "list in a defaultdict": (lambda: defaultdict(list, a=[1]), lambda p: p["a"].append(2)),
    "slots that are open": (SlottedOpen, lambda p: p.items.append(2)),
    "another slot": (SlottedOpen, lambda p: setattr(p, "items", [])),
    "namespace": (lambda: SimpleNamespace(a=1), lambda p: setattr(p, "a", 2)),
    "two fields": (Open, lambda p: (setattr(p, "count", 5), setattr(p, "inner", []))),
    "bytearray": (lambda: bytearray(b"a"), lambda p: p.append(2)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_in_place_is_found(change: Callable[[Model], object]) -> None:
    """Every way to change a list, dict or set of the model raises, and the model stays what it was."""

    def update(model: Model, msg: str) -> gs.Step[Model, str]:
        if msg == "impure":
            change(model)
        return replace(model, count=model.count + 1), ()

    program: gs.Program[Model, str] = gs.Program(lambda: (Model(), ()), update, strict=True)
    with pytest.raises(gs.ProgramError, match="in place, and a model stays what it was"):
        gs.batch(program, ["pure", "impure"])
    aside = gs.batch(program, ["pure", "impure", "pure"], on_error=gs.SetAside())
    assert aside.model == Model(count=2)


@pytest.mark.parametrize(("make", "change"), PARTS.values(), ids=PARTS)
def test_a_change_in_a_part_is_found(make: Callable[[], Any], change: Callable[[Any], object]) -> None:
    """Whatever the model is made of, a part changed in place is found, put back, and not found where nothing is changed."""

    def update(model: Model, msg: str) -> gs.Step[Model, str]:
        if msg == "impure":
            change(model.part)
        return replace(model, count=model.count + 1), ()

    program: gs.Program[Model, str] = gs.Program(lambda: (Model(part=make()), ()), update, strict=True)
    with pytest.raises(gs.ProgramError, match="a model stays what it was"):
        gs.batch(program, ["impure"])
    aside = gs.batch(program, ["pure", "impure", "pure"], on_error=gs.SetAside())
    assert len(aside.set_aside) == 1
    assert aside.model == Model(part=make(), count=2)


def test_a_model_that_is_a_list_is_guarded() -> None:
    """The model itself may be a list or dict, that of the first turn included."""
    for init, change in ((list, lambda m: m.append(1)), (dict, lambda m: m.update(a=1))):
        with pytest.raises(gs.ProgramError, match="in place"):
            play(gs.Program(lambda init=init: (init(), ()), lambda m, _msg, change=change: (change(m), m)[1:] + ((),)), 1)


def test_what_enters_later_is_guarded() -> None:
    """A list that a turn puts into the model can be built in that turn, and not be changed in the next."""

    def update(model: Model, msg: int) -> gs.Step[Model, int]:
        if msg == 1:
            grown = [*model.items]
            grown.append(3)
            return replace(model, items=grown, table={**model.table, "new": [grown]}), ()
        model.table["new"][0].append(4)
        return model, ()

    program: gs.Program[Model, int] = gs.Program(lambda: (Model(), ()), update)
    assert play(program, 1).model.items == [1, 2, 3]
    with pytest.raises(gs.ProgramError, match="in place"):
        play(program, 1, 2)


def test_play_is_strict_and_programs_are_not() -> None:
    """`play` finds what `batch` lets pass unless the program is strict."""

    def update(model: list[int], msg: int) -> gs.Step[list[int], int]:
        model.append(msg)
        return model, ()

    program: gs.Program[list[int], int] = gs.Program(lambda: ([], ()), update)
    assert gs.batch(program, [1, 2]).model == [1, 2]
    with pytest.raises(gs.ProgramError, match="make a new list"):
        play(program, 1, 2)


def test_copies_can_be_changed() -> None:
    """What is copied out of a strict model, by any means, is an ordinary list, dict or set."""
    model = play(gs.reducer(lambda: {"l": [1], "d": {}, "s": {1}}, lambda m, _msg: m), 1).model
    for copied in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model)), dict(model), model | {}):
        copied["new"] = 1
    for make in (copy.copy, copy.deepcopy, lambda v: v.copy(), list, lambda v: type(v)(v), lambda v: v + [], lambda v: v[:]):
        make(model["l"]).append(2)
    for make in (copy.copy, copy.deepcopy, lambda v: v.copy(), set, lambda v: v | {3}):
        make(model["s"]).add(2)
    assert model == {"l": [1], "d": {}, "s": {1}}


def test_a_strict_program_is_stored(tmp_path: Path) -> None:
    """A strict program's models are stored, loaded and verified as those of any other."""

    def update(model: Model, msg: int) -> gs.Step[Model, int]:
        return replace(model, items=[*model.items, msg], part=msg), ()

    program: gs.Program[Model, int] = gs.Program(lambda: (Model(tags={1}, table={}), ()), update, strict=True)
    for _ in range(2):
        with gs.LMDBStore(tmp_path / "s.lmdb") as store:
            journal = store.journal("k", of=int)
            journal.put(1, 2)
            journal.close()
            gs.run(program, journal, store=store, key="k", snapshots=gs.Snapshots(every=1))
            assert gs.verify(program, journal).ok
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        assert gs.load_model(replace(program, strict=False), store=store, key="k") == Model([1, 2, 1, 2, 1, 2], {}, {1}, part=2)


def test_a_turn_looks_at_what_it_has_built() -> None:
    """What a new model shares with the one before is not looked at: neither the members of a shared list, nor of a shared object."""
    looked: list[int] = []

    class Counting(Pair):
        __slots__ = ()

        def __iter__(self) -> Any:
            looked.append(1)
            return super().__iter__()

    def update(model: dict[str, Any], msg: int) -> gs.Step[dict[str, Any], int]:
        return {**model, "n": msg}, ()

    program: gs.Program[Any, int] = gs.Program(lambda: ({"big": Counting([1], 2), "n": 0}, ()), update, strict=True)
    gs.batch(program, range(1))
    first = len(looked)
    gs.batch(program, range(100))
    assert len(looked) == 2 * first


def test_strict_keeps_what_a_program_is() -> None:
    """A strict program takes the turn where update does, is equal to its like, and names its update in errors."""

    def update(model: int, msg: int, turn: gs.Turn) -> gs.Step[int, int]:
        return int(turn.position), ()

    program: gs.Program[int, int] = gs.Program(lambda: (0, ()), update, strict=True)
    assert program.takes_turn
    assert program == replace(program) == gs.Program(program.init, update, strict=True)
    assert play(program, 5, 6).model == 1
    with pytest.raises(gs.ProgramError, match="returned None"):
        play(gs.Program(lambda: (0, ()), lambda _m, _msg: None), 1)  # type: ignore[arg-type, return-value]


PURE: dict[str, Callable[[], Any]] = {
    "mapping proxy": lambda: MappingProxyType({"a": [1]}),
    "one list in two places": lambda: (lambda shared: {"one": shared, "two": shared})([1]),
    "a cycle": lambda: (lambda a: a.setdefault("kids", []).append({"parent": a}) or a)({}),
    "deep": lambda: functools.reduce(lambda inner, _: (inner,), range(3000), ()),
    "wide sharing": lambda: functools.reduce(lambda x, _: (x, x), range(40), ()),
}


@pytest.mark.parametrize("make", PURE.values(), ids=PURE)
def test_a_pure_update_is_let_be(make: Callable[[], Any]) -> None:
    """Whatever the model holds, an update that changes nothing in place runs as it does without the guard."""

    def update(model: dict[str, Any], msg: int) -> gs.Step[dict[str, Any], int]:
        return {**model, "n": msg}, ()

    program: gs.Program[Any, int] = gs.Program(lambda: ({"part": make(), "n": 0}, ()), update, strict=True)
    model = gs.batch(program, [1, 2, 3]).model
    assert model["n"] == 3
    if isinstance(model["part"], dict) and "one" in model["part"]:
        assert model["part"]["one"] is model["part"]["two"]


def test_a_growing_chain_is_not_walked_again() -> None:
    """A model that holds the one before costs what is new of it, however long the chain has become."""
    program: gs.Program[Any, int] = gs.Program(lambda: ((), ()), lambda model, msg: ((msg, model), ()), strict=True)
    assert gs.batch(program, range(3000)).model[0] == 2999


def test_what_update_fails_with_is_told() -> None:
    """An exception passes on, also where a part was changed before it; that is put back."""

    def update(model: Model, msg: int) -> gs.Step[Model, int]:
        model.part.count = 9
        raise KeyError("mine")

    program: gs.Program[Model, int] = gs.Program(lambda: (Model(part=Open()), ()), update, strict=True)
    with pytest.raises(KeyError, match="mine"):
        gs.batch(program, [1])
    assert gs.batch(program, [1], on_error=gs.SetAside()).model.part == Open()
    assert pickle.loads(pickle.dumps(gs.Program(plain_init, plain_update, strict=True))).strict


def plain_init() -> gs.Step[int, int]:
    return 0, ()


def plain_update(model: int, msg: int) -> gs.Step[int, int]:
    return model + msg, ()


def test_a_field_may_be_named_anything() -> None:
    """No name of a user's field has a meaning of ours."""

    @dataclass
    class Named:
        x: float
        stands_for: str = "a"

    assert gs.JsonCodec(Named).encode(Named(1.5)) == b'{"x":1.5,"stands_for":"a"}'
