"""Compatibility: each change of a stored type has the verdict that reading real values of it has."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Optional, Union

import immutables
import pytest
from msgspec import json

import go_state as gs
from go_state.storage.types.compatibility import Change, changes, compare
from go_state.storage.types.description import describe, remember


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class FewerColours(enum.Enum):
    RED = "red"


class MoreColours(enum.Enum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"


class Numbered(enum.IntEnum):
    ONE = 1


class Renumbered(enum.IntEnum):
    ZERO = 1
    ONE = 2


class NumberedFlag(enum.IntFlag):
    ONE = 1


class Swapped(enum.Enum):
    RED = "blue"
    BLUE = "red"


class Split(enum.Enum):
    SCARLET = "red"
    RED = "crimson"
    BLUE = "blue"


class Aliased(enum.Enum):
    SCARLET = "red"
    RED = "red"  # noqa: PIE796  - an alias, as it is kept for those who know the old name
    BLUE = "blue"


class Word(enum.StrEnum):
    YES = "y"
    NO = "n"


class OtherWord(enum.StrEnum):
    YEAR = "y"
    NIGHT = "n"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class MoreAccess(enum.Flag):
    READ = 1
    WRITE = 2
    SHARE = 4


class SwappedAccess(enum.Flag):
    WRITE = 1
    READ = 2


class AccessAlone(enum.Enum):
    READ = 1
    WRITE = 2


@dataclass(frozen=True)
class Cat:
    lives: int = 9


@dataclass(frozen=True)
class Dog:
    name: str = ""


@gs.stored_as("Hound", was=("Dog",))
@dataclass(frozen=True)
class Hound:
    name: str = ""


@gs.stored_as("Cat")
@dataclass(frozen=True)
class LongCat:
    lives: int = 9
    length: float = 1.0


@gs.stored_as("Cat")
@dataclass(frozen=True)
class NamelessCat:
    pass


@dataclass(frozen=True)
class Metres:
    number: int = 1


@gs.stored_as("Feet")
@dataclass(frozen=True)
class Feet:
    number: int = 1


@gs.stored_as("Meters", was=("Metres",))
@dataclass(frozen=True)
class Meters:
    number: int = 1


class Point(NamedTuple):
    x: int
    y: int


@dataclass(frozen=True)
class Tree:
    value: int
    children: tuple[Tree, ...] = ()


@gs.stored_as("Tree")
@dataclass(frozen=True)
class FloatTree:
    value: float
    children: tuple[FloatTree, ...] = ()


def verdicts(old: Any, new: Any, *, tagged: bool = False) -> list[tuple[str, str]]:
    """Return verdict and field of each change from one type to the other."""
    described = [json.decode(describe(kind, tagged=tagged).data) for kind in (old, new)]
    return [(change.verdict, change.field) for change in compare(*described)]


SAME: list[tuple[Any, Any]] = [
    (int, int), (list[int], tuple[int, ...]), (tuple[int, ...], list[int]), (set[int], frozenset[int]), (dict[str, int], immutables.Map[str, int]),
    (int, int | None), (int, int | str), (Optional[Cat], Optional[Cat]), (Union[Cat, Dog], Union[Cat, Dog, Point]),
    (Access, MoreAccess), (Aliased, Colour), (Colour, Aliased), (Numbered, NumberedFlag), (Cat | Dog, Dog | Cat), (Cat | Dog, Cat | Hound),
    (Colour, MoreColours), (list[Metres], list[Meters]), (Literal["a"], Literal["a", "b"]), (Tree, Tree),
    (dict[Point, int], dict[Point, int]), (datetime.datetime, datetime.datetime), (Any, Any), (list[Any], list), (Colour | None, Colour | None),
]  # fmt: skip
RISKY: list[tuple[Any, Any, str]] = [
    (int, float, "the value"), (int | None, int, "the value"), (int | str, int, "the value"), (Cat | Dog | Point, Cat | Dog, "the value"),
    (Colour, FewerColours, "the value"), (str, Colour, "the value"), (str, uuid.UUID, "the value"), (uuid.UUID, str, "the value"),
    (int, Any, "the value"), (Any, int, "the value"), (list[int], list[float], "[]"), (list[int], set[int], "the value"),
    (set[int], list[int], "the value"), (frozenset[str], tuple[str, ...], "the value"), (Colour, Swapped, "the value"),
    (Numbered, Renumbered, "the value"), (Aliased, Split, "the value"), (list[Metres], list[Feet], "[]"),
    (dict[str, Metres | None], dict[str, Feet | None], "[...]"),
    (Word, OtherWord, "the value"), (Access, SwappedAccess, "the value"), (Access, AccessAlone, "the value"),
    (dict[str, Colour], dict[str, Swapped], "[...]"),
    (Colour | None, Swapped | None, "the value"), (Cat | Colour, Cat | Swapped, "the value"), (Literal[True, 2], Literal[1, 2], "the value"),
    (dict[str, int], dict[str, float], "[...]"), (tuple[int, str], tuple[float, str], "[0]"), (Tree, FloatTree, "value"),
    (Optional[int], float | None, "the value"), (int, decimal.Decimal, "the value"), (Cat | Dog, Any, "the value"),
    (Any, int | None, "the value"), (Any, Cat | Dog, "the value"), (Colour, Literal["red", "blue"], "the value"),
    (dict[str, int], dict[int, int], " keys"), (str | None, Literal["a", None], "the value"), (Cat | Dog, Cat | Any, "the value"),
]  # fmt: skip
IMPOSSIBLE: list[tuple[Any, Any, str]] = [
    (int, str, "the value"), (str, int, "the value"), (bool, int, "the value"), (Cat, NamelessCat, "lives"), (NamelessCat, Point, "x"),
    (Cat | Dog, NamelessCat | Dog, "(Cat).lives"), (Cat, Cat | Dog, "the value"), (Cat | Dog, Cat, "the value"), (Cat, int, "the value"),
    (list[int], int, "the value"), (tuple[int, int], tuple[int], "the value"), (list[Cat], list[NamelessCat], "[].lives"),
    (dict[str, int], dict[Point, int], "the value"), (int | str, bool | None, "the value"), (Colour, Numbered, "the value"),
    (Literal[True], Literal[1, 2], "the value"), (Literal[1], Literal[True], "the value"), (Literal[1, 2], bool, "the value"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new"), SAME, ids=str)
def test_what_reads_the_same_is_no_change(old: Any, new: Any) -> None:
    """Types that read each other's values as what they were have no changes."""
    assert verdicts(old, new) == []


