"""The shape of a type: how its values become JSON and come back equal, worked out once from the annotations.

For every class with fields (dataclass, NamedTuple, attrs, msgspec Struct) a *mirror* is built, a msgspec Struct with the same
fields that refuses unknown ones. msgspec reads and writes mirrors in C, checks every type and names the path of what does not
fit; a shape adds the step between a value and its mirror, and nothing for types that msgspec knows already. A union of classes is
stored as `["Name", {...}]`, a mapping whose keys are not strings or numbers as a list of pairs.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import operator
import types
import typing
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from go_state.core.errors import NotStorable
from go_state.core.naming import names_of
from go_state.storage.fields import (
    Field,
    fields_of,
    holds_what_it_is_given,
    is_class_with_fields,
    takes_fields_in_order,
    without_wrapping,
)

Convert: TypeAlias = Callable[[Any], Any]

_PLAIN = (
    int, float, str, bool, type(None), bytes, uuid.UUID, decimal.Decimal,
    datetime.datetime, datetime.date, datetime.time, datetime.timedelta,
)  # fmt: skip
_KEYS = (int, str)  # types that msgspec writes as the key of an object and reads back
_SEQUENCES: dict[Any, Callable[..., Any]] = {
    list: list, tuple: tuple, set: set, frozenset: frozenset, Sequence: tuple, typing.Sequence: tuple,
}  # fmt: skip
_UNORDERED = (set, frozenset)
_EXACT = {int, str, bool, type(None), bytes}  # JSON holds every value of these, and gives back the same


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """A type for msgspec, and how to get to one of its values and back; None where the value is itself."""

    mirror: Any
    to: Convert | None = None
    back: Convert | None = None
    exact: bool = False  # whether what `to` lets through is known to read back as it is
    natives: Mapping[str, type] | None = None  # of tagged classes that msgspec can read and write as they are: by stored name


def shape_of(kind: Any) -> Shape:
    """Return the shape of a type, or raise `NotStorable` that names the field which JSON cannot hold."""
    return _Builder().shape(kind, getattr(kind, "__name__", str(kind)))


def message_shape_of(kind: Any) -> Shape:
    """Return the shape of a journal's messages: a class is tagged with its name, as if it were a union of one."""
    kind = without_wrapping(kind)
    builder = _Builder()
    name = getattr(kind, "__name__", str(kind))
    return builder.tagged([kind], [], name) if is_class_with_fields(kind) else builder.shape(kind, name)


