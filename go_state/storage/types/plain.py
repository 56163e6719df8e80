"""Plain types: those that JSON holds without a class of ours, and the containers."""

from __future__ import annotations

import datetime
import decimal
import enum
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence

from go_state.core.errors import NotStorable
from go_state.storage.types.annotations import Instance, TypeForm, class_of, is_untyped, members_of, origin_of

PLAIN = (
    int, str, bool, type(None), bytes, uuid.UUID, decimal.Decimal, datetime.date, datetime.timedelta,
)  # fmt: skip
MOMENTS = (datetime.datetime, datetime.time)
SEQUENCES: dict[TypeForm, Callable[..., Instance]] = {
    list: list, tuple: tuple, set: set, frozenset: frozenset, Sequence: tuple, typing.Sequence: tuple,
}  # fmt: skip
_NO_TYPES: tuple[object, ...] = ((), ...)  # arguments of tuple[()] and tuple[int, ...]
MAPPINGS = (dict, Mapping, typing.Mapping)


def is_persistent_map(kind: TypeForm) -> bool:
    """Return whether it is `immutables.Map`."""
    # By name, so that the optional package is imported by its users alone; the class is in a C module or in a pure one.
    return getattr(kind, "__module__", "").split(".")[0] == "immutables" and getattr(kind, "__name__", "") == "Map"


def check_enum(kind: type[enum.Enum], path: str) -> None:
    """Raise `NotStorable` for an enum whose values JSON could not give back: they are all text, or all whole numbers."""
    if issubclass(kind, enum.Flag):
        return
    if not kind.__members__:
        raise NotStorable(path, f"the enum {kind.__qualname__} has no members: give it some")
    found = {type(member.value) for member in kind.__members__.values()}
    if found not in ({str}, {int}):
        raise NotStorable(
            path,
            f"the members of the enum {kind.__qualname__} have values that are {' and '.join(sorted(each.__name__ for each in found))}: "
            f"let all be str, such as their names, or all be int",
        )


def unknown_leaf(kind: TypeForm, is_class: Callable[[TypeForm], bool]) -> TypeForm | None:
    """Return the first type that an annotation is made of and that is none of ours, or None; `is_class` knows classes with fields."""
    for member in members_of(kind):
        origin = class_of(member)
        if origin in SEQUENCES or origin in MAPPINGS or is_persistent_map(origin):
            for arg in typing.get_args(member):
                found = None if arg in _NO_TYPES else unknown_leaf(arg, is_class)
                if found is not None:
                    return found
        elif not (_is_known(member) or is_class(member)):
            return member
    return None


def _is_known(kind: TypeForm) -> bool:
    if isinstance(kind, typing.TypeVar) or origin_of(kind) is typing.Literal:
        return True
    return (
        kind in (*PLAIN, *MOMENTS, float, None) or is_untyped(kind) or (isinstance(kind, type) and issubclass(kind, enum.Enum))
    )
