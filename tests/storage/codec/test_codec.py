"""The codec: equal after a round trip and of the same types at every depth, or refused with the path of what does not fit."""

import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import sys
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union

import attrs
import immutables
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import go_state as gs

T = TypeVar("T")
NAN, INF = float("nan"), float("inf")
UserId = NewType("UserId", int)


@dataclass(frozen=True)
class Add:
    by: int = 0


@dataclass(frozen=True)
class Sub:
    by: int = 0


@dataclass(frozen=True)
class Sharper(Add):
    more: int = 0


@dataclass(frozen=True)
class CardMsg:
    card: str
    msg: Add | Sub | None


@dataclass(frozen=True)
class Deck:
    msgs: tuple[CardMsg | Add, ...] = ()
    by_name: dict[str, Add | Sub | int] = field(default_factory=dict)


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(str, enum.Enum):  # noqa: UP042  - as written before 3.11
    A = "a"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    label: str = ""


class Pair(NamedTuple, Generic[T]):
    left: T


@attrs.frozen
class Account:
    _balance: int
    owner: str = "ann"
    __secret: int = 3


@attrs.frozen
class Checked:
    a: int = attrs.field(validator=attrs.validators.in_((1, 2)))


@attrs.frozen
class Strict:
    a: Any = attrs.field(validator=attrs.validators.instance_of(int))


class Struct(msgspec.Struct, frozen=True, rename="camel"):
    first_name: str
    _under: int = 0


@dataclass(frozen=True)
class Under:
    _x: int = 1
    __y: int = 2
    type: str = ""
    f0: int = 0


@dataclass(frozen=True)
class Loose:
    v: Any = None


@dataclass(frozen=True)
class Hidden:
    v: Any = field(default=None, compare=False)


@dataclass(frozen=True)
class Derived:
    x: int
    twice: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "twice", 2 * self.x)


@dataclass(frozen=True)
class Drifting:
    x: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", self.x + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slotted:
    b: int
    a: int = 0


@dataclass(eq=False)
class Nameless:
    x: int = 0


@dataclass(frozen=True)
class Box(Generic[T]):
    v: T
    more: tuple["Box[T]", ...] = ()


@dataclass
class Node:
    v: int
    next: Optional["Node"] = None
    kids: list["Node"] = field(default_factory=list)


@dataclass(frozen=True)
class Ping:
    pong: Optional["Pong"] = None


@dataclass(frozen=True)
class Pong:
    ping: Ping | None = None
    at: dt.datetime | None = None
    raw: bytes = b""


@dataclass(frozen=True)
class IntTree:
    kids: dict[int, "IntTree"] = field(default_factory=dict)


@dataclass(frozen=True)
class WordTree:
    word: str = ""
    kids: tuple[Union["WordTree", Add], ...] = ()


@gs.stored_as("Increase", was=("Plus", "Inc"))
@dataclass(frozen=True)
class Increase:
    by: int = 0


@gs.stored_as("Add")
@dataclass(frozen=True)
class OtherAdd:
    by: int = 0


@dataclass(frozen=True)
class Holder:
    inner: complex = 0j


@dataclass(frozen=True)
class Wrapper:
    holders: tuple[Holder, ...] = ()


