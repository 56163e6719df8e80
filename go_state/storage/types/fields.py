"""The fields of a class: a dataclass, NamedTuple, attrs class or msgspec Struct, generic or not, seen alike."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import typing
from typing import Any

import msgspec

from go_state.storage.types.annotations import class_of, resolved


class Field(typing.NamedTuple):
    """A field that the constructor takes: its name, its type, the constructor's word for it, and whether it has a default."""

    name: str
    annotation: Any
    parameter: str
    required: bool


def fields_of(kind: Any) -> list[Field]:
    """Return the fields of a dataclass, attrs class, msgspec Struct or NamedTuple, generic or not; an empty list for others."""
    cls = class_of(kind)
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


@functools.cache
def names_beside(cls: Any) -> tuple[str, ...]:
    """Return the names of what an object of the class may hold beside its fields, which would be lost, as far as the class tells.

    Those are what its own constructor takes and no field has, under that name or with an underscore in front, and what a class
    annotates that inherits its fields and was not decorated itself.
    """
    named = _named_fields(cls)
    if named is None:
        return ()
    fields = {name for name, _, _ in named} | {attribute.name for attribute in getattr(cls, "__attrs_attrs__", ())}
    if "__dataclass_fields__" in dir(cls):
        fields |= {field.name for field in dataclasses.fields(cls)}
    taken = [name for name in _parameters(cls) if name not in {parameter for _, parameter, _ in named}]
    undecorated = [base for base in cls.__mro__ if is_class_with_fields(base) and not _says_its_fields(base)]
    annotated = [name for base in undecorated for name in vars(base).get("__annotations__", {})]
    found = [*taken, *(f"_{name}" for name in taken), *annotated]
    return tuple(name for name in dict.fromkeys(found) if name not in fields and not _is_method(cls, name))


def _is_method(cls: type, name: str) -> bool:
    return inspect.isroutine(inspect.getattr_static(cls, name, None))


def _parameters(cls: Any) -> list[str]:
    """Return the names of what the constructor takes, but for the rest that `*args` and `**kwargs` take."""
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    try:
        return [each.name for each in inspect.signature(cls).parameters.values() if each.kind not in several]
    except (ValueError, TypeError):
        return []


def _says_its_fields(cls: type) -> bool:
    """Tell whether the fields are the class's own, and not just those of a base."""
    own = vars(cls)
    return issubclass(cls, msgspec.Struct) or any(
        word in own for word in ("__attrs_attrs__", "__dataclass_fields__", "_fields")
    )


def is_class_with_fields(kind: Any) -> bool:
    """Tell whether it is one of these classes."""
    return _named_fields(class_of(kind)) is not None


def takes_fields_in_order(cls: type, parameters: list[str]) -> bool:
    """Tell whether the constructor can be called with the fields as its positional arguments."""
    try:
        given = list(inspect.signature(cls).parameters.values())
    except (ValueError, TypeError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in given[: len(parameters)] if p.kind in positional] == parameters
