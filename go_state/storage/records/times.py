"""When the messages of a journal were put: runs of messages that share a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Times(NamedTuple):
    """When `number` messages, one after the other, were put: microseconds since 1970, UTC."""

    number: int
    at: int


def split(times: Sequence[Times], count: int) -> tuple[list[Times], list[Times]]:
    """Return the times of the first `count` messages, and of the others."""
    if len(times) == 1 and times[0].number == count:
        return list(times), []
    first: list[Times] = []
    for index, (number, at) in enumerate(times):
        if number >= count:
            rest = [Times(number - count, at)] if number > count else []
            return [*first, Times(count, at)] if count else first, [*rest, *times[index + 1 :]]
        first.append(Times(number, at))
        count -= number
    return first, []


def after(times: Sequence[Times], count: int) -> list[Times]:
    """Return the times of the messages after the first `count`."""
    return split(times, count)[1]


def merged(times: Sequence[int]) -> list[Times]:
    """Return runs of the times (nanoseconds): messages put within a millisecond of a run's first share its time."""
    if len(times) == 1:
        return [Times(1, times[0] // 1000)]
    runs, first, number = [], times[0], 0
    for at in times:
        if at - first >= 1_000_000 or at < first:
            runs.append(Times(number, first // 1000))
            first, number = at, 0
        number += 1
    runs.append(Times(number, first // 1000))
    return runs
