"""The purity guard: an update that changes the model it was given is found at the line that does so, or right after.

Lists, dicts and sets of a model become read-only twins of themselves, once, when they enter it: what a new model shares with the
one before is not looked at again, so a turn costs what it has built. Objects that can be assigned to have no such twin: a
model that holds some is looked through at every turn, and so is a persistent map when it is another. (Immer freezes what enters a
state in the same way: who goes on using a list that it has put into a model finds it frozen there.) What C code does behind a
list's back, such as heapq, and objects that hide what they hold are not seen here; `verify` sees them.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, NoReturn

from go_state.core.errors import ProgramError

_RECENT = 64  # models that are known to be read-only, and kept for that: as many keys as a keyed program may go through in turn


def _refuse(self: Any, *_: object, **__: object) -> NoReturn:
    kind = self.__stands_for__.__name__
    raise ProgramError(
        f"a {kind} of the model is changed in place, and a model stays what it was: make a new {kind}, such as "
        f"{_INSTEAD[kind]}, for the model that you return"
    )


class ReadOnlyList(list[Any]):
    """A list that refuses to be changed, stored and compared as what it stands for."""

    __slots__ = ()
    __stands_for__ = list

    def __new__(
        cls, *args: Any, **kwargs: Any
    ) -> Any:  # whoever makes one of a value's class, as asdict does, gets an ordinary one
        return list(*args, **kwargs)

    append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse

    def __reduce_ex__(self, protocol: Any, /) -> Any:  # a copy can be changed again
        return list, (list(self),)


class ReadOnlyDict(dict[Any, Any]):
    """A dict that refuses to be changed, stored and compared as what it stands for."""

    __slots__ = ()
    __stands_for__ = dict

    def __new__(
        cls, *args: Any, **kwargs: Any
    ) -> Any:  # whoever makes one of a value's class, as asdict does, gets an ordinary one
        return dict(*args, **kwargs)

    pop = popitem = clear = update = setdefault = _refuse
    __setitem__ = __delitem__ = __ior__ = _refuse

    def __reduce_ex__(self, protocol: Any, /) -> Any:
        return dict, (dict(self),)


class ReadOnlySet(set[Any]):
    """A set that refuses to be changed, stored and compared as what it stands for."""

    __slots__ = ()
    __stands_for__ = set

    def __new__(
        cls, *args: Any, **kwargs: Any
    ) -> Any:  # whoever makes one of a value's class, as asdict does, gets an ordinary one
        return set(*args, **kwargs)

    add = remove = discard = pop = clear = update = _refuse
    difference_update = intersection_update = symmetric_difference_update = _refuse
    __ior__ = __iand__ = __isub__ = __ixor__ = _refuse

    def __reduce_ex__(self, protocol: Any, /) -> Any:
        return set, (set(self),)


_INSTEAD = {"list": "[*items, new]", "dict": "{**items, key: new}", "set": "items | {new}"}
_PERSISTENT = ("Map", "HashTrieMap")  # of immutables and rpds
_UNCHANGING = (
    int, float, complex, str, bytes, bool, type(None), type, frozenset, range, enum.Enum,
    FunctionType, BuiltinFunctionType, MethodType, ModuleType,
)  # fmt: skip
_NESTED = (defaultdict, OrderedDict)
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
        except BaseException:
            if before is not None:
                before.check(tell=False)  # what update has failed with says more
            raise
        if before is not None:
            before.check(tell=True)
        if type(step) is not tuple or len(step) != 2:
            return step
        return self._read_only(step[0], model), step[1]

    def _read_only(self, model: Any, last: Any) -> Any:
        protecting = _Protecting(last)
        try:
            model = protecting.protect(model, last)
        except RecursionError:
            self._looks_through = False  # too deep to be looked through
            return model
        self._looks_through = self._looks_through or protecting.met_assignable
        self._recent.pop(id(model), None)
        self._recent[id(model)] = model
        if len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]
        return model

    def __reduce__(self) -> Any:  # what it knows of models is of this process
        return Guarded, (self.__wrapped__,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Guarded) and self.__wrapped__ == other.__wrapped__

    def __hash__(self) -> int:
        return hash(self.__wrapped__)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


class _Protecting:
    """One pass through what is new in a model."""

    def __init__(self, last: Any) -> None:
        self.met_assignable = False
        self._last = last
        self._done: dict[int, tuple[Any, Any]] = {}  # what stands for what, by identity: one list in two places stays one

    def protect(self, new: Any, old: Any) -> Any:
        """Return what stands for the value in the model; what `old`, in the same place of the last model, has is done already."""
        if new is old or new is self._last or isinstance(new, _UNCHANGING) or "__stands_for__" in vars(type(new)):
            return new
        if id(new) in self._done:
            return self._done[id(new)][1]
        self._done[id(new)] = new, new
        found = self._protect(new, old)
        self._done[id(new)] = new, found
        return found

    def _protect(self, new: Any, old: Any) -> Any:
        kind: Any = type(new)
        make: Any = getattr(kind, "_make", None)  # of a NamedTuple
        if kind is list:
            twin: Any = list.__new__(ReadOnlyList)
            list.extend(twin, self._items(new, old))
        elif kind is dict:
            twin = dict.__new__(ReadOnlyDict)
            dict.update(twin, zip(new, self._values(new, old), strict=True))
        elif kind is set:
            twin = set.__new__(ReadOnlySet)
            set.update(twin, new)
        elif kind is tuple or (isinstance(new, tuple) and make is not None):
            items = self._items(new, old)
            same = all(map(_is, items, new))
            twin = new if same else tuple(items) if kind is tuple else make(items)
        elif kind.__name__ in _PERSISTENT and isinstance(new, Mapping):
            values = self._values(new, old)
            same = all(map(_is, values, new.values()))
            twin = new if same else kind(dict(zip(new, values, strict=True)))
        else:
            if isinstance(new, _NESTED):
                for key, value in zip(list(new), self._values(new, old), strict=True):
                    kind.__setitem__(new, key, value)
            elif isinstance(new, deque):
                for index, value in enumerate(self._items(new, old)):
                    new[index] = value
            twin = self._object(new, old)
        return twin

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
        names = _own_names(new)
        self.met_assignable = self.met_assignable or not _is_frozen(type(new))
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
            held = {name: getattr(value, name, _NOTHING) for name in _own_names(value)}
            if held and not _is_frozen(type(value)):
                self._held.append((value, held))
            for each in held.values():
                self._look(each)

    def check(self, *, tell: bool) -> None:
        """Put back what has changed, and raise the `ProgramError` that says so."""
        found: ProgramError | None = None
        for value, held in self._held:
            if isinstance(value, _WATCHED):
                if not _same_items(value, held):
                    value.clear()
                    (value.update if isinstance(value, dict) else value.extend)(held)
                    found = found or _changed(f"a {type(value).__name__}", "make a new one")
                continue
            for name, was in held.items():
                if getattr(value, name, _NOTHING) is not was:
                    _assign(value, name, was)
                    kind = type(value).__qualname__
                    found = found or _changed(f"{kind}.{name}", "return a new one, such as dataclasses.replace makes")
        if found is not None and tell:
            raise found


def _same_items(value: Any, held: Any) -> bool:
    if isinstance(value, bytearray) or len(value) != len(held):
        return bool(value == held)
    pairs = zip(value.items(), held.items(), strict=True) if isinstance(value, dict) else None
    if pairs is not None:
        return all(a == b and x is y for (a, x), (b, y) in pairs)
    return all(map(_is, value, held))


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


def _own_names(value: Any) -> list[str]:
    """Return the names under which an object holds something itself: not what a property or another descriptor computes."""
    kind = type(value)
    names = field_names(value)
    if not (dataclasses.is_dataclass(kind) or hasattr(kind, "__struct_fields__") or hasattr(kind, "__attrs_attrs__")):
        for base in kind.__mro__:
            slots = vars(base).get("__slots__", ())
            names += [slots] if isinstance(slots, str) else [*slots]
    return [name for name in names if not _is_computed(getattr(kind, name, None))]


def _is_computed(place: Any) -> bool:
    return isinstance(place, property) or (
        hasattr(type(place), "__get__") and hasattr(type(place), "__set__") and not isinstance(place, _PLACES)
    )


def _is_frozen(kind: Any) -> bool:
    """Tell whether objects of the class refuse assignments, or have nothing to assign to."""
    if hasattr(kind, "__dataclass_params__"):
        return bool(kind.__dataclass_params__.frozen)
    if hasattr(kind, "__struct_config__"):
        return bool(kind.__struct_config__.frozen)
    if hasattr(kind, "__attrs_attrs__"):
        return "frozen" in getattr(kind.__setattr__, "__name__", "")
    if kind in _WATCHED:
        return False
    has_slots = any(vars(base).get("__slots__") for base in kind.__mro__)
    return not kind.__dictoffset__ and not (has_slots and kind.__setattr__ is object.__setattr__)


def _assign(value: Any, name: str, to: Any) -> None:
    """Assign to a field, of a frozen class as well."""
    place: Any = getattr(type(value), name, None)
    if hasattr(type(place), "__set__"):  # a slot
        place.__set__(value, to)
    else:
        object.__setattr__(value, name, to)


_NOTHING: Any = object()
_PLACES = (MemberDescriptorType, GetSetDescriptorType)


def _is(one: object, other: object) -> bool:
    return one is other
