"""What is stored without reading it back is proved to come back: all other classes are read back when they are written."""

import array
import collections
import enum
import random
import subprocess
import sys
import types
from collections import namedtuple
from dataclasses import InitVar, dataclass, field
from typing import Any, NamedTuple

import attrs
import msgspec
import pytest

import go_state as gs
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.types.classes.construction import holds_what_it_is_given


@dataclass
class Plain:
    value: int
    name: str = field(default="", kw_only=True)


class PlainTuple(NamedTuple):
    value: int


class PlainStruct(msgspec.Struct, frozen=True):
    value: int


@dataclass(frozen=True, slots=True)
class Slotted:
    _value: int
    __hidden: int = 0


@dataclass
class OtherParameters:
    value: int

    def __init__(self, euros: int) -> None:
        self.value = euros * 100


@dataclass
class Raised:
    value: int

    def __init__(self, value: int) -> None:
        self.value = value + 1


class InheritsConstructor(Raised):
    pass


@dataclass(init=False)
class WithoutConstructor:
    value: int = 0


@dataclass
class Doubles:
    value: int

    def __setattr__(self, name: str, value: int) -> None:
        object.__setattr__(self, name, value * 2)


@dataclass
class InheritsSetter(Doubles):
    value: int = 1


class Measured:
    @property
    def value(self) -> int:
        return vars(self).get("_value", 0)

    @value.setter
    def value(self, value: int) -> None:
        vars(self)["_value"] = value + 1


@dataclass
class InheritsProperty(Measured):
    value: int  # type: ignore[assignment]


class Rising:
    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"_{name}"

    def __get__(self, instance: Any, owner: type) -> Any:
        return 0 if instance is None else vars(instance)[self.name]

    def __set__(self, instance: Any, value: int) -> None:
        vars(instance)[self.name] = value + 1


@dataclass
class Described:
    value: int = Rising()  # type: ignore[assignment]