class Shaped(TypedDict):
    a: int


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal and of the same types at every depth."""
    if type(one) is not type(other):
        return False
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping):
        keys = {key: key for key in other}
        return len(one) == len(other) and all(k in keys and same(k, keys[k]) and same(v, other[k]) for k, v in one.items())
    if isinstance(one, (set, frozenset)):
        known = {each: each for each in other}
        return len(one) == len(other) and all(each in known and same(each, known[each]) for each in one)
    return bool(one == other) and repr(one) == repr(other)


def trip(kind: Any, value: Any) -> Any:
    codec = gs.JsonCodec[Any](kind)
    return codec.decode(codec.encode(value))


UTC = dt.UTC
ROUND_TRIPS: list[tuple[Any, Any]] = [
    (float, -0.0),
    (float, 5e-324),
    (float, 1.7976931348623157e308),
    (int, 2**64),
    (int, -(2**200)),
    (int | None, 2**64),
    (str, "\x00\u2028\U0001f600"),
    (bytes, bytes(range(256))),
    (bool, True),
    (Any, {"a": [1, 1.0, True, None, 2**70, {"b": []}]}),
    (None, None),
    (Literal["a", 1, None], 1),
    (UserId, 3),
    (Annotated[int, "metres"], 3),
    (uuid.UUID, uuid.UUID(int=2**127)),
    (decimal.Decimal, decimal.Decimal("1.10")),
    (decimal.Decimal, decimal.Decimal("-Infinity")),
    (dt.datetime, dt.datetime(2020, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)),
    (dt.datetime, dt.datetime(1, 1, 1)),
    (dt.datetime, dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-3, minutes=-30)))),
    (dt.datetime, dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=3601)))),
    (dt.date, dt.date(9999, 12, 31)),
    (dt.time, dt.time(1, 2, 3, 4)),
    (dt.timedelta, dt.timedelta(days=-1, microseconds=3)),
    (Color, Color.RED),
    (Level, Level.HIGH),
    (Word, Word.A),
    (Rights, Rights.READ | Rights.WRITE),
    (Color | int | None, Color.BLUE),
    (list[int], [1, 2]),
    (tuple[int, ...], (1, 2)),
    (tuple[int, str], (1, "a")),
    (tuple[()], ()),
    (list[tuple[Add, ...]], [(Add(1),), ()]),
    (set[tuple[int, int]], {(1, 2)}),
    (frozenset[Add], frozenset([Add(1)])),
    (frozenset[frozenset[int]], frozenset([frozenset([1])])),
    (set[Add | Sub], {Add(), Sub()}),
    (dict[int, str], {-5: "a", 2**64: "b"}),
    (dict[tuple[int, str], Add], {(1, "a"): Add(1)}),
    (dict[int | str, int], {1: 1, "1": 2}),
    (dict[str | None, int], {None: 1, "null": 2}),
    (dict[bool, int], {True: 1}),
    (dict[float, int], {1.5: 1}),
    (dict[bytes, int], {b"\xff": 1}),
    (dict[Color, Add], {Color.RED: Add()}),
    (dict[dt.date, int], {dt.date(2020, 1, 1): 1}),
    (dict[Add | Sub, int], {Add(1): 1, Sub(1): 2}),
    (dict[int, dict[tuple[int, int], Add | None]], {1: {(1, 2): None, (2, 1): Add(3)}}),
    (immutables.Map[str, int], immutables.Map(a=1)),
    (immutables.Map[int, Add], immutables.Map({1: Add(1)})),
    (immutables.Map[tuple[int, int], Add | Sub], immutables.Map({(1, 2): Sub(1)})),
    (dict[str, immutables.Map[str, Add]], {"a": immutables.Map(a=Add())}),
    (Add | Sub, Sub(1)),
    (Optional[Add], None),
    (Add | int, 3),
    (Add | Sub | None | int | str, Add(1)),
    (Add | Sub | None | int | str, "Add"),
    (Add | dict[str, int], {"by": 1}),
    (Add | Sharper, Sharper(1, 2)),
    (Add | Sharper, Add(1)),
    (CardMsg, CardMsg("c", Sub(2))),
    (CardMsg, CardMsg("c", None)),
    (Deck, Deck((CardMsg("c", Add(1)), Add(2), CardMsg("d", None)), {"a": Sub(1), "b": 3})),
    (Point, Point(1, "a")),
    (tuple[Point, ...], (Point(1),)),
    (Pair[Add], Pair(Add(1))),
    (Point | Add | Account | Struct, Point(1)),
    (Point | Add | Account | Struct, Account(1)),
    (Point | Add | Account | Struct, Struct("x", 5)),
    (Account, Account(1, "bob", 5)),
    (Struct, Struct("ann", 7)),
    (Under, Under(3, 4, "t", 5)),
    (Slotted, Slotted(a=1, b=2)),
    (Derived, Derived(3)),
    (Box[int], Box(1, (Box(2),))),
    (Box[Add | Sub], Box(Add(1))),
    (Box[list[Add]] | Add, Box([Add(1)])),
    (Node, Node(1, Node(2, kids=[Node(3)]), [Node(4, Node(5))])),
    (Ping, Ping(Pong(Ping(Pong(None, dt.datetime(2020, 1, 1, tzinfo=UTC), b"\xff"))))),
    (WordTree, WordTree("a", (WordTree("b", (Add(1),)), Add(2)))),
]


@pytest.mark.parametrize(("kind", "value"), ROUND_TRIPS, ids=lambda each: str(each)[:50])
def test_what_json_can_hold_comes_back_the_same(kind: Any, value: Any) -> None:
    """What is written is read back as an equal value, of the same type at every depth."""
    assert same(trip(kind, value), value)


REFUSED_VALUES: list[tuple[Any, Any, str]] = [
    (float, NAN, "float"),
    (float, INF, "float"),
    (float | None, NAN, "float"),
    (list[float], [0.0, NAN], "list"),
    (Add | float, -INF, ""),
    (decimal.Decimal, decimal.Decimal("NaN"), "Decimal"),
    (decimal.Decimal, decimal.Decimal("sNaN"), "Decimal"),
    (Loose, Loose((1,)), "Loose.v"),
    (Loose, Loose({"a": (1,)}), "Loose.v[...]"),
    (Loose, Loose([1, {2}]), "Loose.v[1]"),
    (Loose, Loose({1: 2}), "Loose.v"),
    (Loose, Loose(Add()), "Loose.v"),
    (Loose, Loose(b"a"), "Loose.v"),
    (Loose, Loose(INF), "Loose.v"),
    (Loose, Loose(Color.RED), "Loose.v"),
    (dict, {1: 2}, "dict"),
    (dict[str, int], {1: 2}, "dict"),
    (dict[float, int], {NAN: 1}, "dict"),
    (str, "\ud800", "str"),
    (dict[str, int], {"\ud800": 1}, "dict"),
    (int, True, "int"),
    (int, 1.0, "int"),
    (int, "1", "int"),
    (bool, 1, "bool"),
    (Add, Sharper(1, 2), "Add"),
    (Add | Sub, Sharper(1, 2), ""),
    (list[Add], [Add(), Sharper()], "list"),
    (Add, Sub(), "Add"),
    (Add, None, "Add"),
    (Add, Add(by="x"), "Add"),  # type: ignore[arg-type]
    (Point, (1, "a"), "Point"),
    (tuple[int, str], (1,), "tuple"),
    (list[int], (1,), "list"),
    (tuple[int, ...], [1], "tuple"),
    (immutables.Map[str, int], {"a": 1}, "Map"),
    (Drifting, Drifting(1), "Drifting.x"),
    (Nameless, Nameless(), "Nameless"),
    (dt.date, dt.datetime(2020, 1, 1), "date"),
    (frozenset[Any], frozenset([(1,)]), "frozenset"),
    (int, 10**5000, "int"),
]


@pytest.mark.parametrize(("kind", "value", "path"), REFUSED_VALUES, ids=[f"{n}-{c[2]}" for n, c in enumerate(REFUSED_VALUES)])
def test_a_value_that_would_change_is_refused(kind: Any, value: Any, path: str) -> None:
    """A value that would not read back equal raises NotStorable, which names where it is."""
    codec = gs.JsonCodec[Any](kind)
    with pytest.raises(gs.errors.NotStorable) as raised:
        codec.encode(value)
    assert raised.value.path.startswith(path)


EQUAL_BUT_OTHER: list[tuple[Any, Any]] = [
    (int, Level.LOW),
    (str, Word.A),
    (Level, 1),
    (Word, "a"),
    (Any, Level.LOW),
    (Loose, Loose([Level.LOW])),
    (Hidden, Hidden((1,))),
    (Hidden, Hidden(NAN)),
    (tuple[int, str], Point(1, "a")),
    (list[tuple[int, str]], [Point(1, "a")]),
    (dict[str, int], collections.defaultdict(int, a=1)),
    (dict[str, int], collections.Counter("a")),
    (dict[str, Add], collections.defaultdict(Add, a=Add())),
    (dict[str, int], {Word.A: 1}),
    (dict[int, str], {Level.LOW: "a"}),
    (set[int], frozenset([1])),
    (bytes, bytearray(b"a")),
    (decimal.Decimal, 1.5),
    (dt.datetime, dt.datetime(2020, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))),
]


@pytest.mark.parametrize(("kind", "value"), EQUAL_BUT_OTHER, ids=lambda each: str(each)[:50])
def test_a_value_of_another_type_is_refused_or_kept(kind: Any, value: Any) -> None:
    """A value that is equal to what its annotation says, and of another type, is not silently turned into that type."""
    codec = gs.JsonCodec[Any](kind)
    with contextlib.suppress(gs.errors.NotStorable):
        assert same(codec.decode(codec.encode(value)), value)


def test_an_int_stands_for_a_float() -> None:
    """An int in a float's place, as type checkers allow it, comes back as the int that it is."""
    assert same(trip(float, 1), 1)


