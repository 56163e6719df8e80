"""How containers are taken apart: some entries at a time, and those that are large themselves one by one."""

from __future__ import annotations

import heapq
import typing
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import TypeAlias

from go_state.storage.snapshots.plans import Codec, Inside, Plan, Planner, Value, type_of
from go_state.storage.types.annotations import UNTYPED, Instance, TypeForm, class_of, generic

_MOST = 64  # entries in a piece: what is made for more of them at once lives long enough to have Python's garbage collector go
# through the whole heap, 0.7 seconds for 300,000 entries; the calls for pieces this small cost a twentieth of the encoding
_LARGE = 256  # entries: what has more inside is taken apart itself
_SURELY_LARGE = 2_000  # entries: more are not counted
_PIECE = 128 * 1024  # bytes that a piece is to have at most: entries that are large come fewer at a time
_RUN, _SLOW_RUN = 5_000, 250  # entries that are sorted at a time: numbers and text, and all else, by its JSON

_NOTHING = b""  # a piece that says only that a millisecond has passed


Entry: TypeAlias = Instance
"""An item of a list, a set or a tuple, or a pair of a mapping's key and value."""


class ContainerPlan(Plan):
    """Some entries at a time: a piece is the JSON of a small container, without its brackets."""

    is_leaf, varies = False, True
    type: TypeForm  # of the values that are taken apart
    _each: Plan  # of what may be large inside

    def _insides(self, value: Value) -> Iterator[Value]:
        """Give the part of each entry that may be large."""
        raise NotImplementedError

    def _entries(self, value: Value) -> Generator[bytes, None, Iterator[Entry]]:
        """Return the entries in the codec's order; give empty pieces meanwhile if sorting them takes long."""
        raise NotImplementedError

    def _inside_of(self, entry: Entry) -> Value:
        """Return the part of the entry that may be large."""
        raise NotImplementedError

    def _some(self, entries: list[Entry]) -> bytes:
        """Return the JSON of a container of these entries."""
        raise NotImplementedError

    def _around(self, entry: Entry) -> tuple[bytes, bytes]:
        """Return the JSON of a container of one entry: what comes before, and after, the part that may be large."""
        raise NotImplementedError

    def weight(self, value: Value) -> int:
        if type_of(value) is not self.type:
            return 1
        total = 1 + len(value)
        for inside in self._insides(value) if self._each.varies and total <= _SURELY_LARGE else ():
            total += self._each.weight(inside)
            if total > _SURELY_LARGE:
                break
        return total

    def pieces(self, value: Value) -> Iterator[bytes]:
        if type_of(value) is not self.type or not value:
            yield self.codec.encode(value)
            return
        entries, joined = (yield from self._entries(value)), _Joined()
        if self._each.varies:
            yield from self._by_weight(entries, joined)
        while some := list(islice(entries, joined.number)):
            yield joined.add(self._some(some))
        yield joined.end

    def _by_weight(self, entries: Iterator[Entry], joined: _Joined) -> Iterator[bytes]:
        """Give the large entries one by one, taken apart, and as many of the others together as a piece may have."""
        some: list[Entry] = []
        weight = 0
        for entry in entries:
            inside = self._inside_of(entry)
            more = self._each.weight(inside)
            if some and (weight + more > _LARGE or len(some) >= joined.number):
                yield joined.add(self._some(some))
                some, weight = [], 0
            if more > _LARGE and not self._each.is_leaf:
                before, after = self._around(entry)
                yield joined.begin(before)
                yield from self._each.pieces(inside)
                yield joined.finish(after)
            else:
                some.append(entry)
                weight += more
        if some:
            yield joined.add(self._some(some))