class Counting(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__call__(*args, **kwargs)
        made.value += 1
        return made


@dataclass
class ByMetaclass(metaclass=Counting):
    value: int


class Adjusted:
    value: int

    def __post_init__(self) -> None:
        self.value += 1


@dataclass
class InheritsPostInit(Adjusted):
    value: int


@dataclass
class NeedsMore:
    value: int
    factor: InitVar[int]


@dataclass
class Alone:
    value: int

    def __eq__(self, other: object) -> bool:
        return self is other


class NewTuple(namedtuple("NewTuple", ["value"])):
    def __new__(cls, value: int) -> Any:
        return super().__new__(cls, value + 1)


class PostStruct(msgspec.Struct):
    value: int

    def __post_init__(self) -> None:
        self.value += 1


class AloneStruct(msgspec.Struct, eq=False):
    value: int


class Undecorated(Plain):
    more: int = 0


@dataclass
class OverUndecorated(Undecorated):
    last: int = 0


class UndecoratedTuple(PlainTuple):
    more: int = 0


class TakesMore(Plain):
    def __init__(self, value: int, name: str = "", more: int = 0) -> None:
        super().__init__(value, name=name)
        self.more = more


@dataclass
class KeepsMore:
    value: int
    more: InitVar[int] = 0

    def __post_init__(self, more: int) -> None:
        self._more = more


def with_more(value: Any) -> Any:
    """Return the object with one more attribute, which its class annotates and nobody has made a field."""
    value.more = 5
    return value


@attrs.define
class Converted:
    value: int = attrs.field(converter=lambda value: value + 1)


@attrs.define
class Checked:
    value: int = attrs.field(validator=attrs.validators.lt(10), on_setattr=attrs.setters.NO_OP)


def past_the_check() -> Checked:
    """Return an object that its own validator would refuse."""
    checked = Checked(1)
    checked.value = 10
    return checked


@pytest.mark.parametrize("kind", [Plain, PlainTuple, PlainStruct, Slotted], ids=lambda kind: kind.__name__)
def test_a_plain_class_is_proved(kind: type) -> None:
    """A class of which everything was generated holds what it is given, and is not read back."""
    assert holds_what_it_is_given(kind)


REFUSED = [
    OtherParameters(1), Raised(1), InheritsConstructor(1), WithoutConstructor(), Doubles(1), InheritsSetter(1), InheritsProperty(1),
    Described(1), ByMetaclass(1), InheritsPostInit(1), NeedsMore(1, 2), Alone(1), NewTuple(1), PostStruct(1), AloneStruct(1), Converted(1),
    past_the_check(), with_more(Undecorated(1)), with_more(OverUndecorated(1)), with_more(UndecoratedTuple(1)), TakesMore(1, "", 5), KeepsMore(1, 5),
]  # fmt: skip


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
def test_a_class_that_changes_what_it_is_given_is_refused(value: Any) -> None:
    """What would come back as another value, or not at all, is refused as a model, inside one, and as a message."""
    kind = type(value)
    for codec, written in (
        (gs.JsonCodec[Any](kind), value),
        (gs.JsonCodec[Any](list[kind]), [value]),  # type: ignore[valid-type]
        (MessageCodec[Any](kind), value),
    ):
        with pytest.raises(gs.errors.NotStorable, match=r"constructor"):
            codec.encode(written)


@pytest.mark.parametrize(
    "base",
    [dict[str, int], collections.deque[int], collections.OrderedDict[str, int], array.array, tuple[int, ...], random.Random],
)
def test_a_class_with_contents_beside_its_fields_is_refused(base: Any) -> None:
    """A dataclass that is also a dict, or another class with contents in C, would lose what it holds as one."""
    both = dataclass(types.new_class("Both", (base,), exec_body=lambda body: body.update(__annotations__={"value": int})))
    with pytest.raises(gs.errors.NotStorable, match="holds more than its fields"):
        gs.JsonCodec(both)


@pytest.mark.processes
def test_a_constructor_of_ones_own_is_seen_in_code_that_has_no_file() -> None:
    """A script given on the command line is named as generated code is; its own constructor is seen all the same."""
    script = (
        "from dataclasses import dataclass\nimport go_state as gs\n"
        "@dataclass\nclass Model:\n    value: int\n    def __init__(self, value: int): self.value = value + 1\n"
        "try: gs.JsonCodec(Model).encode(Model(1))\nexcept gs.errors.NotStorable as error: print(error.path)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Model.value"


def test_what_a_constructor_raises_is_named_without_contents() -> None:
    """Whatever a class raises when it is read, the error is a ValueError that names the class, and not what was stored."""

    @dataclass
    class Login:
        password: str

        def __post_init__(self) -> None:
            if len(self.password) < 12:
                raise LookupError(f"{self.password} is too short")

    with pytest.raises(ValueError, match="Login cannot be made of its stored fields: its class raised LookupError") as raised:
        gs.JsonCodec(Login).decode(b'{"password":"hunter2"}')
    assert "hunter2" not in str(raised.value)


def test_a_misfit_names_its_path() -> None:
    """A value of another type than its field says is named with the fields that lead to it."""

    @dataclass
    class Inner:
        at: Plain

    @dataclass
    class Outer:
        inner: Inner

    with pytest.raises(gs.errors.NotStorable) as raised:
        gs.JsonCodec(Outer).encode(Outer(Inner("text")))  # type: ignore[arg-type]
    assert raised.value.path == "Outer.inner.at"


@dataclass
class Quarrelling:
    password: str

    def __eq__(self, other: object) -> bool:
        raise LookupError(self.password)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Unhashed:
    password: str

    def __hash__(self) -> int:
        raise LookupError(self.password)


def test_whatever_a_class_raises_is_a_refusal_without_contents() -> None:
    """An equality or a hash that raises is told by its kind, when it is written and when it is read."""
    for value in (Quarrelling("hunter2"), [Quarrelling("hunter2")]):
        kind: Any = list[Quarrelling] if isinstance(value, list) else Quarrelling
        with pytest.raises(gs.errors.NotStorable, match="its class raised LookupError") as refused:
            gs.JsonCodec(kind).encode(value)
        assert "hunter2" not in str(refused.value)
    with pytest.raises(ValueError, match="its class raised LookupError") as unread:
        gs.JsonCodec(set[Unhashed]).decode(b'[{"password":"hunter2"}]')
    assert "hunter2" not in str(unread.value)


def test_an_unknown_number_of_an_enum_is_not_repeated() -> None:
    """A value that is no member is contents, be it text or a number."""

    class Room(enum.IntEnum):
        HALL = 1

    with pytest.raises(ValueError, match=r"Invalid enum value \.\.\.") as raised:
        gs.JsonCodec(Room).decode(b"1234567890")
    assert "1234567890" not in str(raised.value)
