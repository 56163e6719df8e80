"""The shape of a type: how its values become JSON and come back equal, worked out once from the annotations.

For every class with fields (dataclass, NamedTuple, attrs, msgspec Struct, pydantic model) a *mirror* is built, a msgspec Struct with the same
fields that refuses unknown ones. msgspec reads and writes mirrors in C, checks every type and names the path of what does not
fit; a shape adds the step between a value and its mirror, and nothing for types that msgspec knows already. A union of classes is
stored as `["Name", {...}]`, a mapping whose keys are not strings or numbers as a list of pairs.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import operator
import types
import typing

import msgspec

from go_state.core.errors import NotStorable
from go_state.core.fields import is_frozen, is_pydantic_model
from go_state.core.naming import names_of
from go_state.storage.types.annotations import (
    UNTYPED,
    Instance,
    TypeForm,
    alias_of,
    class_of,
    endless,
    generic,
    is_untyped,
    members_of,
    origin_of,
    without_wrapping,
)
from go_state.storage.types.classes.construction import holds_contents
from go_state.storage.types.classes.fields import fields_of, is_class_with_fields
from go_state.storage.types.classes.mirror import Convert, Part, Shape, from_mirror, is_native, mirror_of, same, to_mirror
from go_state.storage.types.misfit import MisfitError
from go_state.storage.types.moments import reader, writer
from go_state.storage.types.plain import MAPPINGS, PLAIN, SEQUENCES, check_enum, is_persistent_map

_KEYS = (int, str)  # types that msgspec writes as the key of an object and reads back
_UNORDERED = (set, frozenset)


def shape_of(kind: TypeForm, *, ints_in_floats: bool = False) -> Shape:
    """Return the shape of a type, or raise `NotStorable` that names the field which JSON cannot hold.

    In a float's place 5 is read as 5.0, because other programs write whole floats so; with `ints_in_floats` as the int that we wrote.
    """
    builder = _Builder(ints_in_floats=ints_in_floats)
    shape = builder.shape(kind, getattr(kind, "__name__", str(kind)))
    return dataclasses.replace(shape, nests=builder.nests)


def message_shape_of(kind: TypeForm) -> Shape:
    """Return the shape of a journal's messages: a class is tagged with its name, as if it were a union of one."""
    kind = without_wrapping(kind)
    builder = _Builder(ints_in_floats=True)
    name = getattr(kind, "__name__", str(kind))
    shape = builder.tagged([kind], None, name) if is_class_with_fields(kind) else builder.shape(kind, name)
    return dataclasses.replace(shape, nests=builder.nests)


