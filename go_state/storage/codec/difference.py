"""Where two models differ: the path of the first field that is not the same, and both values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from go_state.storage.codec.depth import with_room


class Difference(NamedTuple):
    """The path of a part of a model, such as ".board.cards[3].title", and its two values."""

    path: str
    expected: Any
    found: Any


def difference(expected: Any, found: Any) -> Difference | None:
    """Return the first part in which two values differ, or None when they are equal and of the same types."""
    return with_room(_difference, expected, found, "")


def _difference(expected: Any, found: Any, path: str) -> Difference | None:
    from go_state.storage.codec.sameness import is_same  # here, as below: a program that stores nothing need not wait for it

    if expected is found:
        return None
    kind: Any = _kind(expected)
    if kind is not _kind(found):
        return Difference(path or "the model", expected, found)
    parts = _parts(kind, expected, found)
    for name, one, other in parts or ():
        if (differs := _difference(one, other, f"{path}{name}")) is not None:
            return differs
    same = is_same(expected, found) if parts is None else expected == found
    return None if same else Difference(path or "the model", expected, found)


def _kind(value: Any) -> Any:
    """Return the type of a value; of the read-only twins in a strict program's model, what they stand for."""
    return getattr(type(value), "__stands_for__", type(value))


def _parts(kind: Any, one: Any, other: Any) -> list[tuple[str, Any, Any]] | None:
    """Return what can be compared piece by piece, with its place in the path; None where there are no pieces, or not the same."""
    from go_state.storage.codec.sameness import have_same_keys
    from go_state.storage.types.fields import field_names

    names = field_names(kind)
    if names is not None:
        return [(f".{name}", getattr(one, name), getattr(other, name)) for name in names]
    if isinstance(one, (list, tuple)) and len(one) == len(other):
        return [(f"[{index}]", a, b) for index, (a, b) in enumerate(zip(one, other, strict=True))]
    if isinstance(one, Mapping) and have_same_keys(one, other):
        return [(f"[{key!r}]", value, other[key]) for key, value in one.items()]
    return None
