"""Where two models differ: the path of the first field that is not the same, and both values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Difference(NamedTuple):
    """The path of a part of a model, such as ".board.cards[3].title", and its two values."""

    path: str
    expected: Any
    found: Any


def difference(expected: Any, found: Any, path: str = "") -> Difference | None:
    """Return the first part in which two values differ, or None when they are equal and of the same types."""
    if expected is found:
        return None
    kind: Any = _kind(expected)
    if kind is not _kind(found):
        return Difference(path or "the model", expected, found)
    for name, one, other in _parts(kind, expected, found):
        if (differs := difference(one, other, f"{path}{name}")) is not None:
            return differs
    return None if expected == found else Difference(path or "the model", expected, found)


def _kind(value: Any) -> Any:
    """Return the type of a value; of the read-only twins in a strict program's model, what they stand for."""
    return getattr(type(value), "__stands_for__", type(value))


def _parts(kind: Any, one: Any, other: Any) -> list[tuple[str, Any, Any]]:
    from go_state.storage.fields import field_names  # here, because msgspec comes with it

    names = field_names(kind)
    if names is not None:
        return [(f".{name}", getattr(one, name), getattr(other, name)) for name in names]
    if isinstance(one, (list, tuple)) and len(one) == len(other):
        return [(f"[{index}]", a, b) for index, (a, b) in enumerate(zip(one, other, strict=True))]
    if isinstance(one, Mapping) and one.keys() == other.keys():
        return [(f"[{key!r}]", value, other[key]) for key, value in one.items()]
    return []