class _Builder:
    def __init__(self, *, ints_in_floats: bool) -> None:
        self._float: TypeForm = typing.Union[int, float] if ints_in_floats else float
        self._building: dict[TypeForm, list[Shape]] = {}  # classes whose shape is being made: a field may refer back to one
        self._done: dict[TypeForm, Shape] = {}
        self._inside: list[TypeForm] = []  # type aliases that are being resolved, since the last class
        self.nests = False

    def shape(self, kind: TypeForm, path: str) -> Shape:
        if alias_of(kind) is None:
            return self._shape(kind, path)
        if kind in self._inside:
            raise endless(kind)
        self._inside.append(kind)
        shape = self._shape(kind, path)
        self._inside.pop()
        return shape

    def _shape(self, kind: TypeForm, path: str) -> Shape:
        kind = without_wrapping(kind)
        if not _has_hash(kind):  # as `[int]`, where `list[int]` is meant
            raise NotStorable(
                path, f"{kind!r} has no hash: write a type, such as list[int], without anything in it that can be changed"
            )
        origin, args = origin_of(kind), typing.get_args(kind)
        if is_untyped(kind):
            return self._any()  # whatever JSON holds; the codec compares what it reads back
        if kind is float:
            return Shape(self._float)
        if kind in _MOMENTS:
            return _MOMENTS[kind]
        if kind in PLAIN or kind is None or origin is typing.Literal:
            return Shape(kind)
        if origin in (typing.Union, types.UnionType):
            return self._union(kind, path)
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            check_enum(kind, path)
            return Shape(kind)
        if (origin or kind) in SEQUENCES:
            return self._sequence(origin or kind, args, path)
        if (origin or kind) in MAPPINGS or is_persistent_map(origin or kind):
            return self._mapping(origin or kind, args, path)
        if is_class_with_fields(kind):
            return self._class(kind, path)
        raise NotStorable(
            path,
            f"{kind!r} is not a type that JSON can hold and give back: use dataclasses and plain types, or give a codec= of your own",
        )

    def _with_bare_floats(self) -> _Builder:
        """Return a builder for a place in which an int could not be told from something else."""
        return _Builder(ints_in_floats=False)

    def _any(self) -> Shape:
        self.nests = True
        return Shape(UNTYPED)

    # ------------------------------------------------------------------ containers

    def _sequence(self, container: TypeForm, args: tuple[TypeForm, ...], path: str) -> Shape:
        make = SEQUENCES[container]
        if make is tuple and container is tuple and not (len(args) == 2 and args[1] is ...):
            if not args:
                self.nests = True
                return Shape(tuple)
            return self._fixed_tuple([self.shape(arg, f"{path}[{i}]") for i, arg in enumerate(args if args != ((),) else ())])
        item = self.shape(args[0], f"{path}[]") if args else self._any()
        to, back = item.to, item.back
        if to is None or back is None:
            mirror = generic(make, item.mirror, ...) if make is tuple else generic(make, item.mirror)
            return Shape(mirror, _in_order_of(item.mirror), same) if make in _UNORDERED else Shape(mirror)
        in_order = _in_order_of(item.mirror) if make in _UNORDERED else same
        # A set of mirrors would need mirrors that hash: what has a mirror of its own travels as a list.
        return Shape(
            generic(list, item.mirror),
            lambda value: in_order([to(each) for each in value]),
            lambda value: make([back(each) for each in value]),
        )

    def _fixed_tuple(self, items: list[Shape]) -> Shape:
        mirror = generic(tuple, *[item.mirror for item in items])
        if all(item.to is None for item in items):
            return Shape(mirror)
        to = [item.to or same for item in items]
        back = [item.back or same for item in items]
        return Shape(
            mirror,
            lambda value: tuple([f(each) for f, each in zip(to, value, strict=True)]),
            lambda value: tuple([f(each) for f, each in zip(back, value, strict=True)]),
        )

    def _mapping(self, container: TypeForm, args: tuple[TypeForm, ...], path: str) -> Shape:
        key = self.shape(args[0], f"{path} keys") if args else Shape(str)
        value = self.shape(args[1], f"{path}[...]") if args else self._any()
        persistent = is_persistent_map(container)
        make = container if persistent else dict
        # A dict has an order, which is kept; a persistent map has that of its keys' hashes.
        in_order: Convert = _in_order_of(key.mirror, operator.itemgetter(0)) if persistent else same
        k_to, k_back, v_to, v_back = key.to or same, key.back or same, value.to or same, value.back or same
        if key.to is None and without_wrapping(key.mirror) in _KEYS:
            mirror = generic(dict, key.mirror, value.mirror)
            if value.to is None and not persistent:
                return Shape(mirror)
            return Shape(
                mirror,
                lambda m: {k: v_to(v) for k, v in in_order(m.items())},
                lambda m: make({k: v_back(v) for k, v in m.items()}),
            )
        # Object keys in JSON are strings: others are kept as pairs.
        return Shape(
            generic(list, generic(tuple, key.mirror, value.mirror)),
            lambda m: in_order([(k_to(k), v_to(v)) for k, v in m.items()]),
            lambda pairs: make({k_back(k): v_back(v) for k, v in pairs}),
        )

    # ------------------------------------------------------------------ classes

    def _class(self, kind: TypeForm, path: str) -> Shape:
        if kind in self._done:
            return self._done[kind]
        if kind in self._building:
            self.nests = True
            return self._reference(self._building[kind])
        cls: TypeForm = class_of(kind)
        if is_pydantic_model(cls) and not is_frozen(cls):
            why = f"objects of {cls.__qualname__} can be changed: make it frozen, class {cls.__name__}(BaseModel, frozen=True)"
            raise NotStorable(path, why)
        later = self._building[kind] = []
        if holds_contents(cls):
            why = f"{cls.__qualname__} holds more than its fields, which would be lost: make what it inherits from a field"
            raise NotStorable(path, why)
        above, self._inside = self._inside, []
        parts = [
            Part(field, f"f{i}", self.shape(field.annotation, f"{path}.{field.name}"))
            for i, field in enumerate(sorted(fields_of(kind), key=lambda field: not field.required))
        ]
        self._inside = above
        mirror = mirror_of(names_of(cls)[0], parts)
        to, exact = to_mirror(cls, mirror, parts)
        made: type = cls
        natives = dict.fromkeys(names_of(cls), made) if exact and is_native(cls, parts) else None
        shape = Shape(mirror, to, from_mirror(cls, parts), exact, natives)
        later.append(shape)
        del self._building[kind]
        self._done[kind] = shape
        return shape

    @staticmethod
    def _reference(later: list[Shape]) -> Shape:
        """Return the shape of a class inside itself: it travels as plain JSON, checked against its mirror on the way back."""

        def to(value: Instance) -> Instance:
            return msgspec.to_builtins((later[0].to or same)(value), str_keys=True)

        def back(value: Instance) -> Instance:
            return (later[0].back or same)(msgspec.convert(value, later[0].mirror, str_keys=True))

        return Shape(UNTYPED, to, back)

    def _union(self, kind: TypeForm, path: str) -> Shape:
        members = members_of(kind)
        others = [member for member in members if member is not type(None)]
        if len(others) == 1:
            return self._optional(self.shape(others[0], path))
        classes = [member for member in others if is_class_with_fields(member)]
        plain = [member for member in members if member not in classes]
        together = self._plain_union(plain, path) if plain else None
        shape = self.tagged(classes, together, path) if classes else together
        assert shape is not None
        if not _can_be_told_apart(shape.mirror):
            raise NotStorable(path, _ALIKE)
        return shape

    def _plain_union(self, members: list[TypeForm], path: str) -> Shape:
        """Return the shape of those members of a union that are not classes with fields: JSON itself tells them apart."""
        shapes = [self.shape(member, path) for member in members]
        moments = [(member, shape) for member, shape in zip(members, shapes, strict=True) if member in _MOMENTS]
        if sum(shape.to is not None for shape in shapes) > len(moments):
            why = "in a union only classes with fields and plain types can be told apart in JSON: give the others a class of their own"
            raise NotStorable(path, why)
        # A moment's mirror is text: beside text, or what is written as text, it could not be told.
        seen = [member if member in _MOMENTS else shape.mirror for member, shape in zip(members, shapes, strict=True)]
        if not _can_be_told_apart(_union_of(seen)):
            if self._float is float or float not in members:
                raise NotStorable(path, _ALIKE)
            return self._with_bare_floats()._plain_union(members, path)  # as beside an IntEnum, where an int would be a member
        mirror = _union_of([shape.mirror for shape in shapes])
        if not moments:
            return Shape(mirror)
        moment, (write, read) = moments[0][0], (moments[0][1].to or same, moments[0][1].back or same)
        return Shape(
            mirror,
            lambda value: write(value) if isinstance(value, moment) else value,
            lambda value: read(value) if type(value) is str else value,
        )

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

    def tagged(self, classes: list[TypeForm], others: Shape | None, path: str) -> Shape:
        """Return the shape of a union whose classes are told apart by name: `["Name", {...}]`."""
        by_class: dict[type, tuple[str, Convert]] = {}
        back_of: dict[TypeForm, Convert] = {}
        taken: set[str] = set()
        mirrors: list[TypeForm] = [] if others is None else [others.mirror]
        exact = others is None
        natives: dict[str, type] | None = {} if exact else None
        for kind in classes:
            cls: TypeForm = class_of(kind)
            shape = self._class(kind, path)
            exact = exact and shape.exact
            natives = None if natives is None or shape.natives is None else {**natives, **shape.natives}
            for name in names_of(cls):
                if name in taken:
                    why = f'two classes of its union are stored as "{name}": give one of them another name with @gs.stored_as("...")'
                    raise NotStorable(path, why)
                taken.add(name)
                mirrors.append(envelope := _envelope(name, shape.mirror))
                back_of[envelope] = shape.back or same
                by_class.setdefault(cls, (name, shape.to or same))

        by_type = by_class.get
        other_to, other_back = (others and others.to) or same, (others and others.back) or same

        def to(value: Instance) -> Instance:
            found = by_type(type(value))
            if found is not None:
                name, inner = found
                return name, inner(value)
            if exact:
                raise MisfitError(f"a {type(value).__qualname__} stands where one of {', '.join(taken)} is stored")
            return other_to(value)

        def back(value: Instance) -> Instance:
            found = back_of.get(type(value))
            return other_back(value) if found is None else found(value.value)

        return Shape(_union_of(mirrors), to, back, exact, natives)


