"""Making a model read-only: one pass through what is new in it, which leaves the rest alone."""

from __future__ import annotations

import enum
from collections import OrderedDict, defaultdict, deque
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from go_state.core.fields import assign, is_frozen, names_held
from go_state.core.strict.read_only import ReadOnly, read_only_dict, read_only_list, read_only_set

_PERSISTENT = ("Map", "HashTrieMap")  # of immutables and rpds
UNCHANGING: tuple[type, ...] = (
    int, float, complex, str, bytes, bool, type(None), type, frozenset, range, enum.Enum,
    FunctionType, BuiltinFunctionType, MethodType, ModuleType,
)  # fmt: skip
"""Classes whose objects hold nothing that could change."""

CONTAINERS = (deque, bytearray, defaultdict, OrderedDict)
"""Containers of the standard library that have no twin: they are copied before a turn, and compared after it."""

_LEFT_ALONE = (*UNCHANGING, ReadOnly)
_NESTED = (defaultdict, OrderedDict)


class Protection:
    """One pass through what is new in a model, compared with the last."""

    def __init__(self, last: object) -> None:
        self.met_assignable = False  #: whether something in the model can be assigned to
        self._last = last
        self._done: dict[int, tuple[object, object]] = {}  # what stands for what, by identity: one list in two places stays one

    def protect(self, new: object, old: object) -> object:
        """Return what stands for `new` in the model; what `old`, in the same place of the last model, holds was protected then."""
        if new is old or new is self._last or isinstance(new, _LEFT_ALONE):
            return new
        if id(new) in self._done:
            return self._done[id(new)][1]
        self._done[id(new)] = new, new
        found = self._protect(new, old)
        self._done[id(new)] = new, found
        return found

    def _protect(self, new: Any, old: object) -> object:  # `new` is of any class, and is made again from its own
        kind = type(new)
        make = getattr(kind, "_make", None)  # of a NamedTuple
        if kind is list:
            return read_only_list(self._items(new, old))
        if kind is dict:
            return read_only_dict(dict(zip(new, self._values(new, old), strict=True)))
        if kind is set:
            return read_only_set(new)
        if kind is tuple or (isinstance(new, tuple) and make is not None):
            items = self._items(new, old)
            same = all(map(_is, items, new))
            return new if same else tuple(items) if make is None else make(items)
        if kind.__name__ in _PERSISTENT and isinstance(new, Mapping):
            values = self._values(new, old)
            same = all(map(_is, values, new.values()))
            return new if same else kind(dict(zip(new, values, strict=True)))
        if isinstance(new, _NESTED):
            for key, value in zip(list(new), self._values(new, old), strict=True):
                kind.__setitem__(new, key, value)
        elif isinstance(new, deque):
            for index, value in enumerate(self._items(new, old)):
                new[index] = value
        return self._object(new, old)

    def _items(self, new: Any, old: object) -> list[object]:  # `new` is a list, a tuple or a deque
        others: list[object] = list(old) if isinstance(old, (list, tuple)) else []
        known = set(map(id, others))
        before = others[: len(new)] + [None] * (len(new) - len(known))
        return [each if id(each) in known else self.protect(each, other) for each, other in zip(new, before, strict=False)]

    def _values(self, new: Mapping[object, object], old: object) -> list[object]:
        before: Mapping[object, object] = old if isinstance(old, Mapping) else {}
        known = set(map(id, before.values()))
        return [value if id(value) in known else self.protect(value, before.get(key)) for key, value in new.items()]

    def _object(self, new: object, old: object) -> object:
        names = names_held(new)
        self.met_assignable = self.met_assignable or is_assignable(type(new))
        alike = type(old) is type(new)
        for name in names:
            value = getattr(new, name, None)
            protected = self.protect(value, getattr(old, name, None) if alike else None)
            if protected is not value:
                assign(new, name, protected)
        return new


def is_assignable(kind: type) -> bool:
    """Return whether objects of the class can be changed and have no twin."""
    return kind in CONTAINERS or not is_frozen(kind)


def _is(one: object, other: object) -> bool:
    return one is other