class _Builder:
    def __init__(self) -> None:
        self._building: dict[Any, list[Shape]] = {}  # classes whose shape is under way: a field may refer back to one
        self._done: dict[Any, Shape] = {}

    def shape(self, kind: Any, path: str) -> Shape:
        kind = without_wrapping(kind)
        origin, args = typing.get_origin(kind), typing.get_args(kind)
        if kind is Any or kind is object:
            return Shape(Any)  # whatever JSON holds; the codec compares what it reads back
        if kind in _PLAIN or kind is None or origin is typing.Literal:
            return Shape(kind)
        if origin in (typing.Union, types.UnionType):
            return self._union(args, path)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return Shape(kind)
        if (origin or kind) in _SEQUENCES:
            return self._sequence(origin or kind, args, path)
        if (origin or kind) in (dict, Mapping, typing.Mapping) or is_persistent_map(origin or kind):
            return self._mapping(origin or kind, args, path)
        if is_class_with_fields(kind):
            return self._class(kind, path)
        raise NotStorable(
            path,
            f"{kind!r} is no type that JSON can hold and give back: use dataclasses and plain types, or give a codec= of your own",
        )

    # ------------------------------------------------------------------ containers

    def _sequence(self, container: Any, args: tuple[Any, ...], path: str) -> Shape:
        make = _SEQUENCES[container]
        if make is tuple and container is tuple and not (len(args) == 2 and args[1] is ...):
            if not args:
                return Shape(tuple)
            return self._fixed_tuple([self.shape(arg, f"{path}[{i}]") for i, arg in enumerate(args if args != ((),) else ())])
        item = self.shape(args[0], f"{path}[]") if args else Shape(Any)
        to, back = item.to, item.back
        if to is None or back is None:
            mirror = _generic(make, item.mirror, ...) if make is tuple else _generic(make, item.mirror)
            return Shape(mirror, _in_order_of(item.mirror), _same) if make in _UNORDERED else Shape(mirror)
        in_order = _in_order_of(item.mirror) if make in _UNORDERED else _same
        # A set of mirrors would need mirrors that hash: what has a mirror of its own travels as a list.
        return Shape(
            _generic(list, item.mirror),
            lambda value: in_order([to(each) for each in value]),
            lambda value: make([back(each) for each in value]),
        )

    def _fixed_tuple(self, items: list[Shape]) -> Shape:
        mirror = _generic(tuple, *[item.mirror for item in items])
        if all(item.to is None for item in items):
            return Shape(mirror)
        to = [item.to or _same for item in items]
        back = [item.back or _same for item in items]
        return Shape(
            mirror,
            lambda value: tuple([f(each) for f, each in zip(to, value, strict=True)]),
            lambda value: tuple([f(each) for f, each in zip(back, value, strict=True)]),
        )

    def _mapping(self, container: Any, args: tuple[Any, ...], path: str) -> Shape:
        key = self.shape(args[0], f"{path} keys") if args else Shape(str)
        value = self.shape(args[1], f"{path}[...]") if args else Shape(Any)
        persistent = is_persistent_map(container)
        make = container if persistent else dict
        # A dict has an order, which is kept; a persistent map has that of its keys' hashes.
        in_order: Convert = _in_order_of(key.mirror, operator.itemgetter(0)) if persistent else _same
        k_to, k_back, v_to, v_back = key.to or _same, key.back or _same, value.to or _same, value.back or _same
        if without_wrapping(key.mirror) in _KEYS:
            mirror = _generic(dict, key.mirror, value.mirror)
            if value.to is None and not persistent:
                return Shape(mirror)
            return Shape(
                mirror,
                lambda m: {k: v_to(v) for k, v in in_order(m.items())},
                lambda m: make({k: v_back(v) for k, v in m.items()}),
            )
        # Object keys in JSON are strings: others are kept as pairs.
        return Shape(
            _generic(list, _generic(tuple, key.mirror, value.mirror)),
            lambda m: in_order([(k_to(k), v_to(v)) for k, v in m.items()]),
            lambda pairs: make({k_back(k): v_back(v) for k, v in pairs}),
        )

    # ------------------------------------------------------------------ classes

    def _class(self, kind: Any, path: str) -> Shape:
        if kind in self._done:
            return self._done[kind]
        if kind in self._building:
            return self._reference(self._building[kind])
        later = self._building[kind] = []
        cls: Any = typing.get_origin(kind) or kind
        parts = [
            _Part(field, f"f{i}", self.shape(field.annotation, f"{path}.{field.name}"))
            for i, field in enumerate(sorted(fields_of(kind), key=lambda field: not field.required))
        ]
        mirror = msgspec.defstruct(
            names_of(cls)[0],
            # Mirrors have names of their own for the fields: a Struct cannot have one that begins with two underscores.
            [part.in_mirror() for part in parts],
            rename={part.at: part.field.name for part in parts},
            forbid_unknown_fields=True,
            frozen=True,
        )
        to, exact = _to_mirror(cls, mirror, parts)
        natives: Any = dict.fromkeys(names_of(cls), cls) if exact and _is_native(cls, parts) else None
        shape = Shape(mirror, to, _from_mirror(cls, parts), exact, natives)
        later.append(shape)
        del self._building[kind]
        self._done[kind] = shape
        return shape

    @staticmethod
    def _reference(later: list[Shape]) -> Shape:
        """Return the shape of a class inside itself: it travels as plain JSON, checked against its mirror on the way back."""

        def to(value: Any) -> Any:
            return msgspec.to_builtins((later[0].to or _same)(value), str_keys=True)

        def back(value: Any) -> Any:
            return (later[0].back or _same)(msgspec.convert(value, later[0].mirror, str_keys=True))

        return Shape(Any, to, back)

    def _union(self, args: tuple[Any, ...], path: str) -> Shape:
        members = [without_wrapping(arg) for arg in args]
        others = [member for member in members if member is not type(None)]
        if len(others) == 1:
            return self._optional(self.shape(others[0], path))
        classes = [member for member in others if is_class_with_fields(member)]
        plain = [self.shape(member, path) for member in members if member not in classes]
        if any(shape.to is not None for shape in plain):
            why = "in a union only classes with fields and plain types can be told apart in JSON: give the others a class of their own"
            raise NotStorable(path, why)
        shape = self.tagged(classes, plain, path) if classes else Shape(typing.Union[tuple(members)])
        try:
            msgspec.json.Decoder(shape.mirror)
        except TypeError as error:
            why = "the parts of its union cannot be told apart in JSON: give them classes of their own"
            raise NotStorable(path, why) from error
        return shape

    @staticmethod
    def _optional(shape: Shape) -> Shape:
        to, back = shape.to, shape.back
        if to is None or back is None:
            return Shape(typing.Optional[shape.mirror])
        return Shape(
            typing.Optional[shape.mirror],
            lambda value: None if value is None else to(value),
            lambda value: None if value is None else back(value),
            shape.exact,
        )

    def tagged(self, classes: list[Any], others: list[Shape], path: str) -> Shape:
        """Return the shape of a union whose classes are told apart by name: `["Name", {...}]`."""
        by_class: dict[type, tuple[str, Convert]] = {}
        back_of: dict[Any, Convert] = {}
        taken: set[str] = set()
        mirrors: list[Any] = [other.mirror for other in others]
        exact = not others
        natives: dict[str, type] | None = {} if exact else None
        for kind in classes:
            cls: Any = typing.get_origin(kind) or kind
            shape = self._class(kind, path)
            exact = exact and shape.exact
            natives = None if natives is None or shape.natives is None else {**natives, **shape.natives}
            for name in names_of(cls):
                if name in taken:
                    why = f'two classes of its union are stored as "{name}": give one of them another name with @gs.name("...")'
                    raise NotStorable(path, why)
                taken.add(name)
                envelope = msgspec.defstruct(
                    name, [("value", shape.mirror)], tag=name, array_like=True, forbid_unknown_fields=True, frozen=True
                )
                mirrors.append(envelope)
                back_of[envelope] = shape.back or _same
                by_class.setdefault(cls, (name, shape.to or _same))

        by_type = by_class.get

        def to(value: Any) -> Any:
            found = by_type(type(value))
            if found is not None:
                name, inner = found
                return name, inner(value)
            if exact:
                raise _MisplacedError(f"a {type(value).__qualname__} stands where one of {', '.join(taken)} is stored")
            return value

        def back(value: Any) -> Any:
            found = back_of.get(type(value))
            return value if found is None else found(value.value)

        return Shape(typing.Union[tuple(mirrors)], to, back, exact, natives)


