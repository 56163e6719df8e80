"""Sameness: whether what was read back is equal to what was written, and of the same types at every depth; where not, why."""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import math
import zoneinfo
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_SIMPLE = frozenset({int, str, bool, type(None), bytes})  # equal and of one type is the same
_PLAIN = _SIMPLE | {float}
_SETS = (set, frozenset)


def is_same(value: Any, back: Any) -> bool:
    """Tell whether what was read back is equal and of the same type at every depth."""
    kind: Any = type(value)
    kind = getattr(kind, "__stands_for__", kind)  # the read-only twins of a strict program's model
    came: Any = type(back)
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
    if kind in _SETS:
        return len(value) == len(back) and _are_among(value, back)
    if (fields := _fields(kind)) is not None:
        for (
            name
        ) in fields.names:  # here, and not in a function of its own: a value may be nested as deep as the stack has room for
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


def _are_plain(values: Iterable[Any], back: Iterable[Any]) -> bool:
    """Tell whether both hold the same types in the same order, and only such as are the same when they are equal.

    A float is among them here, where no class is between it and JSON, which keeps even the sign of a zero.
    """
    kinds = list(map(type, values))
    return _PLAIN.issuperset(kinds) and kinds == list(map(type, back))


def have_same_keys(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    """Tell whether two mappings have equal keys, of the same types."""
    kinds = set(map(type, one))
    if len(kinds) == 1 and kinds <= _SIMPLE and kinds == set(map(type, other)):  # the usual case, and ten times as fast
        return set(one) == set(other)
    return len(one) == len(other) and _are_among(one, other)


def _are_among(values: Iterable[Any], back: Iterable[Any]) -> bool:
    """Tell whether each of the values, which have no order, came back the same. One that is unequal to itself (NaN) did not."""
    came = {each: each for each in back}
    missing = object()
    return all(is_same(each, came.get(each, missing)) for each in values)


class _Fields(NamedTuple):
    """The fields of a class, what else its objects may hold, and whether two of them are known to be equal where those are."""

    names: list[str]
    beside: tuple[str, ...]
    decide: bool


@functools.cache
def _fields(kind: Any) -> _Fields | None:
    """Return what makes two objects of the class the same; None for a class without fields."""
    from go_state.storage.types.construction import equality_is_generated  # here: msgspec comes with it
    from go_state.storage.types.fields import field_names, names_beside

    names = field_names(kind)
    return None if names is None else _Fields(names, names_beside(kind), equality_is_generated(kind))


def _is_same_scalar(kind: Any, value: Any, back: Any) -> bool:
    if kind is decimal.Decimal:
        return bool(value == back) and value.as_tuple() == back.as_tuple()
    if kind is datetime.datetime or kind is datetime.time:
        return _is_same_moment(value, back)
    if issubclass(kind, enum.Enum):
        return value is back or bool(value.name == back.name and value.value == back.value)
    return bool(value == back)


def _is_same_moment(value: Any, back: Any) -> bool:
    if value.tzinfo is back.tzinfo:
        return bool(value == back) and value.fold == back.fold
    naive = value.replace(tzinfo=None) == back.replace(tzinfo=None) and value.fold == back.fold
    return naive and _is_same_zone(value.tzinfo, back.tzinfo)


def _is_same_zone(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if type(one) is zoneinfo.ZoneInfo:
        return one is other  # two of one name are unequal when one was made without the cache
    if type(one) is datetime.timezone:
        return bool(one == other) and one.tzname(None) == other.tzname(None)  # a name counts in no comparison
    return one is None and other is None


def why_not_same(value: Any, back: Any, path: str) -> tuple[str, str]:
    """Return the path of the first part that did not come back the same, and why, without its contents."""
    kind: Any = getattr(type(value), "__stands_for__", type(value))
    if kind is not type(back):
        found, became = kind.__qualname__, type(back).__qualname__
        return path, f"a {found} would read back as a {became}: annotate the field with what it holds, or store what it says"
    for name, one, other in _parts(value, back):
        if not is_same(one, other):
            return why_not_same(one, other, f"{path}{name}")
    if value != value:
        return path, "it is not equal to itself (NaN): store None or a number instead"
    if isinstance(value, (datetime.datetime, datetime.time)):
        return (
            path,
            "its time zone would not read back: use a zoneinfo.ZoneInfo, or a datetime.timezone without a name of its own",
        )
    return (
        path,
        f"a {kind.__qualname__} would not read back equal: give it fields that its constructor sets as they are given, and compare "
        f"only what is stored and what is computed from it",
    )


def _parts(value: Any, back: Any) -> list[tuple[str, Any, Any]]:
    kind: Any = type(value)
    if (fields := _fields(kind)) is not None:
        names = (*fields.names, *fields.beside)
        return [(f".{name}", getattr(value, name, None), getattr(back, name, None)) for name in names]
    if isinstance(value, (list, tuple)):
        return [(f"[{i}]", one, other) for i, (one, other) in enumerate(zip(value, back, strict=False))]
    if isinstance(value, dict):
        # A key may be somebody's data: it is not part of the path.
        items = list(zip(value.items(), back.items(), strict=False))
        return [(" keys", one[0], other[0]) for one, other in items] + [("[...]", one[1], other[1]) for one, other in items]
    if isinstance(value, _SETS):
        came = {each: each for each in back}
        return [("[]", each, came[each]) for each in value if each in came]
    if isinstance(value, Mapping):
        came, missing = {each: each for each in back}, object()
        keys = [(" keys", each, came[each]) for each in value if each in came]
        return keys + [("[...]", one, back.get(key, missing)) for key, one in value.items() if key in came]
    return []
