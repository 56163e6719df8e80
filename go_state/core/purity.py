"""The purity guard: an update that changes the model it was given is found at the line that does so, or right after.

Lists, dicts and sets of a model become read-only twins of themselves, once, when they enter it: what a new model shares with the
one before is not looked at again, so a turn costs what it has built. Objects that can be assigned to have no such twin: a
model that holds some is looked through at every turn. (Immer freezes what enters a state in the same way.)
"""

from __future__ import annotations

import dataclasses
import enum
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, NoReturn

from go_state.core.errors import ProgramError

_RECENT = 256  # models that are known to be read-only: as many keys as a keyed program may go through in turn


def _refuse(self: Any, *_: object, **__: object) -> NoReturn:
    kind = self.stands_for.__name__
    raise ProgramError(
        f"a {kind} of the model is changed in place, and a model stays what it was: make a new {kind}, such as "
        f"{_INSTEAD[kind]}, for the model that you return"
    )


class ReadOnlyList(list[Any]):
    """A list that refuses to be changed, stored and compared as what it stands for."""

    __slots__ = ()
    stands_for = list
    append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse

    def __reduce_ex__(self, protocol: Any, /) -> Any:  # a copy can be changed again
        return list, (list(self),)


class ReadOnlyDict(dict[Any, Any]):
    """A dict that refuses to be changed, stored and compared as what it stands for."""

    __slots__ = ()
    stands_for = dict
    pop = popitem = clear = update = setdefault = _refuse
    __setitem__ = __delitem__ = __ior__ = _refuse

    def __reduce_ex__(self, protocol: Any, /) -> Any:
        return dict, (dict(self),)


class ReadOnlySet(set[Any]):
    """A set that refuses to be changed, stored and compared as what it stands for."""

    __slots__ = ()
    stands_for = set
    add = remove = discard = pop = clear = update = _refuse
    difference_update = intersection_update = symmetric_difference_update = _refuse
    __ior__ = __iand__ = __isub__ = __ixor__ = _refuse

    def __reduce_ex__(self, protocol: Any, /) -> Any:
        return set, (set(self),)


_INSTEAD = {"list": "[*items, new]", "dict": "{**items, key: new}", "set": "items | {new}"}
_UNCHANGING = (
    int, float, complex, str, bytes, bool, type(None), type, frozenset, range, enum.Enum,
    FunctionType, BuiltinFunctionType, MethodType, ModuleType,
)  # fmt: skip
_WATCHED = (deque, bytearray, defaultdict, OrderedDict)  # of the standard library's containers: those are copied and compared


def guarded(update: Callable[..., Any]) -> Guarded:
    """Return the update with a guard, once."""
    return update if isinstance(update, Guarded) else Guarded(update)


class Guarded:
    """An update of a strict program."""

    __slots__ = ("__wrapped__", "_looks_through", "_recent")

    def __init__(self, update: Callable[..., Any]) -> None:
        self.__wrapped__ = update  # the name by which inspect and typing find the user's function
        self._recent: dict[int, Any] = {}  # models that are read-only already, by identity
        self._looks_through = False  # whether a model had an object that can be assigned to

    def __call__(self, model: Any, message: Any, *turn: Any) -> Any:
        """Return what update returns, with a model that is read-only; `ProgramError` where the given one was changed."""
        if id(model) not in self._recent:
            model = self._read_only(model, None)
        before = _Watch(model) if self._looks_through else None
        try:
            step = self.__wrapped__(model, message, *turn)
        finally:
            if before is not None:
                before.check()
        if type(step) is not tuple or len(step) != 2:
            return step
        return self._read_only(step[0], model), step[1]

    def _read_only(self, model: Any, last: Any) -> Any:
        protecting = _Protecting()
        model = protecting.protect(model, last)
        self._looks_through = self._looks_through or protecting.met_assignable
        if len(self._recent) >= _RECENT:
            self._recent.clear()
        self._recent[id(model)] = model
        return model

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Guarded) and self.__wrapped__ == other.__wrapped__

    def __hash__(self) -> int:
        return hash(self.__wrapped__)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


