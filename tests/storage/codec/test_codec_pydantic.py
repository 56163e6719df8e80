"""Pydantic models come back equal, of the same types and with the same fields set, or are refused with the path of what does not fit."""

import datetime as dt
import decimal
import enum
import functools
import ipaddress
import pathlib
import uuid
import zoneinfo
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

import immutables
import msgspec
import pydantic
import pydantic.dataclasses
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    Field,
    HttpUrl,
    Json,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    SecretStr,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
    model_validator,
)

import go_state as gs
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.types.classes.construction import holds_what_it_is_given
from go_state.storage.types.compatibility import compare
from go_state.storage.types.description import describe

T = TypeVar("T")
NAN = float("nan")


class Frozen(BaseModel, frozen=True):
    pass


class Add(Frozen):
    by: int = 0


class Sub(Frozen):
    by: int = 0


class Sharper(Add):
    more: int = 0


@dataclass(frozen=True)
class Card:
    msg: Add | Sub | None = None


class Deck(Frozen, arbitrary_types_allowed=True):
    cards: tuple[Card, ...] = ()
    by_name: dict[str, Add | Sub | int] = {}
    held: immutables.Map[int, Add | Card] = immutables.Map()


class Node(Frozen):
    v: int
    next: "Node | None" = None
    kids: tuple["Node", ...] = ()


class Box(Frozen, Generic[T]):
    v: T


class Level(enum.IntEnum):
    LOW = 1


class Everything(Frozen):
    i: int
    f: float = 0.5
    s: str = ""
    b: bytes = b""
    flag: bool | None = None
    at: dt.datetime | None = None
    day: dt.date = dt.date(2024, 2, 29)
    took: dt.timedelta = dt.timedelta(0)
    price: decimal.Decimal = decimal.Decimal("1.10")
    id: uuid.UUID = uuid.UUID(int=3)
    level: Level = Level.LOW
    word: Literal["a", "b"] = "a"
    pair: tuple[int, str] = (1, "a")
    some: frozenset[str] = frozenset()
    by_number: dict[int, str] = {}


class Aliased(Frozen):
    first_name: str = Field(alias="firstName")
    age: int = Field(0, validation_alias=AliasChoices("AGE", "years"), serialization_alias="Age")


class Constrained(Frozen):
    amount: Annotated[int, Field(gt=0)]
    name: Annotated[str, Field(min_length=1)] | None = None


class Stripped(Frozen, str_strip_whitespace=True):
    name: str


class Foreign(Frozen):
    url: HttpUrl
    address: ipaddress.IPv4Address | None = None
    where: dict[str, pathlib.PurePosixPath] = {}
    count: int = 0


class StrictForeign(Foreign, strict=True):
    pass


class Nested(Frozen):
    """Its field is written by pydantic as a whole, with the names of the fields of what is inside."""

    either: tuple[Aliased | ipaddress.IPv6Address, ...]


class Revealed(Frozen):
    token: SecretStr
    other: Annotated[SecretStr, PlainSerializer(lambda s: s.get_secret_value(), when_used="json")]

    @field_serializer("token", when_used="json")
    def _reveal(self, token: SecretStr) -> str:
        return token.get_secret_value()


class Secret(Frozen):
    token: SecretStr


class Loaded(Frozen):
    data: Json[list[int]]


class Open(Frozen, extra="allow"):
    a: int = 0


class Measured(Frozen):
    width: int
    height: int = Field(1, exclude=True)

    @computed_field
    @property
    def area(self) -> int:
        return self.width * self.height

    @functools.cached_property
    def twice(self) -> int:
        return self.width * 2


class Private(Frozen):
    a: int = 0
    _seen: int = PrivateAttr(default=1)


class FollowsFromFields(Frozen):
    a: int = 0
    _twice: int = PrivateAttr(default=0)

    def model_post_init(self, context: Any) -> None:
        self._twice = self.a * 2


class Drifting(Frozen):
    a: int

    @field_validator("a")
    @classmethod
    def _more(cls, a: int) -> int:
        return a + 1


class Clamped(Frozen):
    a: Annotated[int, AfterValidator(lambda a: min(a, 10))]
    tags: Annotated[list[str], BeforeValidator(lambda t: t.split(",") if isinstance(t, str) else t)] = []


class Ordered(Frozen):
    low: int
    high: int

    @model_validator(mode="after")
    def _in_order(self) -> "Ordered":
        assert self.low <= self.high
        return self


