"""In what two values differ: the path of the first part that is not the same, and both parts.

Two models are compared with their keys shown and in any order (`difference`), for a person who looks for a fault in a program; a
value and what was read back of it with keys hidden, which may be a user's data, and in order (`why_not_same`).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, time
from enum import Enum
from itertools import islice
from typing import NamedTuple, TypeAlias

from go_state.storage.codec.depth import with_room
from go_state.storage.codec.equality import SETS, fields_that_count, have_same_keys, is_same
from go_state.storage.types.annotations import Instance


class Difference(NamedTuple):
    """The path of a part, such as ".board.cards[3].title", and the two values that it has."""

    path: str
    expected: object
    found: object


class _Absent:
    """What a mapping has under a key that it does not have."""

    def __repr__(self) -> str:
        return "nothing"


_STEP = re.compile(r"""\.(\w+)|\[('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\]]*)\]""")

ABSENT = _Absent()
"""What a difference names where only one of two mappings has the key."""

Parts: TypeAlias = "list[tuple[str, object, object]] | None"
"""Steps of the path, each with the part of either value that it leads to; None for values that have no parts to compare."""


def difference(expected: object, found: object) -> Difference | None:
    """Return the first part in which two models differ, or None if they are equal and of the same types."""
    differs = with_room(_first, expected, found, "", _model_parts)
    return differs._replace(path="the model") if differs is not None and not differs.path else differs


def differences(expected: object, found: object, most: int) -> list[Difference]:
    """Return the parts in which two models differ, the smallest that can be told apart, up to `most` of them.

    Two classes of one name, as two versions of a module have, are compared in the fields that both have.
    """
    found_parts = with_room(lambda: list(islice(_each(expected, found, ""), most)))
    return [each._replace(path=each.path or "the model") for each in found_parts]


def _each(one: Instance, other: Instance, path: str) -> Iterator[Difference]:
    if one is other:
        return
    kind, other_kind = _kind(one), _kind(other)
    alike = kind is other_kind
    if not alike and kind.__qualname__ != other_kind.__qualname__:
        yield Difference(path, one, other)
        return
    parts = _parts_of_both(one, other)
    if parts is None:
        enums = isinstance(one, Enum) and isinstance(other, Enum)  # of two classes they are never equal
        if one.name != other.name if enums else _first(one, other, path, _model_parts) is not None:
            yield Difference(path, one, other)
        return
    inner = False
    for step, a, b in parts:
        for differs in _each(a, b, path + step):
            inner = True
            yield differs
    if not inner and alike and not isinstance(one, (Mapping, list, tuple)) and one != other:
        yield Difference(path, one, other)


def _parts_of_both(one: Instance, other: Instance) -> Parts:
    """Return the parts as of `_model_parts`; of mappings also those that only one has, of classes only those that both have."""
    if isinstance(one, Mapping):
        keys = [*one, *(key for key in other if key not in one)]
        return [(f"[{key!r}]", one.get(key, ABSENT), other.get(key, ABSENT)) for key in keys]
    if (fields := fields_that_count(_kind(one))) is not None:
        theirs = fields_that_count(_kind(other))
        names = [name for name in fields.names if theirs is not None and name in theirs.names]
        return [(f".{name}", getattr(one, name), getattr(other, name)) for name in names]
    return _items(one, other)


def part_at(value: object, path: str) -> object:
    """Return the part of a model that a path leads to; `ABSENT` if it leads nowhere, or through a key that is not a literal."""
    part: Instance = value
    for name, written in _STEP.findall("" if path == "the model" else path):
        try:
            part = getattr(part, name) if name else part[ast.literal_eval(written)]
        except (AttributeError, LookupError, TypeError, ValueError, SyntaxError):
            return ABSENT
    return part


def why_not_same(value: object, back: object, name: str) -> tuple[str, str]:
    """Return the path of the first part of a value that did not come back the same, and why, without its contents.

    `name` is that of the value's type, with which the path begins.
    """
    path, one, other = _first(value, back, "", _stored_parts) or Difference("", value, back)
    kind = _kind(one)
    if kind is not type(other):
        found, became = kind.__qualname__, type(other).__qualname__
        why = f"a {found} would read back as a {became}: annotate the field with what it holds, or store what it says"
    elif one != one:
        why = "it is not equal to itself (NaN): store None or a number instead"
    elif isinstance(one, (datetime, time)):
        why = "its time zone would not read back: use a zoneinfo.ZoneInfo, or a datetime.timezone without a name of its own"
    else:
        why = (
            f"a {kind.__qualname__} would not read back equal: give it fields that its constructor sets as they are given, and "
            f"compare only what is stored and what is computed from it"
        )
    return name + path, why


def _first(one: Instance, other: Instance, path: str, parts_of: Callable[[Instance, Instance], Parts]) -> Difference | None:
    if one is other:
        return None
    if _kind(one) is not _kind(other):
        return Difference(path, one, other)
    parts = parts_of(one, other)
    for step, a, b in parts or ():
        if (differs := _first(a, b, path + step, parts_of)) is not None:
            return differs
    # Models are equal if their parts and their classes say so; in what order a dict has its keys decides nothing there.
    same = one == other if parts is not None and parts_of is _model_parts else is_same(one, other)
    return None if same else Difference(path, one, other)


def _kind(value: object) -> type:
    """Return the type of a value; of the read-only twins in a strict program's model, what they stand for."""
    kind: type = getattr(type(value), "__stands_for__", type(value))
    return kind


def _model_parts(one: Instance, other: Instance) -> Parts:
    if (fields := fields_that_count(_kind(one))) is not None:
        return [(f".{name}", getattr(one, name), getattr(other, name)) for name in fields.names]
    if isinstance(one, Mapping):
        keys = one if have_same_keys(one, other) else None
        return None if keys is None else [(f"[{key!r}]", one[key], other[key]) for key in keys]
    return _items(one, other)


def _stored_parts(one: Instance, other: Instance) -> Parts:
    if (fields := fields_that_count(_kind(one))) is not None:
        names = (*fields.names, *fields.beside)
        return [(f".{name}", getattr(one, name, None), getattr(other, name, None)) for name in names]
    if isinstance(one, dict):
        items = list(zip(one.items(), other.items(), strict=False))
        return [(" keys", a[0], b[0]) for a, b in items] + [("[...]", a[1], b[1]) for a, b in items]
    if isinstance(one, (Mapping, *SETS)):
        came = {each: each for each in other}
        found = [each for each in one if each in came]
        keys = [(" keys" if isinstance(one, Mapping) else "[]", each, came[each]) for each in found]
        return keys + [("[...]", one[key], other[key]) for key in found] if isinstance(one, Mapping) else keys
    return _items(one, other)


def _items(one: Instance, other: Instance) -> Parts:
    if isinstance(one, (list, tuple)) and len(one) == len(other):
        return [(f"[{index}]", a, b) for index, (a, b) in enumerate(zip(one, other, strict=True))]
    return None
