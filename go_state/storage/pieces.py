"""A large value as JSON in pieces, each made in a few milliseconds, so that whoever shares the interpreter is not held up.

Encoding a million entries in one call keeps every other thread, and an event loop, waiting for as long as it takes. So the containers
of a value are encoded some entries at a time, each piece by the codec of its own type, which reads back what it wrote as it always
does; together the pieces are the bytes that the whole would be. What cannot be taken apart (a class that makes something else of what
it is given, a container of an unusual kind) is one piece.
"""

from __future__ import annotations

import heapq
import types
import typing
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

from go_state.core.errors import NotStorable
from go_state.core.naming import names_of
from go_state.storage.annotations import members_of, without_wrapping
from go_state.storage.codec import JsonCodec
from go_state.storage.construction import holds_what_it_is_given
from go_state.storage.fields import fields_of, is_class_with_fields
from go_state.storage.shape import is_persistent_map

SMALL = 5_000  # entries: a value that has no more, at any depth that is looked at, is encoded in one call, in milliseconds
_MOST = 64  # entries in a piece: what is made for more of them at once lives long enough to have Python's garbage collector go
# through the whole heap, 0.7 seconds for 300,000 entries; the calls for pieces this small cost a twentieth of the encoding
_PIECE = 128 * 1024  # bytes that a piece is to have at most: entries that are large come fewer at a time
_RUN = 5_000  # entries that are sorted at a time

_NOTHING = b""  # a piece that says only that a millisecond has passed


def plan_of(codec: JsonCodec[Any]) -> Plan:
    """Return how the codec's values are taken apart; it is made once, and costs some codecs."""
    return _plan_of(codec.kind, frozenset(), codec)


def pieces(plan: Plan, value: Any) -> Iterator[bytes]:
    """Give the value's JSON, as the codec of the plan would write it, in pieces, of which some may be empty.

    Raises `NotStorable` as the codec does, and where the value changes meanwhile.
    """
    try:
        if plan.weight(value) <= SMALL:
            yield plan.codec.encode(value)
        else:
            yield from plan.pieces(value)
    except (
        NotStorable,
        TypeError,
        AttributeError,
    ):  # the latter of what has no order among the others, or not all of its fields
        plan.codec.encode(value)  # which names the way to what is wrong from the top
        raise
    except RuntimeError as error:  # a container that has changed while it was gone through
        why = f"it was changed while it was being stored ({error}): update returns a new model and changes none"
        raise NotStorable(plan.name, why) from None


def _plan_of(kind: Any, inside: frozenset[Any], codec: JsonCodec[Any] | None = None) -> Plan:
    """Return how the values of a type are taken apart; `inside` has the classes that it is a part of, which end a recursion."""
    kind = without_wrapping(kind)
    origin, args = typing.get_origin(kind) or kind, typing.get_args(kind)
    if kind in inside:
        return Plan(kind, codec)
    if origin in (typing.Union, types.UnionType):
        return _Union(kind, codec, inside)
    if origin in (list, set, frozenset, Sequence) or (origin is tuple and args[1:] == (...,)):
        return _Items(kind, codec, args[0] if args else Any, inside)
    if origin in (dict, Mapping) or is_persistent_map(origin):
        return _Entries(kind, codec, (args or (str, Any)), inside)
    if is_class_with_fields(kind) and isinstance(origin, type) and holds_what_it_is_given(origin):
        return _Class(kind, codec, inside | {kind})
    return Plan(kind, codec)


class Plan:
    """How a value is taken apart: not at all."""

    def __init__(self, kind: Any, codec: JsonCodec[Any] | None) -> None:
        self.kind = kind
        self.name = getattr(kind, "__name__", str(kind))
        if codec is not None:
            self.codec = codec

    @cached_property
    def codec(self) -> JsonCodec[Any]:
        """The codec of the whole."""
        return JsonCodec(self.kind)

    @property
    def is_leaf(self) -> bool:
        """Whether no value of it is ever taken apart."""
        return type(self) is Plan

    def weight(self, value: Any) -> int:
        """Return about how many entries the value has."""
        return 1

    def pieces(self, value: Any) -> Iterator[bytes]:
        """Give the value's JSON in pieces."""
        yield self.codec.encode(value)