def test_a_recursive_class_keeps_its_int_keys() -> None:
    """A class that refers to itself under int keys is stored at any depth."""
    tree = IntTree({1: IntTree({2: IntTree({3: IntTree()})})})
    assert same(trip(IntTree, tree), tree)


@pytest.mark.parametrize(
    "kind", [list[Add] | None, tuple[Add, ...] | None, dict[str, Add] | None, dict[tuple[int, int], int] | None]
)
def test_an_optional_container_of_classes_is_stored(kind: Any) -> None:
    """A container of classes beside None can be told apart in JSON, and is stored."""
    assert trip(kind, None) is None


@dataclass(frozen=True)
class IntBox(Box[int]):
    n: int = 0


def test_a_subclass_of_a_filled_generic_is_stored() -> None:
    """A class that fills the type variable of its generic base is stored."""
    assert same(trip(IntBox, IntBox(1, (), 2)), IntBox(1, (), 2))


def test_deep_values_are_stored_or_refused() -> None:
    """However deep a value is, it comes back equal or is refused: no RecursionError reaches the caller."""
    codec = gs.JsonCodec(Node)
    outcomes = set()
    for depth in (10, 50, 100, 150, 200, 300, 500, 900, 3000):
        node = Node(0)
        for number in range(depth):
            node = Node(number, node)
        try:
            outcomes.add(codec.decode(codec.encode(node)) == node)
        except gs.errors.NotStorable:
            outcomes.add("refused")
    assert outcomes == {True, "refused"}


