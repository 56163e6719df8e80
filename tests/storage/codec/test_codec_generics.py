"""Generic classes: each field is stored as what its type variable stands for in the class that has written the field."""

import dataclasses
import sys
import types
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar, TypeVarTuple

import attrs
import msgspec
import pytest

import go_state as gs
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.types.description import describe

T = TypeVar("T")
U = TypeVar("U")
Ts = TypeVarTuple("Ts")


@dataclass(frozen=True)
class Box(Generic[T]):
    value: T


@dataclass(frozen=True)
class Own(Box[int], Generic[T]):
    own: T


@dataclass(frozen=True)
class Two(Generic[T, U]):
    one: T
    other: U


@dataclass(frozen=True)
class Swapped(Two[U, T], Generic[T, U]):
    pass


@dataclass(frozen=True)
class Boxes(Box[list[T]], Generic[T]):
    more: T


@dataclass(frozen=True)
class Raw(Boxes[bytes]):
    number: int = 0


@dataclass(frozen=True)
class Left(Box[int]):
    pass


@dataclass(frozen=True)
class Right(Box[str]):
    value: str = ""


@dataclass(frozen=True)
class Both(Left, Right):
    pass


@dataclass
class Tree(Generic[T]):
    value: T
    children: "list[Tree[T]]" = dataclasses.field(default_factory=list)


@attrs.frozen
class AttrsBox(Generic[T]):
    value: T


@attrs.frozen
class AttrsOwn(AttrsBox[bytes], Generic[T]):
    own: T


class StructBox(msgspec.Struct, Generic[T], frozen=True):
    value: T


class StructOwn(StructBox[bytes], Generic[T], frozen=True):
    own: T


class TupleBox(NamedTuple, Generic[T]):
    value: T


@dataclass(frozen=True)
class Row(Generic[*Ts]):
    cells: tuple[*Ts]


STORED = [
    (Box[bytes], Box(b"abc")), (Own[bytes], Own(1, b"x")), (Two[int, bytes], Two(1, b"x")), (Swapped[int, bytes], Swapped(b"x", 1)),
    (Boxes[bytes], Boxes([b"a"], b"x")), (Raw, Raw([b"a"], b"x", 3)), (Tree[bytes], Tree(b"x", [Tree(b"y")])), (Box[float], Box(5)),
    (AttrsOwn[int], AttrsOwn(b"a", 1)), (StructOwn[int], StructOwn(b"a", 1)), (TupleBox[bytes], TupleBox(b"x")), (Box[Box[bytes]], Box(Box(b"x"))),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), STORED, ids=lambda each: str(each)[:50])
def test_a_generic_class_comes_back_the_same(kind: Any, value: Any) -> None:
    """As a model and as a message, a field is what its variable stands for, also where a base uses the same variable."""
    for codec in (gs.JsonCodec[Any](kind), MessageCodec[Any](kind)):
        assert repr(codec.decode(codec.encode(value))) == repr(value)


@pytest.mark.parametrize("value", [message for _, message in STORED[:4]], ids=repr)
def test_a_journal_reads_generic_messages_as_they_were(value: Any, tmp_path: Any) -> None:
    """What a journal gives after a restart is what was put, bytes included."""
    kind = next(kind for kind, message in STORED if message is value)
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        store.journal("k", of=kind).put(value)
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        assert [recorded.message for recorded in store.journal("k", of=kind).read()] == [value]


@pytest.mark.parametrize(("kind", "path"), [(Box, "Box.value"), (Both, "Both.value"), (Row[int, str], "Row.cells")])
def test_a_field_of_which_nobody_knows_what_it_is_is_refused(kind: Any, path: str) -> None:
    """A variable that stands for nothing, for two things, or for any number of types is no type that can be stored."""
    with pytest.raises(gs.NotStorable) as raised:
        gs.JsonCodec(kind)
    assert raised.value.path == path


NEWER = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass(frozen=True, slots=True)
class Box[T]:
    value: T
    more: list[T] | None = None

@dataclass(frozen=True)
class Own[T](Box[int]):
    own: T | None = None

type Pair[A, B] = tuple[A, B]
type Tree = Node | None

@dataclass(frozen=True)
class Node:
    left: Tree = None

type Json = None | int | list[Json]
type Endless = Endless
type Either = list[Other] | None
type Other = list[Either] | None
type Generic[T] = list[Generic[T]] | T

@dataclass(frozen=True)
class Holder:
    json: Json
"""


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The classes and aliases of a module that is written as Python 3.12 allows it."""
    if sys.version_info < (3, 12):
        pytest.skip("type parameters are of Python 3.12")
    module = types.ModuleType("newer")
    monkeypatch.setitem(sys.modules, "newer", module)
    exec(NEWER, vars(module))
    return module


def test_type_parameters_stand_for_what_they_are_given(newer: Any) -> None:
    """Classes and aliases with type parameters are stored as those with type variables."""
    stored = [
        (newer.Box[bytes], newer.Box(b"x", [b"y"])), (newer.Own[bytes], newer.Own(1, [2], b"x")), (newer.Pair[int, bytes], (1, b"x")),
        (list[newer.Pair[int, bytes]], [(1, b"x")]), (newer.Tree, newer.Node(newer.Node())), (dict[str, newer.Tree], {"a": newer.Node()}),
    ]  # fmt: skip
    for kind, value in stored:
        codec = MessageCodec[Any](kind)
        assert repr(codec.decode(codec.encode(value))) == repr(value)


@pytest.mark.parametrize("name", ["Json", "Endless", "Either", "Generic[int]", "Holder"])
def test_an_alias_that_refers_to_itself_is_refused_with_advice(newer: Any, name: str) -> None:
    """An alias inside itself is refused when the codec is made, and told to be a class."""
    kind = eval(name, vars(newer))
    for make in (gs.JsonCodec[Any], MessageCodec[Any], describe):
        with pytest.raises(gs.NotStorable, match="make it a class"):
            make(kind)