@pytest.mark.parametrize(("old", "new", "path"), RISKY, ids=str)
def test_what_may_read_as_something_else_is_risky(old: Any, new: Any, path: str) -> None:
    """Where some values would not be read, or be something else, the change is risky and its place is named."""
    assert verdicts(old, new)[0] == ("risky", path)


@pytest.mark.parametrize(("old", "new", "path"), IMPOSSIBLE, ids=str)
def test_what_cannot_be_read_is_impossible(old: Any, new: Any, path: str) -> None:
    """Where no value could be read, the change is impossible and its place is named."""
    assert ("impossible", path) in verdicts(old, new)


def test_a_new_field_is_fine_with_a_default_alone() -> None:
    """A field that is new is fine where it has a default, and impossible where it has none."""
    assert verdicts(Cat, LongCat) == [("fine", "length")]
    assert verdicts(Cat | Dog, LongCat | Dog) == [("fine", "(Cat).length")]
    assert verdicts(Dog, dataclasses.make_dataclass("Dog", [("name", str), ("age", int)])) == [("impossible", "age")]


def test_a_message_is_compared_by_its_name() -> None:
    """A message's class is stored with its name also where there is one: another name is another message."""
    assert verdicts(Cat, Cat | Dog, tagged=True) == []
    assert verdicts(Dog, Hound, tagged=True) == []
    assert verdicts(Cat, Dog, tagged=True) == [("impossible", "the value")]


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        (int, float, 1), (Cat, LongCat, Cat(3)), (Cat | Dog, Cat | Hound, Dog("rex")), (str, Colour, "red"), (list[int], tuple[int, ...], [1]),
        (int | None, int, 5), (Tree, FloatTree, Tree(1, (Tree(2),))), (dict[str, int], immutables.Map[str, int], {"a": 1}),
    ],
)  # fmt: skip
def test_what_is_not_impossible_can_be_read(old: Any, new: Any, value: Any) -> None:
    """A value of a type whose change is fine or risky can be read with the new one."""
    assert "impossible" not in dict(verdicts(old, new))
    gs.JsonCodec(new).decode(gs.JsonCodec(old).encode(value))


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        (int, str, 1), (Cat, NamelessCat, Cat()), (NamelessCat, Point, NamelessCat()), (Cat, Cat | Dog, Cat()), (bool, int, True),
        (tuple[int, int], tuple[int], (1, 2)), (Cat | Dog, NamelessCat | Dog, Cat()), (Colour, Numbered, Colour.RED),
    ],
)  # fmt: skip
def test_what_is_impossible_cannot_be_read(old: Any, new: Any, value: Any) -> None:
    """A value of a type whose change is impossible is refused by the new one."""
    with pytest.raises(ValueError, match="does not hold"):
        gs.JsonCodec(new).decode(gs.JsonCodec(old).encode(value))