class Shown(Frozen):
    """Its own serialiser makes something else of it for others; the store keeps the fields."""

    a: int = 0

    @model_serializer
    def _show(self) -> str:
        return f"<{self.a}>"


class Numbers(RootModel[tuple[int, ...]], frozen=True):
    pass


class Links(RootModel[tuple[HttpUrl, ...]], frozen=True):
    pass


class Owned(Frozen):
    """A constructor of its own, which pydantic calls."""

    a: int

    def __init__(self, **data: Any) -> None:
        super().__init__(**data)


@pydantic.dataclasses.dataclass(frozen=True)
class Checked:
    a: int = Field(gt=0)


class Holds(Frozen):
    card: Card
    checked: Checked


class Stamped(Frozen):
    id: uuid.UUID = Field(default_factory=uuid.uuid4)


@gs.stored_as("Increase", was=("Plus",))
class Increase(Frozen):
    by: int = 0


@gs.stored_as("Parcel")
class Parcel(Frozen, Generic[T]):
    v: T


def trip(kind: Any, value: Any) -> Any:
    codec = gs.JsonCodec[Any](kind)
    return codec.decode(codec.encode(value))


URL: Any = "https://go.dev/x"
UTC = dt.UTC
ROUND_TRIPS: list[tuple[Any, Any]] = [
    (Add, Add(by=3)),
    (Add, Add()),
    (Add | Sub, Sub(by=1)),
    (Add | Sharper, Sharper(by=1, more=2)),
    (Add | Card | int | None, Card(Add(by=1))),
    (Card, Card(Sub())),
    (Deck, Deck(cards=(Card(Add(by=1)), Card()), by_name={"a": Sub(by=2), "b": 3})),
    (Deck, Deck(held=immutables.Map({1: Add(by=1), 2: Card(Sub())}))),
    (dict[Add, immutables.Map[str, Sub]], {Add(by=1): immutables.Map(a=Sub())}),
    (Node, Node(v=1, next=Node(v=2), kids=(Node(v=3, kids=(Node(v=4),)),))),
    (Box[int], Box[int](v=1)),
    (Box[Add | Sub], Box[Add | Sub](v=Sub(by=1))),
    (Box[int] | Add, Box[int](v=1)),
    (Everything, Everything(i=2**70, f=-0.0, at=dt.datetime(2024, 1, 1, tzinfo=UTC), by_number={1: "a"})),
    (Everything, Everything(i=1, at=dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")))),
    (Aliased, Aliased.model_validate({"firstName": "ann", "AGE": 3})),
    (Constrained, Constrained(amount=1, name="a")),
    (Stripped, Stripped(name=" a ")),
    (Foreign, Foreign(url=URL, address=ipaddress.IPv4Address(1), where={"a": pathlib.PurePosixPath("/x")}, count=2)),
    (StrictForeign, StrictForeign(url=HttpUrl(URL))),
    (Foreign | Add, Foreign(url=URL)),
    (Nested, Nested(either=(Aliased.model_validate({"firstName": "ann", "AGE": 3}), ipaddress.IPv6Address(1)))),
    (Revealed, Revealed(token=SecretStr("a"), other=SecretStr("b"))),
    (Loaded, Loaded(data="[1, 2]")),  # type: ignore[arg-type]
    (Open, Open(a=1, b=[1, {"c": None}])),  # type: ignore[call-arg]
    (Open, Open(_unset=1, _extra=2)),  # type: ignore[call-arg]
    (Measured, Measured(width=3, height=5)),
    (Private, Private(a=1)),
    (FollowsFromFields, FollowsFromFields(a=4)),
    (Clamped, Clamped(a=50, tags="a,b")),  # type: ignore[arg-type]
    (Ordered, Ordered(low=1, high=2)),
    (Shown, Shown(a=3)),
    (Numbers, Numbers((1, 2))),
    (Numbers | Add, Numbers((1, 2))),
    (Links, Links((HttpUrl(URL),))),
    (Owned, Owned(a=1)),
    (Checked, Checked(a=1)),
    (Holds, Holds(card=Card(Add(by=1)), checked=Checked(a=1))),
    (Stamped, Stamped.model_construct(set(), id=uuid.UUID(int=5))),  # left to its factory, which made this one
    (Parcel[int] | Add, Parcel[int](v=1)),
]


@pytest.mark.parametrize(("kind", "value"), ROUND_TRIPS, ids=lambda each: str(each)[:50])
def test_a_model_comes_back_the_same(kind: Any, value: Any) -> None:
    """What is written is read back equal, of the same type, and with the same fields set."""
    back = trip(kind, value)
    assert type(back) is type(value)
    assert back == value
    assert repr(back) == repr(value)
    if isinstance(value, BaseModel):
        assert back.model_fields_set == value.model_fields_set
        assert back.model_dump(exclude_unset=True) == value.model_dump(exclude_unset=True)


def _with_private(seen: int) -> Private:
    model = Private()
    model._seen = seen
    return model


REFUSED: list[tuple[Any, Any, str]] = [
    (Add, Sharper(by=1), "Add.*: a Sharper stands"),
    (Card, Card(Sharper(by=1)), "Sharper"),
    (Add, Add().model_copy(update={"by": "x"}), r"Add.*expected `int`|Add\.by .*: it holds a str"),
    (Add, Add().model_copy(update={"bye": 1}), "none of its fields"),
    (Box[int], Box(v=1), "a Box stands"),
    (Everything, Everything(i=1, f=NAN), "no NaN"),
    (Everything, Everything.model_construct(f=1.0), "never set"),
    (Everything, Everything(i=1).model_copy(update={"pair": [1, "a"]}), r"Everything\.pair"),
    (Constrained, Constrained(amount=1).model_copy(update={"amount": -1}), "raised ValidationError"),
    (Stripped, Stripped(name="a").model_copy(update={"name": " a"}), r"Stripped\.name"),
    (Secret, Secret(token=SecretStr("sesame")), r"Secret\.token"),
    (Foreign, Foreign.model_construct(url="no url"), "raised ValidationError"),
    (Drifting, Drifting(a=1), r"Drifting\.a .*: a int would not read back equal"),
    (Open, Open(b=(1, 2)), r"Open\.model_extra\[\.\.\.\]"),  # type: ignore[call-arg]
    (Private, _with_private(7), r"Private\._seen"),
    (Nested, Nested(either=(Aliased(firstName="ann"),)), r"Nested\.either\[0\]\.model_fields_set"),
    (Ordered, Ordered(low=1, high=2).model_copy(update={"high": 0}), "raised ValidationError"),
]


@pytest.mark.parametrize(("kind", "value", "why"), REFUSED, ids=lambda each: str(each)[:50])
def test_what_would_change_is_refused(kind: Any, value: Any, why: str) -> None:
    """What its own validators, or JSON, would make something else of is not written."""
    with pytest.raises(gs.errors.NotStorable, match=why) as refused:
        gs.JsonCodec[Any](kind).encode(value)
    assert "sesame" not in str(refused.value)


class Mutable(BaseModel):
    a: int = 0


class HoldsMutable(Frozen):
    inner: tuple[Mutable, ...] = ()


class Undefined(Frozen):
    a: "Missing"  # type: ignore[name-defined]  # noqa: F821


class Unstorable(Frozen):
    union: dict[str, int] | Annotated[dict[str, str], "other"]


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Mutable, r"Mutable.*make it frozen, class Mutable\(BaseModel, frozen=True\)"),
        (HoldsMutable, r"HoldsMutable\.inner\[\].*make it frozen"),
        (dict[str, Mutable], "make it frozen"),
        (Undefined, "Undefined.*model_rebuild"),
        (Box, r"Box\.v .*: it has the type variable"),
        (Unstorable, r"Unstorable\.union .*: the parts of its union cannot be told apart"),
        (BaseModel, "is not a type that JSON can hold"),
    ],
)
def test_a_type_that_cannot_be_stored_is_refused_at_once(kind: Any, why: str) -> None:
    """A model that can be changed, or one whose annotations are not known, is refused when the codec is made."""
    with pytest.raises(gs.errors.NotStorable, match=why):
        gs.JsonCodec[Any](kind)


