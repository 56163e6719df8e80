"""Read-only twins of lists, dicts and sets: stored, compared and printed as what they stand for, and never changed."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from go_state.core.errors import ProgramError

_INSTEAD = {"list": "[*items, new]", "dict": "{**items, key: new}", "set": "items | {new}"}


def _refuse(self: Any, *_: object, **__: object) -> NoReturn:
    kind = self.__stands_for__.__name__
    raise ProgramError(
        f"a {kind} of the model is changed in place, and a model stays what it was: make a new {kind}, such as "
        f"{_INSTEAD[kind]}, for the model that you return"
    )


class ReadOnly:
    """What the twins have in common: a copy of one, or one made of its class, as `dataclasses.asdict` does, can be changed again."""

    __slots__ = ()
    __stands_for__: ClassVar[type]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:  # whatever the class that it stands for takes, and an object of that
        return cls.__stands_for__(*args, **kwargs)

    def __reduce_ex__(self, protocol: object, /) -> tuple[object, ...]:
        return self.__stands_for__, (self.__stands_for__(self),)


class ReadOnlyList(ReadOnly, list[object]):
    """A list that refuses to be changed."""

    __slots__ = ()
    __stands_for__ = list

    append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse


class ReadOnlyDict(ReadOnly, dict[object, object]):
    """A dict that refuses to be changed."""

    __slots__ = ()
    __stands_for__ = dict

    pop = popitem = clear = update = setdefault = _refuse
    __setitem__ = __delitem__ = __ior__ = _refuse


class ReadOnlySet(ReadOnly, set[object]):
    """A set that refuses to be changed."""

    __slots__ = ()
    __stands_for__ = set

    add = remove = discard = pop = clear = update = _refuse
    difference_update = intersection_update = symmetric_difference_update = _refuse
    __ior__ = __iand__ = __isub__ = __ixor__ = _refuse


def read_only_list(items: list[object]) -> ReadOnlyList:
    """Return the twin of a list of these items."""
    twin = list.__new__(ReadOnlyList)
    list.extend(twin, items)
    return twin


def read_only_dict(items: dict[object, object]) -> ReadOnlyDict:
    """Return the twin of a dict of these items."""
    twin = dict.__new__(ReadOnlyDict)
    dict.update(twin, items)
    return twin


def read_only_set(items: set[object]) -> ReadOnlySet:
    """Return the twin of a set of these items."""
    twin = set.__new__(ReadOnlySet)
    set.update(twin, items)
    return twin
