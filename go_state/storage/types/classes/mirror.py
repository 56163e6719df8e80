"""The mirror of one class: a msgspec Struct with the same fields, and the steps from a value to its mirror and back."""

from __future__ import annotations

import dataclasses
import operator
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import msgspec

from go_state.storage.types.annotations import Instance, TypeForm, class_of, members_of
from go_state.storage.types.classes.construction import holds_what_it_is_given, names_in_order
from go_state.storage.types.classes.fields import Field, attributes, maker_of, reader_of, takes_fields_in_order
from go_state.storage.types.misfit import MisfitError

Convert: TypeAlias = Callable[[Instance], Instance]

_EXACT = {int, str, bool, type(None), bytes}  # JSON holds every value of these, and gives back the same


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """A type for msgspec, and how to get to one of its values and back; None if the value needs no step."""

    mirror: TypeForm
    to: Convert | None = None
    back: Convert | None = None
    exact: bool = False  # whether a value that `to` accepts is known to read back as it is
    natives: Mapping[str, type] | None = None  # tagged classes that msgspec can read and write as they are, by stored name
    nests: bool = False  # whether its values may be nested to any depth


def same(value: Instance) -> Instance:
    """Return the value: the step of a type that needs none."""
    return value


class Part(typing.NamedTuple):
    """A field, its name in the mirror, and its shape."""

    field: Field
    at: str
    shape: Shape

    @property
    def exact_types(self) -> frozenset[type]:
        """The types that the field can hold, if values of all of them read back as they are; empty if that is not known."""
        if self.field.proved:
            return self.field.proved
        members = set(members_of(self.field.annotation))
        if members <= _EXACT or self.shape.exact:
            return frozenset(class_of(member) for member in members)
        return frozenset()

    def in_mirror(self) -> tuple[TypeForm, ...]:
        """Return the field as `msgspec.defstruct` takes it: optional if it has a default, for values stored before the field existed."""
        if self.field.required:
            return self.at, self.shape.mirror
        return self.at, typing.Union[self.shape.mirror, msgspec.UnsetType], msgspec.UNSET


def mirror_of(name: str, parts: list[Part]) -> type:
    """Return the Struct whose fields are the parts.

    They have names of their own in it, because a field of a Struct cannot begin with two underscores.
    """
    return msgspec.defstruct(
        name,
        [part.in_mirror() for part in parts],
        rename={part.at: part.field.name for part in parts},
        forbid_unknown_fields=True,
        frozen=True,
    )


def to_mirror(cls: type, mirror: type, parts: list[Part]) -> tuple[Convert, bool]:
    """Return the step from a value to its mirror, and whether a value that it accepts is known to read back as it is.

    It is known for classes that only hold what they are given, in fields of exact types: the step looks at the type of each field,
    and once all the types were seen together, at their tuple, which costs a tenth of reading the value back.
    """
    holds = holds_what_it_is_given(cls)
    exact = holds and all(part.exact_types for part in parts)
    read = reader_of(cls, [part.field.name for part in parts])
    only = operator.attrgetter(parts[0].field.name if parts else "__class__")
    seen: set[tuple[type, ...]] = set()

    def check(value: Instance) -> None:
        if type(value) is not cls:  # a subclass would be cut to its base, another class would be read back as this one
            raise MisfitError(f"a {type(value).__qualname__} stands where a {cls.__qualname__} is stored")
        if exact and (kinds := tuple(map(type, read(value)))) not in seen:
            _check_types(parts, kinds)
            seen.add(kinds)

    def checked(value: Instance) -> Instance:
        """Return the value itself: msgspec writes a flat dataclass as it would the mirror, by its fields."""
        if type(value) is not cls or tuple(map(type, read(value))) not in seen:
            check(value)
        return value

    def checked_one(value: Instance) -> Instance:
        """Do the same for a class of one field, as many messages are, with a call less."""
        if type(value) is not cls or (type(only(value)),) not in seen:
            check(value)
        return value

    def of_class(value: Instance) -> Instance:
        if type(value) is not cls:
            check(value)
        return value

    if holds and is_native(cls, parts):
        if exact:
            return checked_one if len(parts) == 1 else checked, exact
        # Or it would be written in another order than the mirror, and than the pieces of a large one.
        if not dataclasses.is_dataclass(cls) or [part.field.name for part in parts] == names_in_order(cls):
            return of_class, exact
    return _filling(mirror, parts, read, check), exact