def test_it_reads_as_its_fields() -> None:
    """The JSON has the names of the fields, and says which were left at their defaults."""
    assert gs.JsonCodec(Aliased).encode(Aliased(firstName="ann")) == b'{"first_name":"ann","age":0,"_unset":["age"]}'
    assert gs.JsonCodec(Open).encode(Open(a=1, b=2)) == b'{"a":1,"_extra":{"b":2}}'  # type: ignore[call-arg]
    assert MessageCodec(Add | Sub).encode(Add(by=1)) == b'["Add",{"by":1}]'
    assert MessageCodec(Add).encode(Add(by=1)) == b'["Add",{"by":1}]'
    assert MessageCodec(Parcel[int]).encode(Parcel[int](v=1)) == b'["Parcel",{"v":1}]'


def test_earlier_names_are_read() -> None:
    """`stored_as` names a model as it names every class."""
    codec = MessageCodec[Any](Increase | Add)
    assert codec.encode(Increase(by=1)) == b'["Increase",{"by":1}]'
    assert codec.decode(b'["Plus",{"by":1}]') == Increase(by=1)


def test_a_new_field_with_a_default_was_not_set() -> None:
    """What was stored before the field existed is read with its default, and the field counts as not set."""
    back = gs.JsonCodec(Sharper).decode(b'{"by":1}')
    assert (back, back.model_fields_set) == (Sharper(by=1), {"by"})