class _Part(typing.NamedTuple):
    """A field, its name in the mirror, and its shape."""

    field: Field
    at: str
    shape: Shape

    @property
    def exact_types(self) -> frozenset[type]:
        """The types whose values read back as they are, where the field can hold nothing else; empty when that is not known."""
        kind = without_wrapping(self.field.annotation)
        is_union = typing.get_origin(kind) in (typing.Union, types.UnionType)
        members = set(members_of(kind) if is_union else (kind,))
        if members <= _EXACT or self.shape.exact:
            return frozenset(typing.get_origin(member) or member for member in members)
        return frozenset()

    def in_mirror(self) -> tuple[Any, ...]:
        if self.field.required:
            return self.at, self.shape.mirror
        return self.at, typing.Union[self.shape.mirror, msgspec.UnsetType], msgspec.UNSET  # stored before the field was there


def members_of(kind: Any) -> list[Any]:
    """Return the members of a union, those of unions inside it (under a name of their own) included."""
    kind = without_wrapping(kind)
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return [kind]
    return [member for arg in typing.get_args(kind) for member in members_of(arg)]


def _to_mirror(cls: type, mirror: type, parts: list[_Part]) -> tuple[Convert, bool]:
    """Return the step from a value to its mirror, and whether what it lets through reads back as it is.

    The latter holds for classes that only hold what they are given, in fields of exact types: the step looks at each field's
    type, and once the types of all fields were seen together, at their tuple, which costs a tenth of reading back.
    """
    exact = holds_what_it_is_given(cls) and all(part.exact_types for part in parts)
    read = _reader([part.field.name for part in parts])
    steps = [part.shape.to or _same for part in parts] if any(part.shape.to for part in parts) else None
    seen: set[tuple[type, ...]] = set()

    def check_types(kinds: tuple[type, ...]) -> None:
        for part, found in zip(parts, kinds, strict=True):
            if getattr(found, "__stands_for__", found) not in part.exact_types:
                raise _MisplacedError(
                    f"field {part.field.name} holds a {found.__qualname__}: annotate it with what it holds, or store what it says"
                )
        seen.add(kinds)

    def to(value: Any) -> Any:
        if type(value) is not cls:  # a subclass would be cut to its base, another class would be read back as this one
            raise _MisplacedError(f"a {type(value).__qualname__} stands where a {cls.__qualname__} is stored")
        fields = read(value)
        if exact and (kinds := tuple(map(type, fields))) not in seen:
            check_types(kinds)
        return mirror(*fields) if steps is None else mirror(*[step(field) for step, field in zip(steps, fields, strict=True)])

    def checked(value: Any) -> Any:
        """Return the value itself: msgspec writes a flat dataclass as it would the mirror, by its fields."""
        if type(value) is not cls or tuple(map(type, read(value))) not in seen:
            to(value)
        return value

    return checked if exact and _is_native(cls, parts) else to, exact