def test_a_value_that_holds_itself_is_refused() -> None:
    """A cycle has no JSON."""
    node = Node(1)
    node.next = node
    with pytest.raises(gs.errors.NotStorable):
        gs.JsonCodec(Node).encode(node)


REFUSED_TYPES: list[tuple[Any, str]] = [
    (complex, "complex"),
    (bytearray, "bytearray"),
    (Callable[[], int], "Callable"),
    (Iterator[int], "Iterator"),
    (collections.deque, "deque"),
    (Shaped, "Shaped"),
    (Wrapper, "Wrapper.holders[].inner"),
    (list[Wrapper], "list[].holders[].inner"),
    (dict[str, Holder], "dict[...].inner"),
    (Box, "Box.v"),
    (Add | OtherAdd, ""),
    (Box[int] | Box[str], ""),
    (str | bytes, ""),
    (str | uuid.UUID, ""),
    (str | dt.datetime, ""),
    (str | Color, ""),
    (int | Level, ""),
    (list[int] | set[int], ""),
    (Add | list[int], ""),
    (Add | tuple[str, int], ""),
    ([int], ""),
    (dict[str, Annotated[int, []]], "dict"),
    (Literal[2**63], "Literal"),
    (Literal[-(2**63) - 1] | None, ""),
    (enum.IntEnum("Far", {"AWAY": 10**30}) | str, ""),
]


@pytest.mark.parametrize(("kind", "path"), REFUSED_TYPES, ids=lambda each: str(each)[:40])
def test_a_type_that_cannot_be_stored_is_refused_at_once(kind: Any, path: str) -> None:
    """A type that JSON cannot hold is refused when the codec is made, with the path of the field."""
    with pytest.raises(gs.errors.NotStorable) as raised:
        gs.JsonCodec[Any](kind)
    assert raised.value.path.startswith(path)


@dataclass(frozen=True)
class InClass:
    choice: str | bytes = ""


def test_an_ambiguous_field_is_named() -> None:
    """A union that cannot be told apart is refused with the name of the field that has it."""
    with pytest.raises(gs.errors.NotStorable) as raised:
        gs.JsonCodec[Any](list[InClass])
    assert "choice" in str(raised.value)


def test_two_classes_of_one_name_are_refused() -> None:
    """Two classes that would be stored under one name in a union are refused, and told how to be given another."""
    with pytest.raises(gs.errors.NotStorable, match=r"@gs\.stored_as"):
        gs.JsonCodec[Any](Add | OtherAdd)


def test_a_message_reads_as_its_name_and_fields() -> None:
    """A union of classes is stored as a person would write it, without import paths."""
    codec = gs.JsonCodec[Any](Add | Sub)
    assert codec.encode(Add(1)) == b'["Add",{"by":1}]'
    assert codec.decode(b'["Sub",{"by":2}]') == Sub(2)