class _Joined:
    """Joins bracketed texts of some entries each to one text, and says how many entries the next should have."""

    def __init__(self) -> None:
        self.end = b""  # the last bracket, once there is one
        self.number = _MOST // 8

    def begin(self, text: bytes) -> bytes:
        """Return the beginning of a text as it stands behind those before it."""
        return text if not self.end else b"," + text[1:]

    def finish(self, text: bytes) -> bytes:
        """Return the end of a text without its bracket."""
        self.end = text[-1:]
        return text[:-1]

    def add(self, text: bytes) -> bytes:
        """Return a text without the brackets that are inside the whole."""
        self.number = max(1, min(_MOST, 2 * self.number, self.number * _PIECE // len(text)))
        return self.finish(self.begin(text))


class ItemsPlan(ContainerPlan):
    """A list, tuple or set."""

    def __init__(self, planner: Planner, kind: TypeForm, inside: Inside) -> None:
        super().__init__(planner, kind, inside)
        container, args = class_of(kind), typing.get_args(kind)
        self.type = tuple if container is Sequence else container
        self._item = args[0] if args else UNTYPED
        self._each = planner.plan(self._item, inside)

    @cached_property
    def _list(self) -> Codec:
        return self.planner.codec(generic(list, self._item))

    def _insides(self, value: Value) -> Iterator[Value]:
        return iter(value)

    def _entries(self, value: Value) -> Generator[bytes, None, Iterator[Entry]]:
        if self.type in (set, frozenset):
            return (yield from _in_order(iter(value), self._each))
        return _of_one_length(value) if self.type is list else iter(value)

    def _inside_of(self, entry: Entry) -> Value:
        return entry

    def _some(self, entries: list[Entry]) -> bytes:
        return self._list.encode(entries)

    def _around(self, entry: Entry) -> tuple[bytes, bytes]:
        return b"[", b"]"


class MappingPlan(ContainerPlan):
    """A mapping, as an object or, if its keys are neither strings nor numbers, as a list of pairs."""

    def __init__(self, planner: Planner, kind: TypeForm, inside: Inside) -> None:
        super().__init__(planner, kind, inside)
        container, args = class_of(kind), typing.get_args(kind) or (str, UNTYPED)
        self.type = dict if container is Mapping else container
        self._key, self._each = (planner.plan(arg, inside) for arg in args)
        self._args = args

    @cached_property
    def _dict(self) -> Codec:
        return self.planner.codec(generic(dict, *self._args))

    @cached_property
    def _keys(self) -> Codec:
        return self.planner.codec(generic(dict, self._args[0], None))

    def _insides(self, value: Value) -> Iterator[Value]:
        return iter(value.values())

    def _entries(self, value: Value) -> Generator[bytes, None, Iterator[Entry]]:
        if self.type is dict:
            return iter(value.items())
        keys = yield from _in_order(iter(value), self._key)  # of a persistent map, which has no order of its own
        return ((key, value[key]) for key in keys)

    def _inside_of(self, entry: Entry) -> Value:
        return entry[1]

    def _some(self, entries: list[Entry]) -> bytes:
        return self._dict.encode(dict(entries))

    def _around(self, entry: Entry) -> tuple[bytes, bytes]:
        before, _, after = self._keys.encode({entry[0]: None}).rpartition(b"null")  # of {"key":null}, or [[key,null]]
        return before, after


def _of_one_length(value: list[Entry]) -> Iterator[Entry]:
    """Give the items; `RuntimeError`, as of other containers, if the list's length changes meanwhile."""
    length = len(value)
    for item in value:
        if len(value) != length:
            break
        yield item
    if len(value) != length:
        raise RuntimeError("the list changed its length")


def _in_order(values: Iterator[Entry], plan: Plan) -> Generator[bytes, None, Iterator[Entry]]:
    """Give empty pieces while the values are sorted, some at a time, and return them in the codec's order.

    Numbers and text are sorted as such, all else by its JSON. Numbers and text lie in the runs as they are: a tuple for each of
    300,000 values had Python's garbage collector stop everything for 0.7 seconds.
    """
    plain, runs = plan.kind in (int, str), []
    key = None if plain else plan.codec.encode
    while some := list(islice(values, _RUN if plain else _SLOW_RUN)):
        runs.append(sorted(some, key=key))
        yield _NOTHING
    return heapq.merge(*runs, key=key)