class _Class(Plan):
    """A class that holds what it is given: field by field."""

    def __init__(self, kind: Any, codec: JsonCodec[Any] | None, inside: frozenset[Any]) -> None:
        super().__init__(kind, codec)
        self._cls = typing.get_origin(kind) or kind
        in_order = sorted(fields_of(kind), key=lambda field: not field.required)  # as the whole is written
        self._fields = [(field.name, _plan_of(field.annotation, inside)) for field in in_order]
        self._apart = [(name, plan) for name, plan in self._fields if not plan.is_leaf]

    @property
    def is_leaf(self) -> bool:
        return not self._apart

    def weight(self, value: Any) -> int:
        if type(value) is not self._cls:
            return 1
        return sum(plan.weight(getattr(value, name)) for name, plan in self._apart)

    def pieces(self, value: Any) -> Iterator[bytes]:
        if type(value) is not self._cls:
            yield self.codec.encode(value)
            return
        lead = b"{"
        for name, plan in self._fields:
            yield lead + _text(name) + b":"
            yield from plan.pieces(getattr(value, name))
            lead = b","
        yield b"}" if self._fields else b"{}"


class _Union(Plan):
    """One of several types: its classes are told apart by their names, `["Name", {...}]`, unless there is but one type and None."""

    def __init__(self, kind: Any, codec: JsonCodec[Any] | None, inside: frozenset[Any]) -> None:
        super().__init__(kind, codec)
        members = members_of(kind)
        others = [member for member in members if member is not type(None)]
        self._only = _plan_of(others[0], inside) if len(others) == 1 else None
        classes = [member for member in others if is_class_with_fields(member)]
        self._classes = {} if self._only else {typing.get_origin(each) or each: _plan_of(each, inside) for each in classes}

    @property
    def is_leaf(self) -> bool:
        return all(plan.is_leaf for plan in (*self._classes.values(), *filter(None, [self._only])))

    def _taken(self, value: Any) -> Plan | None:
        if value is None:
            return None
        return self._only or self._classes.get(type(value))

    def weight(self, value: Any) -> int:
        plan = self._taken(value)
        return 1 if plan is None else plan.weight(value)

    def pieces(self, value: Any) -> Iterator[bytes]:
        plan = self._taken(value)
        if plan is None:
            yield self.codec.encode(value)
        elif plan is self._only:
            yield from plan.pieces(value)
        else:
            yield b"[" + _text(names_of(type(value))[0]) + b","
            yield from plan.pieces(value)
            yield b"]"


class _Container(Plan):
    """Some entries at a time: a piece is the JSON of a small container, without its brackets."""

    _type: Any  # of the values that are taken apart
    _each: Plan  # of what may be large inside

    def _insides(self, value: Any) -> Iterator[Any]:
        """Give what may be large inside."""
        raise NotImplementedError

    def _taken_apart(self, value: Any) -> Iterator[bytes]:
        raise NotImplementedError

    def weight(self, value: Any) -> int:
        if type(value) is not self._type:
            return 1
        total = len(value)
        for inside in () if self._each.is_leaf else self._insides(value):
            if total > SMALL:
                break
            total += self._each.weight(inside)
        return total

    def pieces(self, value: Any) -> Iterator[bytes]:
        if type(value) is not self._type or not value:
            yield self.codec.encode(value)
        else:
            yield from self._taken_apart(value)

    def _inside(self, value: Any) -> Iterator[bytes]:
        """Give what is inside, taken apart where it is large itself."""
        return self._each.pieces(value) if self._each.weight(value) > SMALL else iter([self._each.codec.encode(value)])