def _filling(mirror: type, parts: list[Part], read: Convert, check: Convert) -> Convert:
    """Return the step that fills the mirror.

    Its loop is inside it, and so are those below: a value may be nested as deep as the stack has room for, so each level is to take
    as few frames as possible.
    """
    steps = [part.shape.to or same for part in parts]

    def to(value: Instance) -> Instance:
        check(value)
        made: list[Instance] = []
        try:
            for step, field in zip(steps, read(value), strict=True):
                made.append(step(field))
        except MisfitError as error:
            raise error.within(f".{parts[len(made)].field.name}") from None
        return mirror(*made)

    def to_plain(value: Instance) -> Instance:
        check(value)
        return mirror(*read(value))

    return to if any(part.shape.to for part in parts) else to_plain


def _check_types(parts: list[Part], kinds: tuple[type, ...]) -> None:
    for part, found in zip(parts, kinds, strict=True):
        if getattr(found, "__stands_for__", found) not in part.exact_types:
            why = f"it holds a {found.__qualname__}: annotate it with what it holds, or store what it says"
            raise MisfitError(why, f".{part.field.name}")


def is_native(cls: TypeForm, parts: list[Part]) -> bool:
    """Return whether msgspec itself writes and reads the class as it would the mirror.

    That is so for a dataclass or Struct whose fields are stored as they are, by their names, without generic bases, which msgspec
    resolves in another way.
    """
    if any(part.shape.to is not None for part in parts):
        return False
    is_struct = issubclass(cls, msgspec.Struct)
    if not (_is_written_by_names(cls, parts) if is_struct else dataclasses.is_dataclass(cls)):
        return False
    if any(hasattr(base, "__orig_bases__") or hasattr(base, "__parameters__") for base in cls.__mro__):
        return False
    hints = typing.get_type_hints(cls)
    return all(hints.get(part.field.name) == part.field.annotation for part in parts)


def _is_written_by_names(cls: TypeForm, parts: list[Part]) -> bool:
    """Return whether a Struct is written as an object with all of its fields, under their names, in the mirror's order."""
    how, fields = cls.__struct_config__, cls.__struct_fields__
    as_they_are = fields == cls.__struct_encode_fields__ == tuple(part.field.name for part in parts)
    return as_they_are and how.tag is None and not (how.array_like or how.omit_defaults)


def from_mirror(cls: type, parts: list[Part]) -> Convert:
    """Return the step from a mirror to a new object of the class."""
    read = attributes([part.at for part in parts])
    parameters = [part.field.parameter for part in parts]
    if not all(part.field.required for part in parts) or not takes_fields_in_order(cls, parameters):
        return _made_by_name(cls, parts, read)
    if any(part.shape.back for part in parts):
        return _made_in_order(cls, parts, read)
    make = maker_of(cls)

    def back(mirror: Instance) -> Instance:  # the case of most messages: a call less for each
        try:
            return make(*read(mirror))
        except (RecursionError, MemoryError):
            raise
        except Exception as error:
            raise _unmakeable(cls, error) from None

    return back


def _made_by_name(cls: type, parts: list[Part], read: Convert) -> Convert:
    steps = [part.shape.back or same for part in parts]
    unset, make = msgspec.UNSET, maker_of(cls)

    def back(mirror: Instance) -> Instance:
        made: list[Instance] = []
        try:
            for step, value in zip(steps, read(mirror), strict=True):
                made.append(unset if value is unset else step(value))
        except MisfitError as error:
            raise error.within(f".{parts[len(made)].field.name}") from None
        given = zip(parts, made, strict=True)
        return _made(cls, make, (), {part.field.parameter: value for part, value in given if value is not unset})

    return back


def _made_in_order(cls: type, parts: list[Part], read: Convert) -> Convert:
    steps = [part.shape.back or same for part in parts]

    def back(mirror: Instance) -> Instance:
        made: list[Instance] = []
        try:
            for step, value in zip(steps, read(mirror), strict=True):
                made.append(step(value))
        except MisfitError as error:
            raise error.within(f".{parts[len(made)].field.name}") from None
        try:
            return cls(*made)
        except (RecursionError, MemoryError):
            raise
        except Exception as error:
            raise _unmakeable(cls, error) from None

    return back


def _made(cls: type, make: Callable[..., Instance], values: Iterable[Instance], named: dict[str, Instance]) -> Instance:
    """Make an object of the class; `MisfitError` for whatever it raises, because its words may quote what it was given."""
    try:
        return make(*values, **named)
    except (RecursionError, MemoryError):
        raise
    except Exception as error:
        raise _unmakeable(cls, error) from None


def _unmakeable(cls: type, error: Exception) -> MisfitError:
    return MisfitError(
        f"{cls.__qualname__} cannot be made of its stored fields: its class raised {type(error).__qualname__}; let the constructor "
        f"take the fields as they are, or give a codec= of your own"
    )
