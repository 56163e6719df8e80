"""The mirror of one class: a msgspec Struct with the same fields, and the steps from a value to its mirror and back."""

from __future__ import annotations

import dataclasses
import operator
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

from go_state.storage.annotations import members_of
from go_state.storage.construction import holds_what_it_is_given
from go_state.storage.fields import Field, takes_fields_in_order
from go_state.storage.misfit import MisfitError

Convert: TypeAlias = Callable[[Any], Any]

_EXACT = {int, str, bool, type(None), bytes}  # JSON holds every value of these, and gives back the same


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """A type for msgspec, and how to get to one of its values and back; None where the value is itself."""

    mirror: Any
    to: Convert | None = None
    back: Convert | None = None
    exact: bool = False  # whether what `to` lets through is known to read back as it is
    natives: Mapping[str, type] | None = None  # of tagged classes that msgspec can read and write as they are: by stored name
    nests: bool = False  # whether its values may be nested to any depth


def same(value: Any) -> Any:
    """Return the value: the step of a type that needs none."""
    return value


class Part(typing.NamedTuple):
    """A field, its name in the mirror, and its shape."""

    field: Field
    at: str
    shape: Shape

    @property
    def exact_types(self) -> frozenset[type]:
        """The types whose values read back as they are, where the field can hold nothing else; empty when that is not known."""
        members = set(members_of(self.field.annotation))
        if members <= _EXACT or self.shape.exact:
            return frozenset(typing.get_origin(member) or member for member in members)
        return frozenset()

    def in_mirror(self) -> tuple[Any, ...]:
        if self.field.required:
            return self.at, self.shape.mirror
        return self.at, typing.Union[self.shape.mirror, msgspec.UnsetType], msgspec.UNSET  # stored before the field was there


def mirror_of(name: str, parts: list[Part]) -> type:
    """Return the Struct whose fields are the parts. They have names of their own: a Struct cannot have one that begins with two
    underscores.
    """
    return msgspec.defstruct(
        name,
        [part.in_mirror() for part in parts],
        rename={part.at: part.field.name for part in parts},
        forbid_unknown_fields=True,
        frozen=True,
    )


def to_mirror(cls: type, mirror: type, parts: list[Part]) -> tuple[Convert, bool]:
    """Return the step from a value to its mirror, and whether what it lets through reads back as it is.

    The latter holds for classes that only hold what they are given, in fields of exact types: the step looks at each field's
    type, and once the types of all fields were seen together, at their tuple, which costs a tenth of reading back.
    """
    exact = holds_what_it_is_given(cls) and all(part.exact_types for part in parts)
    read = _reader([part.field.name for part in parts])
    steps = [part.shape.to or same for part in parts] if any(part.shape.to for part in parts) else None
    seen: set[tuple[type, ...]] = set()

    def check_types(kinds: tuple[type, ...]) -> None:
        for part, found in zip(parts, kinds, strict=True):
            if getattr(found, "__stands_for__", found) not in part.exact_types:
                why = f"it holds a {found.__qualname__}: annotate it with what it holds, or store what it says"
                raise MisfitError(why, f".{part.field.name}")
        seen.add(kinds)

    def to(value: Any) -> Any:
        if type(value) is not cls:  # a subclass would be cut to its base, another class would be read back as this one
            raise MisfitError(f"a {type(value).__qualname__} stands where a {cls.__qualname__} is stored")
        fields = read(value)
        if exact and (kinds := tuple(map(type, fields))) not in seen:
            check_types(kinds)
        return mirror(*fields) if steps is None else mirror(*_taken(parts, steps, fields))

    def checked(value: Any) -> Any:
        """Return the value itself: msgspec writes a flat dataclass as it would the mirror, by its fields."""
        if type(value) is not cls or tuple(map(type, read(value))) not in seen:
            to(value)
        return value

    return checked if exact and is_native(cls, parts) else to, exact


def _taken(parts: list[Part], steps: list[Convert], fields: Iterable[Any]) -> list[Any]:
    """Return each field after its step; a `MisfitError` gets the field's name in its path."""
    made: list[Any] = []
    try:
        for step, field in zip(steps, fields, strict=True):
            made.append(step(field))
    except MisfitError as error:
        raise error.within(f".{parts[len(made)].field.name}") from None
    return made


def is_native(cls: type, parts: list[Part]) -> bool:
    """Tell whether msgspec writes and reads the class as its mirror: a dataclass of fields that are stored as they are, and whose
    annotations say to msgspec, which knows nothing of generic bases here, what they say to us.
    """
    if not dataclasses.is_dataclass(cls) or any(part.shape.to is not None for part in parts):
        return False
    if any(hasattr(base, "__orig_bases__") or hasattr(base, "__parameters__") for base in cls.__mro__):
        return False
    hints = typing.get_type_hints(cls)
    return all(hints.get(part.field.name) == part.field.annotation for part in parts)


def from_mirror(cls: type, parts: list[Part]) -> Convert:
    """Return the step from a mirror to a new object of the class."""
    read = _reader([part.at for part in parts])
    steps = [_unless_unset(part) for part in parts]
    parameters = [part.field.parameter for part in parts]
    unset = msgspec.UNSET

    def values_of(mirror: Any) -> list[Any]:
        return _taken(parts, steps, read(mirror))

    def back_by_name(mirror: Any) -> Any:
        given = zip(parameters, values_of(mirror), strict=True)
        return _made(cls, (), {name: value for name, value in given if value is not unset})

    in_order = all(part.field.required for part in parts) and takes_fields_in_order(cls, parameters)
    if not in_order:
        return back_by_name
    plain = all(part.shape.back is None for part in parts)
    return lambda mirror: _made(cls, read(mirror) if plain else values_of(mirror), {})


def _unless_unset(part: Part) -> Convert:
    """Return the step back of a field, which does nothing where the field was not stored."""
    back = part.shape.back
    if back is None or part.field.required:
        return back or same
    return lambda value: value if value is msgspec.UNSET else back(value)


def _made(cls: type, values: Iterable[Any], named: dict[str, Any]) -> Any:
    """Call the class; `MisfitError` whatever it raises, for its words may quote what it was given."""
    try:
        return cls(*values, **named)
    except (RecursionError, MemoryError):
        raise
    except Exception as error:
        raise _unmakeable(cls, error) from None


def _unmakeable(cls: type, error: Exception) -> MisfitError:
    return MisfitError(
        f"{cls.__qualname__} cannot be made of its stored fields: its class raised {type(error).__qualname__}; let the constructor "
        f"take the fields as they are, or give a codec= of your own"
    )


def _reader(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that gives an object's attributes as a tuple."""
    if not names:
        return lambda _: ()
    read = operator.attrgetter(*names)
    return read if len(names) > 1 else lambda value: (read(value),)
