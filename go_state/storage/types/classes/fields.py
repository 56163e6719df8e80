"""The fields of a class: a dataclass, NamedTuple, attrs class, msgspec Struct or pydantic model, generic or not, seen alike."""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import operator
import typing
from collections.abc import Callable

import msgspec

from go_state.core.fields import is_pydantic_model
from go_state.storage.types.annotations import Instance, TypeForm, class_of, resolved
from go_state.storage.types.classes.pydantic_models import (
    UNSET,
    beside_fields,
    fields_of_model,
    is_base_model,
    model_maker,
    model_reader,
    names_beside_fields,
)


class Field(typing.NamedTuple):
    """A field that the constructor takes: its name, its type, the constructor's word for it, and whether it has no default.

    `proved` are the types of what is stored under the name, if that is known to read back as it is without looking at the value.
    """

    name: str
    annotation: TypeForm
    parameter: str
    required: bool
    proved: frozenset[type] = frozenset()


def fields_of(kind: TypeForm) -> list[Field]:
    """Return the fields of a class that has them, generic or not; an empty list for others.

    Of a pydantic model that is also what is stored of it beside its fields.
    """
    cls = class_of(kind)
    if isinstance(cls, type) and is_pydantic_model(cls):
        proved = {UNSET: frozenset({tuple, msgspec.UnsetType})}
        beside = [Field(name, kind, name, False, proved.get(name, frozenset())) for name, kind in beside_fields(cls).items()]
        fields = fields_of_model(cls, is_class_with_fields)
        return [Field(each.name, each.annotation, each.name, each.required) for each in fields] + beside
    named = _named_fields(cls)
    if named is None:
        return []
    annotations = resolved(kind, {name: _owner(cls, name) for name, _, _ in named})
    return [Field(name, annotations[name], parameter, required) for name, parameter, required in named]


def _owner(cls: TypeForm, name: str) -> type:
    """Return the class that has annotated the field: this one, or the base that it has the field from."""
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


def _named_fields(cls: TypeForm) -> list[tuple[str, str, bool]] | None:
    """Return each field's name, the constructor's parameter, and whether it is required; None for a class without fields."""
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
    if is_pydantic_model(cls):
        return [(each.name, each.name, each.required) for each in fields_of_model(cls, is_class_with_fields)]
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        names, defaults = getattr(cls, "_fields"), getattr(cls, "_field_defaults", {})  # noqa: B009  - tuple has neither for a checker
        return [(name, name, name not in defaults) for name in names]
    return None


def constructor_names(cls: TypeForm) -> list[str] | None:
    """Return the names of the fields that the constructor takes, and so of what is stored; None for a class without fields."""
    named = _named_fields(cls)
    return None if named is None else [name for name, _, _ in named]


@functools.cache
def field_names(cls: TypeForm) -> list[str] | None:
    """Return the names of the fields that decide whether two values of the class are the same; None for a class without fields.

    Those are the stored fields and those that are compared: one that the constructor does not take has to be set by itself.
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
def names_beside(cls: TypeForm) -> tuple[str, ...]:
    """Return the names of attributes that an object of the class may have beside its fields, and that would be lost.

    Those are parameters of its own constructor that no field has, under that name or with an underscore in front, and annotations
    of a class that inherits its fields and was not decorated itself. Other attributes cannot be found from the class.
    """
    if isinstance(cls, type) and is_pydantic_model(cls):
        return names_beside_fields(cls)
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


def _parameters(cls: TypeForm) -> list[str]:
    """Return the names of the constructor's parameters, without `*args` and `**kwargs`."""
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    try:
        return [each.name for each in inspect.signature(cls).parameters.values() if each.kind not in several]
    except (ValueError, TypeError):
        return []


def _says_its_fields(cls: type) -> bool:
    """Return whether the fields are the class's own, and not just those of a base."""
    own = vars(cls)
    return issubclass(cls, msgspec.Struct) or any(
        word in own for word in ("__attrs_attrs__", "__dataclass_fields__", "_fields")
    )


def is_class_with_fields(kind: TypeForm) -> bool:
    """Return whether it is a dataclass, attrs class, msgspec Struct, NamedTuple or pydantic model."""
    cls = class_of(kind)
    if isinstance(cls, type) and is_pydantic_model(cls):
        return not is_base_model(cls)
    return _named_fields(class_of(kind)) is not None


def takes_fields_in_order(cls: type, parameters: list[str]) -> bool:
    """Return whether the constructor can be called with the fields as its positional arguments."""
    try:
        given = list(inspect.signature(cls).parameters.values())
    except (ValueError, TypeError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p.name for p in given[: len(parameters)] if p.kind in positional] == parameters


def reader_of(cls: type, names: list[str]) -> Callable[[Instance], tuple[Instance, ...]]:
    """Return a function that gives what is stored of an object under these names, as a tuple."""
    if is_pydantic_model(cls):
        return model_reader(cls, fields_of_model(cls, is_class_with_fields), names)
    return attributes(names)


def attributes(names: list[str]) -> Callable[[Instance], tuple[Instance, ...]]:
    """Return a function that gives an object's attributes as a tuple."""
    if not names:
        return lambda _: ()
    read = operator.attrgetter(*names)
    return read if len(names) > 1 else lambda value: (read(value),)


def maker_of(cls: type) -> Callable[..., Instance]:
    """Return the function that makes an object of what was stored of it, by the constructor's words."""
    return model_maker(cls) if is_pydantic_model(cls) else cls