class _Items(_Container):
    """A list, tuple or set."""

    def __init__(self, kind: Any, codec: JsonCodec[Any] | None, item: Any, inside: frozenset[Any]) -> None:
        super().__init__(kind, codec)
        container = typing.get_origin(kind) or kind
        self._type = tuple if container is Sequence else container
        self._item = item
        self._each = _plan_of(item, inside)

    @cached_property
    def _some(self) -> JsonCodec[Any]:
        return JsonCodec(_generic(list, self._item))

    def _insides(self, value: Any) -> Iterator[Any]:
        return iter(value)

    def _taken_apart(self, value: Any) -> Iterator[bytes]:
        items = iter(value)
        if self._type in (set, frozenset):
            items = yield from _in_order(items, self._each)
        if self._each.is_leaf:
            yield from _chunked(items, self._some.encode)
            return
        lead = b"["
        for item in items:
            yield lead
            yield from self._inside(item)
            lead = b","
        yield b"]"


class _Entries(_Container):
    """A mapping, as an object or, where its keys are no strings or numbers, as a list of pairs."""

    def __init__(self, kind: Any, codec: JsonCodec[Any] | None, args: tuple[Any, ...], inside: frozenset[Any]) -> None:
        super().__init__(kind, codec)
        container = typing.get_origin(kind) or kind
        self._type = dict if container is Mapping else container
        self._key, self._each = _plan_of(args[0], inside), _plan_of(args[1], inside)
        self._args = args

    @cached_property
    def _some(self) -> JsonCodec[Any]:
        return JsonCodec(_generic(dict, *self._args))

    @cached_property
    def _keys(self) -> JsonCodec[Any]:
        return JsonCodec(_generic(dict, self._args[0], None))

    def _insides(self, value: Any) -> Iterator[Any]:
        return iter(value.values())

    def _taken_apart(self, value: Any) -> Iterator[bytes]:
        entries = iter(value.items())
        if self._type is not dict:  # a persistent map, which has no order of its own
            keys = yield from _in_order(iter(value), self._key)
            entries = ((key, value[key]) for key in keys)
        if self._each.is_leaf:
            yield from _chunked(entries, lambda some: self._some.encode(dict(some)))
            return
        lead, end = 0, b""
        for key, inside in entries:
            text = self._keys.encode({key: None})  # {"key":null}, or [[key,null]]
            before, _, after = text.rpartition(b"null")
            yield before if not lead else b"," + before[1:]
            yield from self._inside(inside)
            yield after[:-1]
            lead, end = 1, after[-1:]
        yield end


def _chunked(entries: Iterator[Any], encode: Callable[[list[Any]], bytes]) -> Iterator[bytes]:
    """Give the entries in pieces of about a size; `encode` makes a bracketed text of some of them."""
    number, end = _MOST // 8, b""
    while some := list(islice(entries, number)):
        text = encode(some)
        yield text[:-1] if not end else b"," + text[1:-1]
        end = text[-1:]
        number = max(1, min(_MOST, 2 * number, number * _PIECE // len(text)))
    yield end


def _in_order(values: Iterator[Any], plan: Plan) -> Generator[bytes, None, Iterator[Any]]:
    """Give empty pieces while the values are sorted, some at a time, and return them in the codec's order: numbers and text as such, all
    else by its JSON.

    Numbers and text lie in the runs as they are. A tuple for each would be an object that Python's garbage collector goes through:
    with 300,000 of them it stood still for 0.7 seconds.
    """
    plain, runs = plan.kind in (int, str), []
    while some := list(islice(values, _RUN)):
        runs.append(sorted(some) if plain else sorted(some, key=plan.codec.encode))
        yield _NOTHING
    return heapq.merge(*runs, key=None if plain else plan.codec.encode)


def _text(name: str) -> bytes:
    import msgspec

    return msgspec.json.encode(name)


def _generic(container: Any, *args: Any) -> Any:
    """Return `container[args]`, of types that are known only now."""
    return container[args] if len(args) != 1 else container[args[0]]