def test_earlier_names_are_read() -> None:
    """A class is written under its name and read under each that it had before."""
    codec = gs.JsonCodec[Any](Increase | Sub)
    assert codec.encode(Increase(1)) == b'["Increase",{"by":1}]'
    assert {codec.decode(b'["%b",{"by":1}]' % name) for name in (b"Increase", b"Plus", b"Inc")} == {Increase(1)}


def test_a_moved_class_still_loads() -> None:
    """What a class stored in one module is read by the class of that name in another."""
    before, after = types.ModuleType("before"), types.ModuleType("after")
    for module in (before, after):
        sys.modules[module.__name__] = module
        exec("from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Moved:\n    x: int = 0\n", vars(module))
    try:
        data = gs.JsonCodec[Any](before.Moved | Add).encode(before.Moved(7))
        assert gs.JsonCodec[Any](after.Moved | Add).decode(data) == after.Moved(7)
    finally:
        del sys.modules["before"], sys.modules["after"]


@pytest.mark.parametrize(
    "data", [b'{"by":1,"more":2}', b'{"by":"1"}', b'{"by":true}', b'{"by":null}', b'{"by":1.5}', b"[]", b""]
)
def test_other_fields_are_refused(data: bytes) -> None:
    """Unknown, missing and mistyped fields are refused, never left out or turned into something else."""
    with pytest.raises(ValueError, match=r"."):
        gs.JsonCodec(Add).decode(data)


HOSTILE = [
    b"", b"\xff", b"\x00", b"null", b"1 2", b'["os.system",{"by":1}]', b'["Add",{"by":1},2]', b'["Add"]', b"[[]]", b'[["Add"],{}]',
    b'{"__class__":"os.system"}', b'["go_state.Buffer",{}]', b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
    b"[" * 100_000, b'{"a":' * 100_000, b"1e999999999", b"1" * 5000, b'"\\ud800"', b"[NaN]", b'["Add",{"by":1e400}]',
]  # fmt: skip
HOSTILE_KINDS: list[Any] = [
    Add | Sub, Deck, Node, set[Any], dict[Any, int], frozenset[frozenset[Any]], dict[tuple[int, str], Add], decimal.Decimal,
    dt.datetime, dt.timedelta, uuid.UUID, Color, bytes, int, Box[Any], Any, Checked, Strict,
]  # fmt: skip
ODD = [
    b'[[[1],1]]', b"[[1]]", b"[{}]", b"[[[1]]]", b'"P99999999999999D"', b'"1E+99999999999999999999"', b'"9999-12-31T23:59:59-23:59"',
    b'{"a":9}', b'{"a":"x"}', b'{"v":1,"more":[{"v":1}]}', b'{"v":1,"next":' * 3000 + b"null" + b"}" * 3000,
]  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE_KINDS, ids=str)
def test_hostile_bytes_only_raise_valueerror(kind: Any) -> None:
    """Whatever the bytes are, decode returns a value of the type or raises ValueError, and nothing is imported."""
    codec, before = gs.JsonCodec[Any](kind), set(sys.modules)
    raised = []
    for data in HOSTILE + ODD:
        try:
            codec.decode(data)
        except ValueError:
            pass
        except Exception as error:
            raised.append((data[:40], repr(error)[:100]))
    assert raised == []
    assert {name for name in set(sys.modules) - before if not name.startswith("encodings")} == set()


def test_errors_do_not_tell_the_contents() -> None:
    """An error names the field and never what is in it."""
    codec = gs.JsonCodec[Any](dict[str, Color])
    with pytest.raises(gs.errors.NotStorable) as refused:
        codec.encode({"my-key": "my-secret"})
    with pytest.raises(ValueError, match=r".") as unread:
        codec.decode(b'{"my-key":"my-secret"}')
    assert "my-secret" not in str(refused.value) + str(unread.value)


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"ONE": 1, "TWO": "2"}, "the members of the enum Odd have values that are int and str: let all be str"),
        ({"ONE": (1, 2)}, "the members of the enum Odd have values that are tuple: let all be str"),
        ({}, "the enum Odd has no members"),
    ],
)
def test_an_enum_that_json_cannot_give_back_is_named(members: dict[str, object], why: str) -> None:
    """The error says at which field it is, which class, what is wrong with it and what to do."""
    made = dataclasses.make_dataclass("Model", [("odd", enum.Enum("Odd", members))], frozen=True)
    with pytest.raises(gs.errors.NotStorable, match=r"^Model\.odd cannot be stored: ") as refused:
        gs.JsonCodec(made)
    assert why in str(refused.value)