class _Protecting:
    """One pass through what is new in a model."""

    def __init__(self) -> None:
        self.met_assignable = False
        self._seen: set[int] = set()  # objects that may hold themselves

    def protect(self, new: Any, old: Any) -> Any:
        """Return what stands for the value in the model; what `old`, in the same place of the last model, has is done already."""
        kind = type(new)
        if new is old or isinstance(new, _UNCHANGING) or hasattr(kind, "stands_for"):
            return new
        if kind is list:
            return ReadOnlyList(self._items(new, old))
        if kind is dict:
            return ReadOnlyDict(zip(new, self._values(new, old), strict=True))
        if kind is set:
            return ReadOnlySet(new)
        if isinstance(new, tuple):
            items = self._items(new, old)
            if all(map(_is, items, new)):
                return new
            return kind._make(items) if hasattr(kind, "_make") else kind(items)
        if isinstance(new, Mapping) and kind not in _WATCHED:  # a persistent one
            values = self._values(new, old)
            same = all(map(_is, values, new.values()))
            return new if same else kind(zip(new, values, strict=True))
        return self._object(new, old)

    def _items(self, new: Any, old: Any) -> list[Any]:
        others: Iterable[Any] = old if isinstance(old, (list, tuple)) else ()
        known = set(map(id, others))
        before = list(others)[: len(new)] + [None] * (len(new) - len(known))
        return [each if id(each) in known else self.protect(each, other) for each, other in zip(new, before, strict=False)]

    def _values(self, new: Any, old: Any) -> list[Any]:
        before: Any = old if isinstance(old, Mapping) else {}
        known = set(map(id, before.values()))
        return [value if id(value) in known else self.protect(value, before.get(key)) for key, value in new.items()]

    def _object(self, new: Any, old: Any) -> Any:
        names = field_names(new)
        self.met_assignable = self.met_assignable or not _is_frozen(type(new))
        if id(new) in self._seen:
            return new
        self._seen.add(id(new))
        alike = type(old) is type(new)
        for name in names:
            value = getattr(new, name, None)
            protected = self.protect(value, getattr(old, name, None) if alike else None)
            if protected is not value:
                _assign(new, name, protected)
        return new


class _Watch:
    """What the objects of a model that can be assigned to hold before a turn."""

    def __init__(self, model: Any) -> None:
        self._held: list[tuple[Any, Any]] = []
        self._seen: set[int] = set()
        self._look(model)

    def _look(self, value: Any) -> None:
        if isinstance(value, _UNCHANGING) or id(value) in self._seen:
            return
        self._seen.add(id(value))
        if isinstance(value, _WATCHED):
            self._held.append((value, value.copy()))
        if isinstance(value, Mapping):
            for each in value.values():
                self._look(each)
        elif isinstance(value, (list, tuple, deque)):
            for each in value:
                self._look(each)
        else:
            held = {name: getattr(value, name, None) for name in field_names(value)}
            if held and not _is_frozen(type(value)):
                self._held.append((value, held))
            for each in held.values():
                self._look(each)

    def check(self) -> None:
        """Raise `ProgramError` where one of them holds something else now, and put back what it held."""
        for value, held in self._held:
            if isinstance(value, _WATCHED):
                if value != held:
                    value.clear()
                    (value.update if isinstance(value, dict) else value.extend)(held)
                    raise _changed(f"a {type(value).__name__}", "make a new one")
                continue
            for name, was in held.items():
                if getattr(value, name, None) is not was:
                    _assign(value, name, was)
                    kind = type(value).__qualname__
                    raise _changed(f"{kind}.{name}", "return a new one, such as dataclasses.replace makes")


def _changed(what: str, instead: str) -> ProgramError:
    return ProgramError(f"update changes {what} of the model that it is given, and a model stays what it was: {instead}")


def field_names(value: Any) -> list[str]:
    """Return the names of the fields of an object; none for what has no fields."""
    kind = type(value)
    if isinstance(value, tuple):
        return list(getattr(kind, "_fields", ()))
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    if hasattr(kind, "__attrs_attrs__"):
        return [attribute.name for attribute in kind.__attrs_attrs__]
    if hasattr(kind, "__struct_fields__"):
        return list(kind.__struct_fields__)
    return list(getattr(value, "__dict__", ()))


def _is_frozen(kind: Any) -> bool:
    """Tell whether objects of the class refuse assignments, or have nothing to assign to."""
    if hasattr(kind, "__dataclass_params__"):
        return bool(kind.__dataclass_params__.frozen)
    if hasattr(kind, "__struct_config__"):
        return bool(kind.__struct_config__.frozen)
    if hasattr(kind, "__attrs_attrs__"):
        return "frozen" in getattr(kind.__setattr__, "__name__", "")
    return kind.__setattr__ is not object.__setattr__ or (kind not in _WATCHED and not kind.__dictoffset__)


def _assign(value: Any, name: str, to: Any) -> None:
    """Assign to a field, of a frozen class as well."""
    place: Any = getattr(type(value), name, None)
    if hasattr(type(place), "__set__"):  # a slot
        place.__set__(value, to)
    else:
        object.__setattr__(value, name, to)


def _is(one: object, other: object) -> bool:
    return one is other
