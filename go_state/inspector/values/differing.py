"""In which parts two models differ, for a page: bounded, and in a time that depends only on what has changed.

What is the same object on both sides is equal, so a model that shares what a message has not touched costs next to nothing. The walk
has a stack of its own: a value may be nested to any depth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from go_state.inspector.values.parts import Part, entry, field_names, kind_of
from go_state.inspector.values.redaction import NOTHING, Redaction
from go_state.inspector.values.tree import ABSENT, same

MOST = 500
"""Differences that are told one by one."""
_LOOKED_AT = 200_000  # pairs of values, after which no more are looked for


class Differs(NamedTuple):
    """A part that differs: its path as text, the names that lead to it, and both values; `ABSENT` where one side has none."""

    path: str
    names: tuple[str, ...]
    before: object
    after: object


class _Pair(NamedTuple):
    path: str
    names: tuple[str, ...]
    before: object
    after: object


def differing(before: object, after: object, redaction: Redaction = NOTHING) -> Iterator[Differs]:
    """Give the smallest parts in which two values differ, in order; keys that are hidden are not in their paths."""
    stack = [_Pair("", (), before, after)]
    looked = 0
    while stack and looked < _LOOKED_AT:
        pair = stack.pop()
        looked += 1
        if pair.before is pair.after:
            continue
        inner = None if pair.before is ABSENT or pair.after is ABSENT else _pairs(pair, redaction)
        if inner is None:
            if not same(pair.before, pair.after):
                yield Differs(pair.path.removeprefix("."), pair.names, pair.before, pair.after)
            continue
        stack += reversed(inner)


def _pairs(pair: _Pair, redaction: Redaction) -> list[_Pair] | None:
    """Return the parts of both that may differ; None if the two have to be compared as they are."""
    one, other = pair.before, pair.after
    kind = kind_of(one)
    if kind != kind_of(other) or (kind == "object" and type(one).__qualname__ != type(other).__qualname__):
        return None
    if kind == "object":
        theirs = field_names(other) or ()
        found = [
            (Part(name, name, f".{name}", getattr(other, name, None)), getattr(one, name, None))
            for name in field_names(one) or ()
            if name in theirs
        ]
    elif kind == "mapping":
        found = _entries(cast("Mapping[object, object]", one), cast("Mapping[object, object]", other))
    elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        found = _items(one, other)
    else:
        return None
    return [
        _Pair(pair.path + redaction.path_of(part), (*pair.names, redaction.name_of(part)), was, part.value)
        for part, was in found
        if was is not part.value
    ]


def _entries(one: Mapping[object, object], other: Mapping[object, object]) -> list[tuple[Part, object]]:
    found = []
    for number, (key, value) in enumerate(other.items()):
        was = one.get(key, ABSENT)
        if was is not value:
            found.append((entry(key, number, value), was))
    if len(one) + sum(was is ABSENT for _, was in found) > len(other):
        found += [(entry(key, number, ABSENT), value) for number, (key, value) in enumerate(one.items()) if key not in other]
    return found


def _items(one: Sequence[object], other: Sequence[object]) -> list[tuple[Part, object]]:
    """Pair the items between what both begin with and what both end with: one that was taken out is one difference."""
    least = min(len(one), len(other))
    begin = 0
    while begin < least and (one[begin] is other[begin] or same(one[begin], other[begin])):
        begin += 1
    end = 0
    while len(one) != len(other) and end < least - begin and same(one[-1 - end], other[-1 - end]):
        end += 1
    found = []
    for number in range(begin, max(len(one), len(other)) - end):
        was = one[number] if number < len(one) - end else ABSENT
        now = other[number] if number < len(other) - end else ABSENT
        found.append((Part(number, str(number), f"[{number}]", now), was))
    return found