def test_a_model_without_annotations_is_refused_with_advice() -> None:
    """A program whose update does not say what its model is cannot be stored without a codec, and the error says so."""
    with pytest.raises(gs.errors.NotStorable, match=r"codec="):
        gs.aggregate(gs.reducer(lambda: 0, lambda m, msg: m + msg), [1], store=gs.MemoryStore(), key="k")


# ---------------------------------------------------------------------- any value of a rich type


@dataclass(frozen=True)
class Rich:
    number: int
    ratio: float
    text: str
    raw: bytes
    at: dt.datetime
    span: dt.timedelta
    color: Color | None
    level: Level
    choice: Add | Sub | int | str | None
    card: CardMsg
    points: tuple[Point, ...]
    loose: Any
    by_int: dict[int, Add]
    by_pair: dict[tuple[int, str], float | None]
    tags: frozenset[str]
    kept: immutables.Map[str, Add | Sub]
    node: WordTree
    box: Box[int]
    account: Account
    fixed: tuple[int, bool, str]
    money: decimal.Decimal
    day: dt.date | None
    id: uuid.UUID


TEXT = st.text(max_size=8) | st.sampled_from(["\ud800", "\x00", "Add", "null", "1", ""])
INTS = st.integers() | st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**30]) | st.just(True)
ADD, SUB = st.builds(Add, INTS), st.builds(Sub, INTS)
LOOSE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.binary(max_size=2) | ADD,
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(TEXT | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)
TREES = st.recursive(st.builds(WordTree, TEXT), lambda t: st.builds(WordTree, TEXT, st.tuples(t | ADD, t | ADD)), max_leaves=5)
RICH = st.builds(
    Rich,
    number=INTS,
    ratio=st.floats(),
    text=TEXT,
    raw=st.binary(max_size=8),
    at=st.datetimes(timezones=st.none() | st.just(UTC)).map(lambda at: at.replace(fold=0)),
    span=st.timedeltas(),
    color=st.none() | st.sampled_from(Color),
    level=st.sampled_from(Level),
    choice=ADD | SUB | st.builds(Sharper) | st.none() | INTS | TEXT,
    card=st.builds(CardMsg, TEXT, st.none() | ADD | SUB),
    points=st.lists(st.builds(Point, INTS, TEXT), max_size=3).map(tuple),
    loose=LOOSE,
    by_int=st.dictionaries(st.integers(), ADD, max_size=3),
    by_pair=st.dictionaries(st.tuples(st.integers(), TEXT), st.none() | st.floats(), max_size=3),
    tags=st.frozensets(TEXT, max_size=3),
    kept=st.dictionaries(TEXT, ADD | SUB, max_size=3).map(immutables.Map),
    node=TREES,
    box=st.builds(Box, INTS),
    account=st.builds(Account, INTS, TEXT, INTS),
    fixed=st.tuples(INTS, st.booleans(), TEXT),
    money=st.decimals(allow_nan=False),
    day=st.none() | st.dates(),
    id=st.uuids(),
)
RICH_CODEC = gs.JsonCodec(Rich)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(RICH)
@pytest.mark.slow
def test_any_value_comes_back_the_same_or_is_refused(value: Rich) -> None:
    """For every value, encode raises NotStorable or decode returns one that is equal and of the same types at every depth."""
    try:
        data = RICH_CODEC.encode(value)
    except gs.errors.NotStorable:
        return
    assert same(RICH_CODEC.decode(data), value)


@dataclass(frozen=True)
class Unequal:
    text: str

    def __eq__(self, other: object) -> bool:
        raise TypeError(f"{self.text} cannot be compared")

    def __hash__(self) -> int:
        return 0


@dataclass(frozen=True)
class Deep:
    text: str

    def __post_init__(self) -> None:
        if self.text == "secret":
            raise RecursionError(self.text)


@pytest.mark.parametrize(
    "refused",
    [
        lambda: gs.JsonCodec(Unequal).encode(Unequal("secret")),
        lambda: gs.JsonCodec(Deep).decode(b'{"text":"secret"}'),
        lambda: gs.JsonCodec(Deep).decode(b'{"text":"a","a secret":1}'),
    ],
    ids=["compared", "recursion", "unknown field"],
)
def test_what_classes_and_names_say_is_not_quoted(refused: Callable[[], object]) -> None:
    """An error that a class raises may hold the value, and a name that no field can have was a key once."""
    with pytest.raises((gs.errors.NotStorable, ValueError)) as raised:
        refused()
    assert "secret" not in str(raised.value)