@pytest.mark.parametrize(
    "data",
    [b'{"by":"1"}', b'{"by":1,"x":2}', b'{"by":1.5}', b'{"by":1,"_unset":[1]}', b'{"by":1,"_unset":["gone"]}', b"{", b'"1"'],
)
def test_json_that_does_not_fit_is_refused(data: bytes) -> None:
    """Reading is as strict as that of other classes, although pydantic would turn text into numbers and pass over what it does not know."""
    with pytest.raises(ValueError, match="does not hold"):
        gs.JsonCodec(Add).decode(data)


def test_what_pydantic_reads_of_a_time_is_stored() -> None:
    """The class that pydantic has for an offset is read back as that of the standard library, which is equal to it."""
    read = Everything.model_validate_json('{"i": 1, "at": "2024-01-01T00:00:00+02:00"}')
    back = trip(Everything, read)
    assert back == read
    assert type(back.at.tzinfo) is dt.timezone
    assert trip(Everything, back) == back


@pytest.mark.parametrize(("kind", "proved"), [(Add, True), (Sharper, True), (Aliased, True), (Node, True), (Deck, True)])
def test_a_plain_model_is_proved(kind: type, proved: bool) -> None:
    """A model without validators or constraints need not be read back when it is written."""
    assert holds_what_it_is_given(kind) is proved


@pytest.mark.parametrize(
    "kind", [Constrained, Stripped, Open, Private, FollowsFromFields, Drifting, Clamped, Ordered, Numbers, Owned, Loaded]
)
def test_a_model_with_a_will_of_its_own_is_not_proved(kind: type) -> None:
    """Everything that may change or refuse a value is read back."""
    assert not holds_what_it_is_given(kind)


def test_the_proof_is_used() -> None:
    """A flat message is exact, and one with a constraint is not."""
    assert gs.JsonCodec(Add)._exact
    assert not gs.JsonCodec(Constrained)._exact


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
names = st.text().filter(lambda name: name not in ("a", "_fields_set"))
opens = st.builds(lambda a, extra: Open.model_construct(a=a, **extra), scalars, st.dictionaries(names, scalars))
loose = st.builds(lambda **kw: Everything(i=0).model_copy(update=kw), i=scalars, f=scalars, s=scalars, b=scalars, flag=scalars)
trees = st.recursive(
    st.builds(Node, v=st.integers()), lambda kids: st.builds(Node, v=st.integers(), kids=st.lists(kids, max_size=3).map(tuple))
)


@given(st.one_of(opens, loose, trees, st.from_type(Aliased), st.from_type(Box[float])))
def test_any_model_comes_back_the_same_or_is_refused(value: Any) -> None:
    """Whatever a model holds, it is read back equal and with the same fields set, or not written."""
    try:
        back = trip(type(value), value)
    except gs.errors.NotStorable:
        return
    assert back == value
    assert back.model_fields_set == value.model_fields_set
    assert [type(each) for _, each in back] == [type(each) for _, each in value]


class Before(Frozen):
    a: int
    gone: str = ""
    kind: Literal["x", "y"] = "x"


class After(Frozen):
    a: str
    kind: Literal["x"] = "x"
    new: int


def test_changes_of_a_model_are_found_by_its_description() -> None:
    """A description names a model's fields, and comparing two says what cannot be read any more."""
    stored, today = (msgspec.json.decode(describe(kind).data) for kind in (Before, After))
    found = {change.field: change.verdict for change in compare(stored, today)}
    assert found == {"a": "impossible", "gone": "impossible", "kind": "risky", "new": "impossible"}


def test_a_field_is_described_by_its_own_type_or_as_anything() -> None:
    """The serialiser of pydantic may make anything of a field, so that one is described as Any."""
    fields = msgspec.json.decode(describe(Foreign).data)["classes"]["Foreign"]["fields"]
    assert (fields["url"], fields["count"], fields["_unset"]) == ("Any", "int", ["list", "str"])
