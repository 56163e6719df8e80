"""How the values of one type are taken apart into pieces: the plan of a type, and what plans ask of their planner."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Protocol, TypeAlias

from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.types.annotations import Instance, TypeForm

Inside: TypeAlias = tuple[TypeForm, ...]
"""The classes that a type is a part of, from the outermost on."""

Value: TypeAlias = Instance
"""A value that may be of the plan's type, or of another: the codec of the whole says what is wrong with it."""

Codec: TypeAlias = JsonCodec[Value]

_ENTRY = 1024  # bytes of text that take as long as an entry


class Planner(Protocol):
    """Makes the plans of a value's parts, and the codecs of its pieces, one for each type."""

    def codec(self, kind: TypeForm) -> Codec:
        """Return the codec of a part."""
        ...

    def plan(self, kind: TypeForm, inside: Inside = ()) -> Plan:
        """Return how the values of a type are taken apart; `inside` has the classes that it is a part of."""
        ...


class Plan:
    """How a value is taken apart; this one: not at all. `weight` says about how large it is, `pieces` gives its JSON."""

    is_leaf = True  # whether no value of it is ever taken apart
    varies = False  # whether some are heavier than others

    def __init__(self, planner: Planner, kind: TypeForm, inside: Inside) -> None:
        self.kind = kind
        self.name = getattr(kind, "__name__", str(kind))
        self.planner = planner
        self.inside = inside

    @cached_property
    def codec(self) -> Codec:
        """The codec of its values."""
        return self.planner.codec(self.kind)

    def weight(self, value: Value) -> int:
        """Return about how many entries the value has."""
        return 1

    def pieces(self, value: Value) -> Iterator[bytes]:
        """Give the value's JSON in pieces."""
        yield self.codec.encode(value)


class TextPlan(Plan):
    """Text or bytes: in one piece, which may be a large one."""

    varies = True

    def weight(self, value: Value) -> int:
        return 1 + len(value) // _ENTRY if isinstance(value, (str, bytes)) else 1


def type_of(value: Value) -> TypeForm:
    """Return the value's type; of a read-only twin in a strict program's model, the type that it stands for."""
    return getattr(type(value), "__stands_for__", type(value))