def _envelope(name: str, mirror: TypeForm) -> type:
    """Return what msgspec reads as `["Name", {...}]`."""
    fields = [("value", mirror)]
    return msgspec.defstruct(name, fields, tag=name, array_like=True, forbid_unknown_fields=True, frozen=True)


_MOMENTS: dict[TypeForm, Shape] = {
    datetime.datetime: Shape(str, writer(datetime.datetime), reader(datetime.datetime)),
    datetime.time: Shape(str, writer(datetime.time), reader(datetime.time)),
}
_ALIKE = "the parts of its union cannot be told apart in JSON: give them classes of their own"


def _has_hash(kind: TypeForm) -> bool:
    try:
        hash(kind)
    except TypeError:
        return False
    return True


def _can_be_told_apart(mirror: TypeForm) -> bool:
    try:
        msgspec.json.Decoder(mirror)
    except TypeError:
        return False
    except NotImplementedError:  # of a member that the codec, which makes the same decoder, refuses with its reason
        return True
    return True


def _in_order_of(mirror: TypeForm, part: Convert | None = None) -> Convert:
    """Return a function that puts values without an order into one that is the same in every process.

    Numbers and text are sorted as such, all else by its JSON; `part` gives the part of a value that decides.
    """
    if without_wrapping(mirror) in _KEYS:
        return lambda values: sorted(values, key=part)
    encode = msgspec.json.encode
    if part is None:
        return lambda values: sorted(values, key=encode)
    return lambda values: sorted(values, key=lambda value: encode(part(value)))


def _union_of(kinds: list[TypeForm]) -> TypeForm:
    """Return the union of types that are known only now."""
    return typing.Union[tuple(kinds)]