def _is_native(cls: type, parts: list[_Part]) -> bool:
    """Tell whether msgspec writes the class as its mirror: a dataclass of fields that are stored as they are."""
    return dataclasses.is_dataclass(cls) and all(part.shape.to is None for part in parts)


def _from_mirror(cls: type, parts: list[_Part]) -> Convert:
    read = _reader([part.at for part in parts])
    steps = [part.shape.back for part in parts]
    parameters = [part.field.parameter for part in parts]
    unset = msgspec.UNSET

    def back_by_name(value: Any) -> Any:
        given = zip(parameters, steps, read(value), strict=True)
        return cls(**{name: f if step is None else step(f) for name, step, f in given if f is not unset})

    def back_in_order(value: Any) -> Any:
        return cls(*read(value))

    simple = all(part.field.required and part.shape.back is None for part in parts)
    return back_in_order if simple and takes_fields_in_order(cls, parameters) else back_by_name


def _reader(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that gives an object's attributes as a tuple."""
    if not names:
        return lambda _: ()
    read = operator.attrgetter(*names)
    return read if len(names) > 1 else lambda value: (read(value),)


def _in_order_of(mirror: Any, part: Convert | None = None) -> Convert:
    """Return a function that puts what has no order of its own into one that is the same in every process.

    Numbers and text are sorted as such, all else by its JSON; `part` gives the part of a value that decides.
    """
    if without_wrapping(mirror) in _KEYS:
        return lambda values: sorted(values, key=part)
    encode = msgspec.json.encode
    if part is None:
        return lambda values: sorted(values, key=encode)
    return lambda values: sorted(values, key=lambda value: encode(part(value)))


class _MisplacedError(TypeError):
    """A value of another class than the annotation says."""


def _generic(container: Any, *args: Any) -> Any:
    """Return `container[args]`, of types that are known only now."""
    return container[args] if len(args) != 1 else container[args[0]]


def _same(value: Any) -> Any:
    return value


def is_persistent_map(kind: Any) -> bool:
    """Tell whether it is `immutables.Map`."""
    # By name, so that the optional package is not imported for those who do not use it; it lives in a C and a pure module.
    return getattr(kind, "__module__", "").split(".")[0] == "immutables" and getattr(kind, "__name__", "") == "Map"
