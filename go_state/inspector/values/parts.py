"""What a value consists of: the fields of an object, the entries of a mapping, the items of a list."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set, Sized
from enum import Enum
from itertools import islice
from typing import Literal, NamedTuple, TypeAlias, cast

from go_state.core.errors import UsageError
from go_state.inspector.values.text import quoted, shown
from go_state.storage.codec.equality import fields_that_count

Kind: TypeAlias = Literal["object", "mapping", "list", "text", "number", "bool", "none", "bytes", "other"]
Step: TypeAlias = str | int | dict[str, int]
"""The way from a value to one of its parts: a field, a key, an index; a key that is no short text by its number."""

_KEY = 200  # characters of a key that is its own step
_SURROGATES = re.compile("[\ud800-\udfff]")  # which JSON cannot carry: such a key is asked for by its number


class Part(NamedTuple):
    """A part of a value: the step to it, what it is called, how a path to it goes on, and itself; of an entry also its key."""

    step: Step
    name: str
    path: str
    value: object
    key: object = None
    number: int = 0  # of an entry


def kind_of(value: object) -> Kind:
    """Return which kind of value it is."""
    if value is None:
        return "none"
    if isinstance(value, Enum):
        return "other"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float, complex)):
        return "number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "bytes"
    if field_names(value) is not None:
        return "object"
    if isinstance(value, Mapping):
        return "mapping"
    return "list" if isinstance(value, (Sequence, Set)) else "other"


def field_names(value: object) -> list[str] | None:
    """Return the names of an object's fields; None if it has none, as a mapping or a list."""
    kind: type = getattr(type(value), "__stands_for__", type(value))
    try:
        found = fields_that_count(kind)
    except Exception:  # a class that is no data: the page shows its name
        return None
    return None if found is None else [*found.names, *found.beside]


def size_of(value: object, kind: Kind) -> int | None:
    """Return how many parts it has, or characters, or bytes; None for what has no size."""
    if kind == "object":
        return len(field_names(value) or ())
    if kind in ("mapping", "list", "text", "bytes"):
        return len(cast("Sized", value))
    return None


def parts_of(value: object, kind: Kind, start: int = 0) -> Iterator[Part]:
    """Give the parts of a value from the number `start` on."""
    if kind == "object":
        for name in (field_names(value) or [])[start:]:
            yield Part(name, shown(name), f".{name}", getattr(value, name, None))
    elif kind == "mapping":
        mapping = cast("Mapping[object, object]", value)
        for number, (key, item) in enumerate(islice(mapping.items(), start, None), start):
            yield entry(key, number, item)
    elif isinstance(value, Sequence):
        for number in range(start, len(value)):
            yield Part(number, str(number), f"[{number}]", value[number])
    elif kind == "list":
        for number, item in enumerate(islice(cast("Set[object]", value), start, None), start):
            yield Part(number, str(number), f"[{number}]", item)


def entry(key: object, number: int, value: object) -> Part:
    """Return an entry of a mapping as a part of it."""
    label = key_text(key)
    is_own = isinstance(key, str) and len(key) <= _KEY and not _SURROGATES.search(key)
    return Part(cast("str", key) if is_own else {"i": number}, label, f"[{label}]", value, key, number)


def key_text(key: object) -> str:
    """Return a key as a path has it."""
    if isinstance(key, str):
        return quoted(key, _KEY)
    try:
        return shown(repr(key), _KEY)
    except Exception:
        return type(key).__qualname__


def part_at(value: object, steps: Sequence[object]) -> Iterator[tuple[str, object]]:
    """Give the names on the way that the steps lead, each with the part that it comes to; `UsageError` if there is none."""
    for step in steps:
        name, value = _part(value, step)
        yield name, value


def _part(value: object, step: object) -> tuple[str, object]:
    kind, number = kind_of(value), step.get("i") if isinstance(step, dict) else step
    is_number = type(number) is int and number >= 0
    try:
        if kind == "object" and isinstance(step, str) and step in (field_names(value) or ()):
            return step, getattr(value, step, None)
        if kind == "mapping":
            mapping = cast("Mapping[object, object]", value)
            if isinstance(step, str) and step in mapping:  # asked first: some make what they do not have
                return step, mapping[step]
            if isinstance(step, dict) and is_number:
                key, found = next(islice(mapping.items(), cast("int", number), None))
                return entry(key, cast("int", number), found).name, found
        if kind == "list" and step is number and is_number:
            at = cast("int", number)
            found = value[at] if isinstance(value, Sequence) else next(islice(cast("Set[object]", value), at, None))
            return str(at), found
    except (LookupError, StopIteration, ValueError):
        pass
    raise UsageError("the value has no such part at this position")
