"""A large value in pieces: the same bytes as in one, each piece small, and the same refusals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import attrs
import immutables
import msgspec
import pytest

import go_state as gs
from go_state.storage.snapshots.pieces import SMALL, pieces, plan_of


@dataclass(frozen=True)
class Item:
    name: str
    tags: list[str] = field(default_factory=list)


class Pair(NamedTuple):
    left: int
    right: dict[str, int]


class Node(msgspec.Struct, frozen=True):
    value: int
    children: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Playing:
    items: dict[str, Item]


@dataclass(frozen=True)
class Lobby:
    guests: frozenset[str]


@dataclass(frozen=True)
class Checked:
    amounts: dict[str, int]

    def __post_init__(self) -> None:
        assert "" not in self.amounts


@attrs.frozen
class Drawn:
    _points: list[int]
    style: dict[str, int]


@dataclass(frozen=True)
class Sorted:
    items: list[int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", sorted(self.items))


def extended(model: list[str], msg: list[str]) -> gs.Step[list[str], list[str]]:
    return [*model, *msg], ()


strict = gs.Program(lambda: ([], ()), extended, strict=True)

MANY = range(SMALL + 100)
ODD: dict[Any, int] = dict.fromkeys(MANY, 1) | {"odd": 1}

LARGE: list[tuple[Any, Any]] = [
    (list[int], list(MANY)),
    (tuple[int, ...], tuple(MANY)),
    (set[str], set(map(str, MANY))),
    (frozenset[tuple[int, int]], frozenset((i, -i) for i in MANY)),
    (dict[str, int], {str(i): i for i in reversed(MANY)}),
    (dict[int, Item], {i: Item(str(i)) for i in MANY}),
    (dict[tuple[int, int], str], {(i, i): "x" for i in MANY}),
    (Mapping[str, int], {str(i): i for i in MANY}),
    (Sequence[int], tuple(MANY)),
    (immutables.Map[str, Item], immutables.Map({str(i): Item(str(i), ["a"] * (i % 3)) for i in MANY})),
    (immutables.Map[int, int], immutables.Map({i: i for i in MANY})),
    (immutables.Map[tuple[int, str], int], immutables.Map({(i, str(i)): i for i in MANY})),
    (Any, list(MANY)),
    (dict[str, list[int]], {"empty": [], "large": list(MANY), "small": [1]}),
    (dict[tuple[int, int], dict[str, int]], {(1, 2): {str(i): i for i in MANY}, (3, 4): {}}),
    (list[Pair], [Pair(1, {}), Pair(2, {str(i): i for i in MANY})]),
    (Playing | Lobby, Playing({str(i): Item(str(i)) for i in MANY})),
    (Playing | Lobby | None, Lobby(frozenset(map(str, MANY)))),
    (list[int] | None, list(MANY)),
    (Node, Node(1, tuple(Node(i) for i in MANY))),
    (Pair, Pair(1, {str(i): i for i in MANY})),
    (tuple[int, dict[str, Item]], (1, {str(i): Item(str(i)) for i in MANY})),
    (dict[str, Any], {"users": {str(i): {"name": str(i)} for i in MANY}, "none": None}),
    (dict[str, int] | list[str] | None, list(map(str, MANY))),
    (Checked, Checked({str(i): i for i in MANY})),
    (Drawn, Drawn(list(MANY), {"size": 1})),
    (Node, Node(1, (Node(2, tuple(Node(i) for i in MANY)),))),
    (list[str], gs.batch(strict, [list(map(str, MANY))]).model),
]


@pytest.mark.parametrize(("kind", "value"), LARGE, ids=[str(kind) for kind, _ in LARGE])
def test_the_pieces_are_the_whole(kind: Any, value: Any) -> None:
    """Together they are the bytes that the codec makes in one call."""
    codec: gs.JsonCodec[Any] = gs.JsonCodec(kind)
    assert b"".join(pieces(plan_of(codec), value)) == codec.encode(value)


@pytest.mark.parametrize(("kind", "value"), LARGE, ids=[str(kind) for kind, _ in LARGE])
def test_a_piece_is_small(kind: Any, value: Any) -> None:
    """However large the value, no call encodes more than some dozens of its entries."""
    assert max(len(piece) for piece in pieces(plan_of(gs.JsonCodec(kind)), value)) < 8_000


@pytest.mark.parametrize("number", [50, SMALL + 1])
def test_large_entries_come_fewer_at_a_time(number: int) -> None:
    """A piece is bounded in bytes as well, however few the entries are."""
    value = {str(i): "x" * 100_000 for i in range(number)}
    assert max(len(piece) for piece in pieces(plan_of(gs.JsonCodec(dict[str, str])), value)) < 1_000_000


def test_a_small_value_is_one_piece() -> None:
    """It is encoded in one call, as ever."""
    assert list(pieces(plan_of(gs.JsonCodec(list[int])), [1, 2])) == [b"[1,2]"]


def test_what_cannot_be_stored_is_named_from_the_top() -> None:
    """In the depth of a large value the refusal names the way to it, as for a small one."""
    value: Any = Playing({str(i): Item(str(i)) for i in MANY} | {"odd": Item("odd", [1])})  # type: ignore[list-item]
    codec: gs.JsonCodec[Any] = gs.JsonCodec(Playing)
    with pytest.raises(gs.errors.NotStorable) as whole:
        codec.encode(value)
    with pytest.raises(gs.errors.NotStorable) as taken_apart:
        list(pieces(plan_of(codec), value))
    assert str(taken_apart.value) == str(whole.value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (set[str], {1, *map(str, MANY)}), (dict[str, frozenset[int]], {"few": frozenset({1}), "many": frozenset({"odd", *MANY})}),
        (immutables.Map[str, int], immutables.Map({1: 1} | {str(i): i for i in MANY})), (Lobby, object.__new__(Lobby)),
    ],
    ids=["a set", "a set inside", "a map", "an object without its field"],
)  # fmt: skip
def test_what_cannot_be_put_in_order_or_taken_apart_is_refused(kind: Any, value: Any) -> None:
    """A member of another type has no place among the others, which is an error of the value and not one of sorting."""
    with pytest.raises(gs.errors.NotStorable):
        list(pieces(plan_of(gs.JsonCodec(kind)), value))


def test_a_value_that_changes_meanwhile_is_refused() -> None:
    """What is stored is one state of the value or none."""
    value = {str(i): i for i in MANY}
    making = pieces(plan_of(gs.JsonCodec(dict[str, int])), value)
    next(making)
    value["new"] = 1
    with pytest.raises(gs.errors.NotStorable, match="it was changed while it was being stored"):
        list(making)


class Own(dict[str, int]):
    """A dictionary of a kind of its own."""


def test_a_subclass_is_refused_as_by_the_codec() -> None:
    """It would be read back as what it is derived from."""
    with pytest.raises(gs.errors.NotStorable):
        list(pieces(plan_of(gs.JsonCodec(dict[str, int])), Own({str(i): i for i in MANY})))


@pytest.mark.parametrize(
    ("kind", "value"),
    [(set[str], {*map(str, MANY), 7}), (immutables.Map[int, int], immutables.Map(ODD))],
)
def test_what_cannot_be_sorted_is_refused_as_by_the_codec(kind: Any, value: Any) -> None:
    """Entries of mixed types have no order; the error is the codec's, not Python's."""
    with pytest.raises(gs.errors.NotStorable):
        list(pieces(plan_of(gs.JsonCodec(kind)), value))


def test_an_object_without_one_of_its_fields_is_refused_as_by_the_codec() -> None:
    """As an attribute that was deleted."""
    value = Playing({})
    object.__delattr__(value, "items")
    with pytest.raises(gs.errors.NotStorable):
        list(pieces(plan_of(gs.JsonCodec(Playing)), value))


def test_a_class_that_makes_something_else_of_what_it_holds_is_refused() -> None:
    """An object that its constructor would not make again is left to the codec of the whole, which compares what it reads."""
    value = Sorted(list(MANY))
    object.__setattr__(value, "items", list(reversed(MANY)))
    with pytest.raises(gs.errors.NotStorable):
        list(pieces(plan_of(gs.JsonCodec(Sorted)), value))


def test_pieces_read_numbers_as_the_whole_does() -> None:
    """Where a whole number comes back as a float, one in a float's place is refused."""
    with pytest.raises(gs.errors.NotStorable):
        list(pieces(plan_of(gs.JsonCodec(list[float], whole_floats=True)), list(MANY)))


class Marked(gs.JsonCodec[list[int]]):
    """A codec with something of its own, as one that encrypts."""

    def encode(self, value: list[int]) -> bytes:
        return b"marked " + super().encode(value)


def test_a_codec_of_ones_own_encodes_large_values_too() -> None:
    """Nothing goes past it."""
    assert b"".join(pieces(plan_of(Marked(list[int])), list(MANY))).startswith(b"marked ")


def test_a_list_that_grows_meanwhile_is_refused() -> None:
    """Python does not tell, as it does of dictionaries and sets."""
    value = list(MANY)
    making = pieces(plan_of(gs.JsonCodec(list[int])), value)
    next(making)
    value.append(1)
    with pytest.raises(gs.errors.NotStorable, match="it was changed while it was being stored"):
        list(making)
