"""A large value as JSON in pieces, each made in a few milliseconds, so that other threads and the event loop go on between them.

Encoding a million entries in one call keeps every other thread, and an event loop, waiting for as long as it takes. So the containers
of a value are encoded some entries at a time, each piece by the codec of its own type, which reads back what it wrote as it always
does; together the pieces are the bytes that the whole would be. What cannot be taken apart (a class that makes something else of what
it is given, a container of an unusual kind) is one piece.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from go_state.core.errors import NotStorable
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.snapshots.class_plans import ClassPlan, FixedPlan, LaterPlan, UnionPlan, UntypedPlan, is_taken_apart
from go_state.storage.snapshots.container_plans import ItemsPlan, MappingPlan
from go_state.storage.snapshots.plans import Codec, Inside, Plan, TextPlan, Value
from go_state.storage.types.annotations import TypeForm, class_of, is_untyped, without_wrapping
from go_state.storage.types.classes.fields import is_class_with_fields
from go_state.storage.types.plain import is_persistent_map

SMALL = 1_000  # entries: a value that has no more, at any depth that is looked at, is encoded in one call, in milliseconds
_DEPTH = 8  # how often a class is taken apart inside itself; what is nested deeper has seldom many entries


def plan_of(codec: Codec) -> Plan:
    """Return how the codec's values are taken apart; it is made once for each of the latest codecs, and costs some codecs.

    The values of a codec with an `encode` of its own are one piece: what it makes of them is not known here.
    """
    return _plan_of(codec) if type(codec) is JsonCodec else _Whole(codec)


@lru_cache(maxsize=128)  # codecs, which are as many as types; without, an event of Lambda took a third longer
def _plan_of(codec: JsonCodec[object]) -> Plan:
    return CodecPlanner(codec).plan(codec.kind)


def pieces(plan: Plan, value: Value) -> Iterator[bytes]:
    """Give the value's JSON, as the codec of the plan would write it, in pieces, of which some may be empty.

    Raises `NotStorable` as the codec does, and if the value changes meanwhile.
    """
    try:
        if plan.weight(value) <= SMALL:
            yield plan.codec.encode(value)
        else:
            yield from plan.pieces(value)
    except MemoryError:
        raise
    except Exception as error:
        # An entry is not of its type, or a container has changed while it was iterated over.
        plan.codec.encode(value)  # which says what is wrong, and names the way to it from the top
        if isinstance(error, NotStorable):
            raise
        why = f"it was changed while it was being stored ({type(error).__name__}): update returns a new model and changes none"
        raise NotStorable(plan.name, why) from None


class CodecPlanner:
    """Makes the plans of a codec's types, and the codecs of the pieces, one for each type."""

    def __init__(self, whole: Codec) -> None:
        self._whole = whole
        self._codecs: list[tuple[TypeForm, Codec]] = [(whole.kind, whole)]  # a type with metadata may have no hash

    def codec(self, kind: TypeForm) -> Codec:
        """Return the codec of a part."""
        for known, codec in self._codecs:
            if known is kind or known == kind:
                return codec
        codec = self._whole.of_part(kind)
        self._codecs.append((kind, codec))
        return codec

    def plan(self, kind: TypeForm, inside: Inside = ()) -> Plan:
        """Return how the values of a type are taken apart; `inside` has the classes that it is a part of, which end a recursion."""
        written, kind = kind, without_wrapping(kind)
        origin, args = class_of(kind), typing.get_args(kind)
        if kind in (str, bytes):
            return TextPlan(self, kind, inside)
        if is_untyped(kind):
            return _unless_too_deep(UntypedPlan, self, kind, inside)
        if origin in (typing.Union, types.UnionType):
            return UnionPlan(self, kind, inside)
        if origin is tuple and args and args[1:] != (...,):
            return FixedPlan(self, kind, inside)
        if origin in (list, set, frozenset, Sequence) or (origin is tuple and args):
            return ItemsPlan(self, kind, inside)
        if origin in (dict, Mapping) or is_persistent_map(origin):
            return MappingPlan(self, kind, inside)
        if is_class_with_fields(kind) and isinstance(origin, type) and is_taken_apart(origin):
            if kind in inside:
                return _unless_too_deep(LaterPlan, self, kind, inside)
            return ClassPlan(self, kind, (*inside, kind))
        return Plan(self, written, inside)


class _Whole(Plan):
    """The plan of a codec whose values are one piece."""

    def __init__(self, codec: Codec) -> None:
        super().__init__(CodecPlanner(codec), codec.kind, ())


def _unless_too_deep(plan: type[Plan], planner: CodecPlanner, kind: TypeForm, inside: Inside) -> Plan:
    deep = sum(each is kind or each == kind for each in inside) >= _DEPTH
    return Plan(planner, kind, inside) if deep else plan(planner, kind, (*inside, kind))
