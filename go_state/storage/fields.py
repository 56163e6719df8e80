"""The fields of a class: a dataclass, NamedTuple, attrs class or msgspec Struct, generic or not, seen alike."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing
from typing import Any, TypeVar

import msgspec

from go_state.core.errors import NotStorable


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
    where = getattr(cls, "__qualname__", str(cls))
    try:
        hints = typing.get_type_hints(cls)
    except NameError as error:
        why = f"its annotations name {error.name!r}, which its module does not: define it there, or give a codec="
        raise NotStorable(where, why) from error
    given = _arguments(cls, kind)
    return [
        Field(name, _given(hints.get(name, Any), given, f"{where}.{name}"), parameter, required)
        for name, parameter, required in named
    ]


def _named_fields(cls: Any) -> list[tuple[str, str, bool]] | None:
    """Return name, constructor's parameter and requiredness of each field; None when the class has no fields to speak of."""
    missing = dataclasses.MISSING
    if not isinstance(cls, type):
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


def holds_what_it_is_given(cls: type) -> bool:
    """Tell whether an object of the class has in its fields what its constructor was given, and is equal to another that has.

    False where that is not known, as of a class with a constructor of its own or a `__post_init__`.
    """
    own = vars(cls)
    if hasattr(cls, "__post_init__") or vars(object)["__eq__"] is cls.__eq__ or "__attrs_attrs__" in dir(cls):
        return False
    if "__dataclass_params__" in own:
        fields = dataclasses.fields(cls)
        plain = all(f.init and not _is_computed(own.get(f.name)) for f in fields)
        return bool(own["__dataclass_params__"].init) and plain
    if issubclass(cls, msgspec.Struct):
        return cls.__init__ is msgspec.Struct.__init__
    return issubclass(cls, tuple) and "_fields" in own


def _is_computed(attribute: object) -> bool:
    """Tell whether a class attribute is a property or another descriptor, the place of a slot aside."""
    return hasattr(type(attribute), "__set__") and not isinstance(attribute, types.MemberDescriptorType)


def takes_fields_in_order(cls: type, parameters: list[str]) -> bool:
    """Tell whether the constructor can be called with the fields as its positional arguments."""
    try:
        given = list(inspect.signature(cls).parameters.values())
    except (ValueError, TypeError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in given[: len(parameters)] if p.kind in positional] == parameters


def _arguments(cls: type, kind: Any) -> dict[Any, Any]:
    """Return what the type variables of the class and of its generic bases stand for."""
    given = dict(zip(getattr(cls, "__parameters__", ()), typing.get_args(kind), strict=False))
    for base in getattr(cls, "__orig_bases__", ()):
        origin = typing.get_origin(base)
        for variable, argument in zip(getattr(origin, "__parameters__", ()), typing.get_args(base), strict=False):
            given.setdefault(variable, given.get(argument, argument))
    return given


def _given(annotation: Any, given: dict[Any, Any], path: str) -> Any:
    """Put what a generic class was given in the place of its type variables."""
    if isinstance(annotation, TypeVar):
        if annotation not in given:
            raise NotStorable(path, f"it has the type variable {annotation!r}: write what it stands for, such as Box[int]")
        return given[annotation]
    parameters = getattr(annotation, "__parameters__", ())
    if parameters and not isinstance(annotation, type):
        return annotation[tuple(_given(p, given, path) for p in parameters)]
    return annotation


def without_wrapping(kind: Any) -> Any:
    """Return the type inside Annotated, Final, ClassVar, NewType and type aliases."""
    while True:
        if typing.get_origin(kind) in (typing.Annotated, typing.Final, typing.Required, typing.NotRequired):
            kind = typing.get_args(kind)[0]
        elif isinstance(kind, typing.NewType):
            kind = kind.__supertype__
        elif hasattr(kind, "__value__"):  # a `type X = ...` of Python 3.12
            kind = kind.__value__
        else:
            return kind