def test_a_description_does_not_depend_on_order_or_module() -> None:
    """Two classes of one name and the same fields have one digest, wherever they are defined; another field gives another."""
    again = dataclasses.make_dataclass("Cat", [("lives", int, field(default=1))])
    again.__module__ = "elsewhere"
    assert describe(Cat).digest == describe(again).digest
    assert describe(Cat).digest != describe(LongCat).digest


def test_what_nobody_remembers_has_no_changes() -> None:
    """Of types that a store does not know nothing is said; those it knows are compared by their digest."""
    store = gs.MemoryStore()
    old, new = describe(int), describe(float)
    assert changes(store, old.digest, new) == []
    remember(store, old)
    remember(store, old)
    assert changes(store, old.digest, new) == [Change("risky", "the value", "it was int and is float")]
    assert changes(store, old.digest, old) == []


def test_a_damaged_description_is_as_if_there_were_none() -> None:
    """Whatever stands in a description's place, values are read; what has changed is then not told."""
    old, new = describe(Cat), describe(NamelessCat)
    for data in (
        b"",
        b"{}",
        b"5",
        b"\xff",
        b"[" * 5000,
        b'{"type":["zzz",1],"classes":{}}',
        b'{"type":["class","X"],"classes":[]}',
    ):
        store = gs.MemoryStore()
        store.store({old.key: gs.abc.Write(data, 0)})
        assert changes(store, old.digest, new) == []


def test_two_classes_of_one_name_keep_apart() -> None:
    """Classes that are stored under one name, whatever it is, are described each by itself."""
    one, two = (gs.stored_as("X#")(dataclasses.make_dataclass("A", [("a", kind)])) for kind in (int, str))
    both = [dataclasses.make_dataclass("M", [("p", each), ("q", one)]) for each in (one, two)]
    assert verdicts(*both) == [("impossible", "p.a")]


@pytest.mark.parametrize(
    ("kind", "found"), [(Colour, []), (MoreColours, []), (Swapped, []), (FewerColours, ["risky"]), (Numbered, ["impossible"])]
)
def test_a_description_without_names_still_tells_of_values(kind: Any, found: list[str]) -> None:
    """What the first release has stored of an enum is its values alone: of those it is told what is gone."""
    stored = {"type": ["enum", "blue", "red"], "classes": {}}
    assert [change.verdict for change in compare(stored, json.decode(describe(kind).data))] == found


def test_a_renumbered_member_is_told_by_both_names() -> None:
    """Whoever reads the change sees which member is read as which."""
    (change, *_) = compare(*(json.decode(describe(kind).data) for kind in (Numbered, Renumbered)))
    assert change.why == "ONE was stored as 1, which is ZERO today"
