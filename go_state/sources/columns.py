"""Text as the value of a field: what Python's own `int`, `float`, `date.fromisoformat` … take is taken, and nothing else."""

from __future__ import annotations

import datetime
import decimal
import enum
import types
import typing
import uuid
from collections.abc import Callable, Collection, Iterable
from typing import TypeAlias

from go_state.storage.types.annotations import UNTYPED, Instance, TypeForm, origin_of, without_wrapping
from go_state.storage.types.classes.fields import Field

Parse: TypeAlias = Callable[[str], Instance]
"""Returns the value of a text, or raises any exception for a text that has none."""

_TRUTH = {"true": True, "1": True, "false": False, "0": False}


def _bool(text: str) -> bool:
    # Python's own bool is true for every text but the empty one.
    return _TRUTH[text.strip().lower()]


_PARSERS: dict[TypeForm, Parse] = {
    int: int,
    float: float,
    bool: _bool,
    decimal.Decimal: decimal.Decimal,
    datetime.datetime: datetime.datetime.fromisoformat,
    datetime.date: datetime.date.fromisoformat,
    datetime.time: datetime.time.fromisoformat,
    uuid.UUID: uuid.UUID,
}
_UNIONS = (typing.Union, types.UnionType)
_TURN = {int: 0, bool: 2, datetime.datetime: 2}  # when a member of a union is tried; 1 is that of all others
_TEXT = (str, UNTYPED, object)  # types whose value is the text itself


def parser_of(field: Field, missing: Collection[str]) -> Parse | None:
    """Return the function that makes the field's value of a text; None if the text itself is the value.

    A field that may be None is None if the text is one of `missing`, and only then.
    """
    parse = _parser(field.annotation)
    if not may_be_none(field.annotation):
        return parse
    if parse is None:
        return lambda text: None if text in missing else text
    return lambda text: None if text in missing else parse(text)


def may_be_none(annotation: TypeForm) -> bool:
    """Return whether None is a value of the type, also inside unions that have a name of their own, and literals."""
    kind = without_wrapping(annotation)
    if origin_of(kind) in _UNIONS:
        return any(map(may_be_none, typing.get_args(kind)))
    return kind in (None, type(None)) or (origin_of(kind) is typing.Literal and None in typing.get_args(kind))


def _parser(annotation: TypeForm) -> Parse | None:
    kind = without_wrapping(annotation)
    if kind in _TEXT:
        return None
    if kind in _PARSERS:
        return _PARSERS[kind]
    if origin_of(kind) in _UNIONS:
        return _union(typing.get_args(kind))
    if origin_of(kind) is typing.Literal:
        return _literal(typing.get_args(kind))
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _enum(kind)
    return _other(kind)


def _union(members: Iterable[TypeForm]) -> Parse | None:
    """Return the parser of a union: that of the first member that takes the text, or the text itself if str is a member.

    Whole numbers are tried first, and last the members that would take the text of another: 1 as True, a date as a midnight.
    """
    kinds = [without_wrapping(member) for member in members if member is not type(None)]
    parsers = [_parser(kind) for kind in sorted(kinds, key=lambda kind: _TURN.get(kind, 1))]
    return None if None in parsers else _first_of([parse for parse in parsers if parse is not None])


def _literal(values: tuple[object, ...]) -> Parse:
    options = {(type(value), value): value for value in values if value is not None}

    def among(parse: Parse) -> Parse:
        def option(text: str) -> object:
            value = parse(text)
            return options[type(value), value]

        return option

    return _first_of([among(parse) for parse in _parsers_of(value for _, value in options)])


def _enum(kind: type[enum.Enum]) -> Parse:
    def member(parse: Parse) -> Parse:
        return lambda text: kind(parse(text))

    return _first_of([member(parse) for parse in _parsers_of(each.value for each in kind)])


def _parsers_of(values: Iterable[object]) -> list[Parse]:
    """Return the parsers of the values' types, of each one once."""
    return [_parser(kind) or str for kind in dict.fromkeys(type(value) for value in values)]


def _first_of(parsers: list[Parse]) -> Parse:
    if len(parsers) == 1:
        return parsers[0]

    def parse_any(text: str) -> object:
        for parse in parsers:
            try:
                return parse(text)
            except Exception:
                continue
        raise ValueError("no type of the field takes it")

    return parse_any


def _other(kind: TypeForm) -> Parse:
    """Return the parser of a type that has a text in JSON, such as bytes in base64 or a duration; `NotStorable` for others."""
    from msgspec import convert

    from go_state.storage.types.shape import shape_of

    shape = shape_of(kind)
    mirror, back = shape.mirror, shape.back
    if back is None:
        return lambda text: convert(text, mirror)
    return lambda text: back(convert(text, mirror))
