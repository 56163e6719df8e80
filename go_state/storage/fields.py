"""The fields of a class: a dataclass, NamedTuple, attrs class or msgspec Struct, generic or not, seen alike."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import typing
from typing import Any

import msgspec

from go_state.storage.annotations import resolved


class Field(typing.NamedTuple):
    """A field that the constructor takes: its name, its type, the constructor's word for it, and whether it has a default."""

    name: str
    annotation: Any
    parameter: str
    required: bool


def fields_of(kind: Any) -> list[Field]:
    """Return the fields of a dataclass, attrs class, msgspec Struct or NamedTuple, generic or not; an empty list for others."""
    cls = typing.get_origin(kind) or kind
    named = _named_fields(cls)
    if named is None:
        return []
    annotations = resolved(kind, {name: _owner(cls, name) for name, _, _ in named})
    return [Field(name, annotations[name], parameter, required) for name, parameter, required in named]


def _owner(cls: Any, name: str) -> type:
    """Return the class that has said what the field holds: the one itself, or one that it has the field from."""
    line: tuple[type, ...] = cls.__mro__
    if hasattr(cls, "__attrs_attrs__"):
        said = [base for base in line if _is_own_attribute(base, name)]
    elif "__dataclass_fields__" in dir(cls):
        # Subclasses hold the very field of the class that has made it, which stands behind them.
        field = cls.__dataclass_fields__[name]
        said = [base for base in line if vars(base).get("__dataclass_fields__", {}).get(name) is field][-1:]
    elif issubclass(cls, msgspec.Struct):
        said = [base for base in line if issubclass(base, msgspec.Struct) and name in vars(base).get("__annotations__", {})]
    else:
        said = [base for base in line if "_fields" in vars(base)]
    return said[0] if said else line[0]


def _is_own_attribute(cls: type, name: str) -> bool:
    return any(each.name == name and not each.inherited for each in vars(cls).get("__attrs_attrs__", ()))


def _named_fields(cls: Any) -> list[tuple[str, str, bool]] | None:
    """Return name, constructor's parameter and requiredness of each field; None when the class has no fields to speak of."""
    missing = dataclasses.MISSING
    if not isinstance(cls, type) or issubclass(cls, enum.Enum):
        return None
    if hasattr(cls, "__attrs_attrs__"):  # attrs drops leading underscores from parameters
        nothing = next((type(a.default) for a in cls.__attrs_attrs__ if type(a.default).__name__ == "_Nothing"), ())
        return [(a.name, a.alias, isinstance(a.default, nothing)) for a in cls.__attrs_attrs__ if a.init]
    if dataclasses.is_dataclass(cls):
        fields = dataclasses.fields(cls)
        return [(f.name, f.name, f.default is missing and f.default_factory is missing) for f in fields if f.init]
    if issubclass(cls, msgspec.Struct):
        return [(f.name, f.name, f.required) for f in msgspec.structs.fields(cls)]
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        names, defaults = getattr(cls, "_fields"), getattr(cls, "_field_defaults", {})  # noqa: B009  - tuple has neither for a checker
        return [(name, name, name not in defaults) for name in names]
    return None


def constructor_names(cls: Any) -> list[str] | None:
    """Return the names of the fields that the constructor takes, and so of what is stored; None for a class without fields."""
    named = _named_fields(cls)
    return None if named is None else [name for name, _, _ in named]


@functools.cache
def field_names(cls: Any) -> list[str] | None:
    """Return the names of the fields that make two values of the class the same; None when it has no fields to speak of.

    Those are the stored ones and those that are compared: one that the constructor does not take has to come back by itself.
    """
    named = _named_fields(cls)
    if named is None:
        return None
    names = [name for name, _, _ in named]
    if hasattr(cls, "__attrs_attrs__"):
        return names + [a.name for a in cls.__attrs_attrs__ if not a.init and a.eq]
    if dataclasses.is_dataclass(cls):
        return names + [f.name for f in dataclasses.fields(cls) if not f.init and f.compare]
    return names


def is_class_with_fields(kind: Any) -> bool:
    """Tell whether it is one of these classes."""
    return _named_fields(typing.get_origin(kind) or kind) is not None


def takes_fields_in_order(cls: type, parameters: list[str]) -> bool:
    """Tell whether the constructor can be called with the fields as its positional arguments."""
    try:
        given = list(inspect.signature(cls).parameters.values())
    except (ValueError, TypeError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in given[: len(parameters)] if p.kind in positional] == parameters
