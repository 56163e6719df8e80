"""Equality of what was read back and what was written: equal, and of the same types at every depth. See also `difference.py`."""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import math
import zoneinfo
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from go_state.storage.types.annotations import Instance, TypeForm

_SIMPLE = frozenset({int, str, bool, type(None), bytes})  # equal and of one type is the same
_PLAIN = _SIMPLE | {float}
SETS = (set, frozenset)


def is_same(value: Instance, back: Instance) -> bool:
    """Return whether what was read back is equal and of the same type at every depth."""
    kind: TypeForm = type(value)
    kind = getattr(kind, "__stands_for__", kind)  # of the read-only twins in a strict program's model
    came: TypeForm = type(back)
    if kind is not came and kind is not getattr(came, "__stands_for__", came):
        return False
    if kind in _SIMPLE:
        return bool(value == back)
    if kind is float:
        return bool(value == back) and math.copysign(1, value) == math.copysign(1, back)
    if kind is list or kind is tuple:
        if _are_plain(value, back):
            return bool(value == back)
        return len(value) == len(back) and all(map(is_same, value, back))
    if kind is dict:
        if _are_plain(value, back) and _are_plain(value.values(), back.values()):
            return list(value) == list(back) and bool(value == back)
        for (key, one), (other_key, other) in zip(value.items(), back.items(), strict=False):
            if not (is_same(key, other_key) and is_same(one, other)):
                return False
        return len(value) == len(back)
    if kind in SETS:
        return len(value) == len(back) and _are_among(value, back)
    if (fields := fields_that_count(kind)) is not None:
        # Here, and not in a function of its own: a value may be nested as deep as the stack has room for.
        for name in fields.names:
            if not is_same(getattr(value, name), getattr(back, name)):
                return False
        for name in fields.beside:
            one, other = getattr(value, name, None), getattr(back, name, None)
            if one is not other and not is_same(one, other):
                return False
        return fields.decide or bool(value == back)
    if issubclass(kind, Mapping):
        return (
            len(value) == len(back) and _are_among(value, back) and all(is_same(each, back[key]) for key, each in value.items())
        )
    return _is_same_scalar(kind, value, back)


def _are_plain(values: Iterable[object], back: Iterable[object]) -> bool:
    """Return whether both hold the same types in the same order, and only types whose equal values are the same.

    A float is one of them here, because no class is between it and JSON, which keeps even the sign of a zero.
    """
    kinds = list(map(type, values))
    return _PLAIN.issuperset(kinds) and kinds == list(map(type, back))


def have_same_keys(one: Mapping[object, object], other: Mapping[object, object]) -> bool:
    """Return whether two mappings have equal keys, of the same types."""
    kinds = set(map(type, one))
    if len(kinds) == 1 and kinds <= _SIMPLE and kinds == set(map(type, other)):  # the usual case, and ten times as fast
        return set(one) == set(other)
    return len(one) == len(other) and _are_among(one, other)


def _are_among(values: Iterable[object], back: Iterable[object]) -> bool:
    """Return whether each of the values, in any order, came back the same. One that is unequal to itself (NaN) did not."""
    came = {each: each for each in back}
    missing = object()
    return all(is_same(each, came.get(each, missing)) for each in values)


class Fields(NamedTuple):
    """The fields of a class, what else its objects may hold, and whether objects are known to be equal if all of these are."""

    names: list[str]
    beside: tuple[str, ...]
    decide: bool


@functools.cache
def fields_that_count(kind: TypeForm) -> Fields | None:
    """Return what decides whether two objects of the class are the same; None for a class without fields."""
    from go_state.storage.types.classes.construction import equality_is_generated  # here: msgspec comes with it
    from go_state.storage.types.classes.fields import field_names, names_beside

    names = field_names(kind)
    return None if names is None else Fields(names, names_beside(kind), equality_is_generated(kind))


def _is_same_scalar(kind: type, value: Instance, back: Instance) -> bool:
    if kind is decimal.Decimal:
        return bool(value == back) and value.as_tuple() == back.as_tuple()
    if kind is datetime.datetime or kind is datetime.time:
        return _is_same_moment(value, back)
    if issubclass(kind, enum.Enum):
        return value is back or bool(value.name == back.name and value.value == back.value)
    return bool(value == back)


def _is_same_moment(value: Instance, back: Instance) -> bool:
    if value.tzinfo is back.tzinfo:
        return bool(value == back) and value.fold == back.fold
    naive = value.replace(tzinfo=None) == back.replace(tzinfo=None) and value.fold == back.fold
    return naive and _is_same_zone(value.tzinfo, back.tzinfo)


def _is_same_zone(one: Instance, other: Instance) -> bool:
    if type(one) is not type(other):
        # What pydantic reads has a class of its own for a fixed offset, which is read back as the one of the standard library.
        return (
            type(one).__name__ == "TzInfo" and type(other) is datetime.timezone and one.utcoffset(None) == other.utcoffset(None)
        )
    if type(one) is zoneinfo.ZoneInfo:
        return one is other  # two of one name are unequal when one was made without the cache
    if type(one) is datetime.timezone:
        return bool(one == other) and one.tzname(None) == other.tzname(None)  # a name counts in no comparison
    return one is None and other is None
