"""Descriptions of types: what a stored value was made of, in words that a later program can compare with its own types.

    {"type": "Counter", "classes": {"Counter": {"names": ["Counter"], "fields": {"count": "int"}, "optional": ["count"]}}}

A store has a description once, under a key made of its digest, and every snapshot and block of messages names that digest. So it is
known for each value what its classes looked like when it was written, however they have changed since.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeAlias, TypedDict

from go_state.core.errors import Conflict, Corrupt, InvalidKey
from go_state.core.naming import names_of
from go_state.core.ports import Store, Write
from go_state.storage.types.annotations import TypeForm, alias_of, class_of, endless, is_untyped, members_of, without_wrapping
from go_state.storage.types.classes.fields import fields_of, is_class_with_fields

Node: TypeAlias = Any
"""A type in a description, as JSON: the name of a plain type, or a list of a word and what belongs to it, such as
`["list", "int"]`, or `["enum", {"RED": 1}]`, of which the first release wrote the values alone: `["enum", 1]`.
"""


class Described(TypedDict):
    """A class in a description: the names that it is stored under, and its fields."""

    names: list[str]
    fields: dict[str, Node]
    optional: list[str]


class Types(TypedDict):
    """A description, as JSON: a type, and the classes that it is made of, by their labels."""

    type: Node
    classes: dict[str, Described]


ANYTHING: Final = "Any"
"""What is written in the place of a type that says nothing."""

_LISTS = {list: "list", set: "set", frozenset: "set", tuple: "list", Sequence: "list", typing.Sequence: "list"}
_KEYS = (int, str)  # types that are keys of a JSON object; a mapping with others is a list of pairs


class Description(NamedTuple):
    """A type's description: its digest, and the JSON of it."""

    digest: str
    data: bytes

    @property
    def key(self) -> str:
        """The key under which a store has it."""
        return _key(self.digest)


def describe(kind: TypeForm, *, tagged: bool = False) -> Description:
    """Return the description of a type that can be stored; `tagged` for messages, whose class is always stored."""
    from msgspec import json

    reading = _Reading()
    node = reading.member(kind) if tagged else reading.node(kind)
    data = json.encode({"type": node, "classes": reading.classes}, order="sorted")
    return Description(_digest(data), data)


def remember(store: Store, description: Description) -> None:
    """Put the description into the store, unless it has it."""
    if store.load(description.key) is None:
        with suppress(Conflict):  # another process has put the same
            store.store({description.key: Write(description.data, 0)})


def recall(store: Store, digest: str) -> Types | None:
    """Return the description with this digest, or None if the store has none, or a damaged one: values are read without it."""
    from msgspec import json

    try:
        stored = store.load(_key(digest))
    except (Corrupt, InvalidKey):
        return None
    if stored is None or _digest(stored.data) != digest:
        return None
    types: Types = json.decode(stored.data)
    return types


def _digest(data: bytes) -> str:
    from hashlib import blake2b

    return blake2b(data, digest_size=8).hexdigest()


def _key(digest: str) -> str:
    return f"@types/{digest}"


def _plain(value: object) -> object:
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


class _Reading:
    """One pass through a type and all that it is made of."""

    def __init__(self) -> None:
        self.classes: dict[str, Described] = {}
        self._labels: dict[TypeForm, str] = {}
        self._inside: list[TypeForm] = []  # type aliases that are being resolved, since the last class

    def node(self, kind: TypeForm) -> Node:
        """Return the type in words; `NotStorable` for an alias that refers to itself."""
        if alias_of(kind) is None:
            return self._node(kind)
        if kind in self._inside:
            raise endless(kind)
        self._inside.append(kind)
        node = self._node(kind)
        self._inside.pop()
        return node

    def _node(self, kind: TypeForm) -> Node:
        kind = without_wrapping(kind)
        origin, args = class_of(kind), typing.get_args(kind)
        if kind is None or kind is type(None):
            return "None"
        if is_untyped(kind):
            return ANYTHING
        if origin in (typing.Union, types.UnionType):
            return self._union(members_of(kind))
        if origin is typing.Literal:
            return ["one of", *sorted(map(_plain, args), key=repr)]
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            # Values are what is stored, and names what they mean: one may get the value of another.
            members = {name: _plain(member.value) for name, member in kind.__members__.items()}
            return ["flag" if issubclass(kind, enum.Flag) else "enum", members]
        if is_class_with_fields(kind):
            return ["class", self._class(kind)]
        if origin in _LISTS:
            return self._list(origin, args)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            key, value = (self.node(arg) for arg in args) if len(args) == 2 else ("str", ANYTHING)
            return ["map" if len(args) != 2 or without_wrapping(args[0]) in _KEYS else "pairs", key, value]
        return getattr(kind, "__name__", str(kind))

    def _list(self, origin: TypeForm, args: tuple[TypeForm, ...]) -> Node:
        if origin is tuple and args and not (len(args) == 2 and args[1] is ...):
            return ["tuple", *([] if args == ((),) else map(self.node, args))]
        return [_LISTS[origin], self.node(args[0]) if args else ANYTHING]

    def _union(self, members: list[TypeForm]) -> Node:
        others = [member for member in members if member is not type(None)]
        if len(others) == 1:
            return ["any of", self.node(others[0]), "None"]
        return ["any of", *map(self.member, members)]

    def member(self, kind: TypeForm) -> Node:
        """Return a member of a union, in which a class is stored with its name."""
        node = self.node(kind)
        return ["named", node[1]] if node[0] == "class" else node

    def _class(self, kind: TypeForm) -> str:
        if kind in self._labels:
            return self._labels[kind]
        cls: TypeForm = class_of(kind)
        names = names_of(cls)
        label = names[0]
        while label in self.classes:  # as those of Box[int] and Box[str]
            label += "#"
        self._labels[kind] = label
        described = self.classes[label] = Described(names=list(names), fields={}, optional=[])
        above, self._inside = self._inside, []
        for field in fields_of(kind):
            described["fields"][field.name] = self.node(field.annotation)
            if not field.required:
                described["optional"].append(field.name)
        self._inside = above
        return label
