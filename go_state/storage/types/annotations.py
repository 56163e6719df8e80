"""Annotations of fields: what each says in the class that has written it, with type variables replaced by what they stand for.

A class may be generic, may fill the type variables of a generic base or pass its own on to it, and two classes may use one type
variable for different things. So every class of the inheritance has a table of its own.
"""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from go_state.core.errors import NotStorable

TypeForm: TypeAlias = Any
"""A type as a value: a class, `list[int]`, `int | None`, an alias. Checkers have no type for it before PEP 747's `TypeForm`."""

Instance: TypeAlias = Any
"""A value whose type is known only at run time, as a `TypeForm` or from the value itself: no checker can follow that."""

UNTYPED: TypeForm = Any
"""The annotation that says nothing of a value: it is read back as whatever JSON says that it is."""

Table = Mapping[TypeForm, TypeForm]
"""What type variables stand for."""


def resolved(kind: TypeForm, owners: Mapping[str, type]) -> dict[str, TypeForm]:
    """Return the annotation of each field; `owners` says which class has written it, `kind` is the class as it is used."""
    cls = class_of(kind)
    tables, hints = _tables(kind), {owner: _own_hints(owner) for owner in set(owners.values())}
    where = getattr(cls, "__qualname__", str(cls))
    return {
        name: _filled(hints[owner].get(name, UNTYPED), tables.get(owner, [{}]), f"{where}.{name}")
        for name, owner in owners.items()
    }


def is_untyped(kind: TypeForm) -> bool:
    """Return whether the annotation says nothing of a value: it is `UNTYPED`, or `object`."""
    return kind is UNTYPED or kind is object


def without_wrapping(kind: TypeForm) -> TypeForm:
    """Return the type inside Annotated, Final, NewType and type aliases."""
    seen: list[TypeForm] = []
    while True:
        if origin_of(kind) in (typing.Annotated, typing.Final, typing.Required, typing.NotRequired):
            kind = typing.get_args(kind)[0]
        elif isinstance(kind, typing.NewType):
            kind = kind.__supertype__
        elif (alias := alias_of(kind)) is not None:
            if kind in seen:
                raise endless(kind)
            seen.append(kind)
            parameters, value = alias.__type_params__, alias.__value__
            kind = substituted(value, dict(zip(parameters, typing.get_args(kind), strict=False)))
        else:
            return kind


def origin_of(kind: TypeForm) -> TypeForm:
    """Return what a type with arguments is made of, such as `list` of `list[int]`, or None for other types."""
    return typing.get_origin(kind)


def class_of(kind: TypeForm) -> TypeForm:
    """Return the class of a type with or without arguments: `list` of `list[int]`, and of `list`."""
    return typing.get_origin(kind) or kind


def generic(container: TypeForm, *args: TypeForm) -> TypeForm:
    """Return `container[args]`, of types that are known only at run time."""
    return container[args] if len(args) != 1 else container[args[0]]


def alias_of(kind: TypeForm) -> TypeForm:
    """Return the alias that the type is (`type X = ...` of Python 3.12, filled or not), or None."""
    alias = class_of(kind)
    return alias if hasattr(type(alias), "__value__") else None


def endless(alias: TypeForm) -> NotStorable:
    """Return the error for a type alias that refers to itself."""
    return NotStorable(
        str(alias), "the alias refers to itself, so its values have no end that is known: make it a class with fields"
    )


def members_of(kind: TypeForm) -> list[TypeForm]:
    """Return the members of a union, those of unions inside it (under a name of their own) included; of another type the type itself."""
    found: dict[TypeForm, None] = {}
    _add_members(kind, found, ())
    return list(found)


def _add_members(kind: TypeForm, found: dict[TypeForm, None], inside: tuple[TypeForm, ...]) -> None:
    if alias_of(kind) is not None:
        if kind in inside:
            raise endless(kind)
        inside = (*inside, kind)
    kind = without_wrapping(kind)
    if origin_of(kind) in (typing.Union, types.UnionType):
        for arg in typing.get_args(kind):
            _add_members(arg, found, inside)
    else:
        found[type(None) if kind is None else kind] = None


def _tables(kind: TypeForm) -> dict[TypeForm, list[Table]]:
    """Return what the type variables of each class that the type inherits from stand for, once for each way that leads to it."""
    found: dict[TypeForm, list[Table]] = {}
    waiting = [kind]
    while waiting:
        kind = waiting.pop()
        cls = class_of(kind)
        if not isinstance(cls, type):
            continue
        table = _table(cls, typing.get_args(kind))
        if table not in found.setdefault(cls, []):
            found[cls].append(table)
        bases = vars(cls).get("__orig_bases__", cls.__bases__)
        waiting += [substituted(base, table) for base in bases if typing.get_origin(base) not in (Generic, Protocol)]
    return found


def _table(cls: type, args: tuple[TypeForm, ...]) -> dict[TypeForm, TypeForm]:
    parameters = getattr(cls, "__parameters__", ())
    if not all(isinstance(parameter, TypeVar) for parameter in parameters):
        return {}  # a variable that stands for several types: which are whose cannot be found by counting
    given = dict(zip(parameters, args, strict=False))
    for parameter in parameters[len(args) :]:
        if getattr(parameter, "has_default", bool)():  # of Python 3.13
            given[parameter] = parameter.__default__
    return given


def substituted(annotation: TypeForm, given: Table) -> TypeForm:
    """Return the annotation with its type variables replaced by what is given for them; others stay."""
    if isinstance(annotation, TypeVar):
        return given.get(annotation, annotation)
    parameters = getattr(annotation, "__parameters__", ())
    if not given or not parameters or isinstance(annotation, type):
        return annotation
    return annotation[tuple(given.get(parameter, parameter) for parameter in parameters)]


def _filled(annotation: TypeForm, tables: list[Table], path: str) -> TypeForm:
    """Return the annotation without type variables; `NotStorable` if it is not known what one stands for."""
    found = [substituted(annotation, table) for table in tables]
    left = [each for each in found if isinstance(each, TypeVar) or _open_parameters(each)]
    filled = [each for each in found if each not in left]
    if not filled:
        open_parameters = _open_parameters(left[0]) or (left[0],)
        raise NotStorable(path, f"it has the type variable {open_parameters[0]!r}: write what it stands for, such as Box[int]")
    if any(each != filled[0] for each in filled):
        raise NotStorable(path, "its bases say different things of what it holds: annotate the field again in the class itself")
    return filled[0]


def _open_parameters(annotation: TypeForm) -> tuple[TypeForm, ...]:
    return () if isinstance(annotation, type) else getattr(annotation, "__parameters__", ())


def _own_hints(owner: type) -> dict[str, TypeForm]:
    """Return the annotations of the class itself, without those of its bases; text is evaluated in its module."""
    own = vars(owner).get("__annotations__", {})
    alone = type(owner.__name__, (), {"__annotations__": dict(own), "__module__": owner.__module__})
    module = vars(sys.modules.get(owner.__module__, types.ModuleType("")))
    parameters = {each.__name__: each for each in getattr(owner, "__type_params__", ())}  # of Python 3.12
    try:
        return typing.get_type_hints(alone, localns={**vars(owner), **module, **parameters})
    except NameError as error:
        why = f"its annotations name {error.name!r}, which its module does not: define it there, or give a codec="
        raise NotStorable(owner.__qualname__, why) from error
    except (TypeError, AttributeError, SyntaxError) as error:
        why = f"one of its annotations cannot be evaluated ({type(error).__name__}): mend it, or give a codec="
        raise NotStorable(owner.__qualname__, why) from error
