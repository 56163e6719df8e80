"""What is not read back when it is written would read back as it is: a proof never says so of a value that would not."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import typing
import uuid
import zoneinfo
from dataclasses import dataclass, field
from typing import Any

import immutables
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import go_state as gs
from go_state.storage.codec.equality import is_same
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.snapshots.pieces import plan_of
from go_state.storage.types.proof import proof_of
from go_state.storage.types.shape import shape_of


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Mixed(enum.Enum):
    ONE = 1
    TWO = "2"


class Rights(enum.Flag):
    READ = 1


@dataclass(frozen=True)
class Part:
    cents: int = 0
    name: str | None = None
    events: tuple[str, ...] = ()
    rate: float = 0.0


@dataclass(frozen=True)
class Sharper(Part):
    more: int = 0


@dataclass(frozen=True)
class Other:
    at: dt.datetime | None = None
    price: decimal.Decimal = decimal.Decimal(0)


@dataclass(frozen=True)
class Whole:
    parts: immutables.Map[str, Part] = field(default_factory=immutables.Map)
    either: Part | Other | int | None = None
    table: dict[int, list[Part | Other]] = field(default_factory=dict)
    marks: frozenset[str | int] = frozenset()
    pair: tuple[int, Part] = (0, Part())
    color: Color | None = None
    id: uuid.UUID | None = None
    by_id: dict[uuid.UUID, float] = field(default_factory=dict)


class Struct(msgspec.Struct, frozen=True):
    name: str
    cents: int = 0
    events: tuple[str, ...] = ()


class Camel(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, tag="camel"):
    first_name: str = ""
    _under: int = 0


class Turned(msgspec.Struct, frozen=True, kw_only=True):
    later: int = 0
    first: int


@dataclass(frozen=True, kw_only=True)
class KeywordOnly:
    later: tuple[int, ...] = ()
    first: tuple[int, ...]


@dataclass(frozen=True)
class Drifting:
    x: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", self.x + 1)


@dataclass(frozen=True)
class Loose:
    part: Part | Any = None


PROVED: list[tuple[Any, Any]] = [
    (Whole, Whole()),
    (Whole, Whole(parts=immutables.Map(a=Part(1, "a", ("x",), 0.5)), either=Other(dt.datetime(2024, 1, 1, tzinfo=dt.UTC)))),
    (Whole, Whole(table={1: [Part(rate=3), Other(price=decimal.Decimal("1.10"))]}, color=Color.RED, id=uuid.UUID(int=1))),
    (Whole, Whole(either=2**70, marks=frozenset(["a", 1]), by_id={uuid.UUID(int=1): -0.0})),
    (list[int | None], [1, None]),
    (dict[str, dict[str, bytes]], {"a": {"b": b"\xff"}}),
    (tuple[int, ...], (1,)),
    (typing.Sequence[int], (1,)),
    (set[Level], {Level.LOW}),
    (float | int, 1),
]
NOT_PROVED: list[tuple[Any, Any]] = [
    (Whole, Whole(parts={"a": Part()})),  # type: ignore[arg-type]
    (Whole, Whole(parts=immutables.Map({1: Part()}))),  # type: ignore[dict-item]
    (Whole, Whole(parts=immutables.Map(a=Sharper()))),
    (Whole, Whole(parts=immutables.Map(a=Part(rate=float("nan"))))),
    (Whole, Whole(parts=immutables.Map(a=Part(events=["x"])))),  # type: ignore[arg-type]
    (Whole, Whole(parts=immutables.Map(a=Part(events=(1,))))),  # type: ignore[arg-type]
    (Whole, Whole(either=True)),
    (Whole, Whole(either="1")),  # type: ignore[arg-type]
    (Whole, Whole(table={True: []})),
    (Whole, Whole(pair=(0, Part(), 1))),  # type: ignore[arg-type]
    (Whole, Whole(by_id={uuid.UUID(int=1): float("inf")})),
    (Other, Other(dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(0), "GMT")))),
    (Other, Other(dt.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")))),
    (Other, Other(dt.datetime(2024, 1, 1, fold=1))),
    (Other, Other(price=decimal.Decimal("NaN"))),
    (Part, Part(cents=None)),  # type: ignore[arg-type]
    (float, 5e400),
    (list[int], (1,)),
    (dict[str, int], immutables.Map(a=1)),
]
WITHOUT_PROOF: list[Any] = [
    Any,
    Loose,
    Drifting,
    list,
    dict,
    str | dt.datetime,
    dt.timedelta,
    dt.time,
    Mixed,
    Rights,
    list[Any],
]


@pytest.mark.parametrize(("kind", "value"), PROVED, ids=lambda each: str(each)[:40])
def test_what_is_proved_reads_back(kind: Any, value: Any) -> None:
    """The proof holds, and so does what it says."""
    proof = proof_of(kind)
    assert proof is not None
    assert proof(value)
    codec = gs.JsonCodec[Any](kind)
    assert is_same(value, codec.decode(codec.encode(value)))


@pytest.mark.parametrize(("kind", "value"), NOT_PROVED, ids=lambda each: str(each)[:40])
def test_what_may_read_back_as_something_else_is_not_proved(kind: Any, value: Any) -> None:
    """Such a value is read back, and refused or not."""
    proof = proof_of(kind)
    assert proof is None or not proof(value)


@pytest.mark.parametrize("kind", WITHOUT_PROOF, ids=str)
def test_there_is_no_proof_of_what_is_not_known(kind: Any) -> None:
    """A type that says too little has none."""
    assert proof_of(kind) is None


def test_an_int_for_a_float_is_proved_if_it_is_read_as_that() -> None:
    """A codec that reads whole numbers as floats proves only floats."""
    as_it_is, whole = proof_of(float), proof_of(float, ints_in_floats=False)
    assert as_it_is is not None
    assert whole is not None
    assert (as_it_is(1), whole(1), whole(1.0)) == (True, False, True)
    with pytest.raises(gs.errors.NotStorable):
        gs.JsonCodec(dict[str, float], whole_floats=True).encode({"a": 1})


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.uuids() | st.datetimes()
    | st.decimals() | st.sampled_from([*Color, *Level, *Mixed, *Rights, Drifting(), Part(), Sharper()])
)  # fmt: skip
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.uuids(), inner, max_size=3)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=3).map(immutables.Map)
    ),
    max_leaves=6,
)
names = [each.name for each in dataclasses.fields(Whole)]
wholes = st.builds(
    lambda given: dataclasses.replace(Whole(), **given), st.dictionaries(st.sampled_from(names), anything, max_size=3)
)
parts = st.builds(lambda a, b, c, d: Part(a, b, c, d), *[anything] * 4)
KINDS: list[Any] = [Whole, Part, Part | Other | None, list[Part], dict[str, float | None], immutables.Map[int, Part | Sharper]]


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    st.sampled_from(KINDS),
    wholes | parts | st.from_type(Part) | anything | st.dictionaries(st.text(), parts).map(immutables.Map),
)
def test_a_proof_never_errs(kind: Any, value: Any) -> None:
    """Whatever it is given: if it says that a value reads back, the value does."""
    proof = proof_of(kind)
    assert proof is not None
    if proof(value):
        shape = shape_of(kind, ints_in_floats=True)
        try:
            data = msgspec.json.encode(value if shape.to is None else shape.to(value))
        except UnicodeEncodeError:
            return  # a lone surrogate, which is refused
        mirror = msgspec.json.Decoder(shape.mirror).decode(data)
        assert is_same(value, mirror if shape.back is None else shape.back(mirror))


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (Struct("a", 1, ("x",)), b'{"name":"a","cents":1,"events":["x"]}'),
        (Camel("a", 2), b'{"first_name":"a","_under":2}'),
        (Turned(first=1), b'{"first":1,"later":0}'),
        (KeywordOnly(first=(1,)), b'{"first":[1],"later":[]}'),
        (Part(1), b'{"cents":1,"name":null,"events":[],"rate":0.0}'),
    ],
    ids=str,
)
def test_a_class_is_written_by_its_fields_in_one_order(value: Any, json: bytes) -> None:
    """Whatever msgspec would make of it by itself, a class is an object with the names of its fields, the required ones first."""
    codec = gs.JsonCodec[Any](type(value))
    assert codec.encode(value) == json
    assert codec.decode(json) == value
    assert MessageCodec[Any](type(value)).encode(value) == b'["%b",%b]' % (type(value).__name__.encode(), json)
    assert b"".join(plan_of(codec).pieces(value)) == json
