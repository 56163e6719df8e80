"""Retention: pure functions that say how many of the oldest messages a buffer may forget.

A policy is called as `policy(size, offsets)` after something changed: `size` messages are retained, and `offsets` says for each
open reader how many of them it has committed (negative: it was trimmed past). It returns how many to drop, and it is never called
under a lock, so it may use the buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from go_state.core.errors import UsageError

Retention: TypeAlias = Callable[[int, Sequence[int]], int]


def drop_committed(size: int, offsets: Sequence[int]) -> int:
    """Drop what every reader has committed; keep all while there is no reader. The default.

    As every retention, it is given the `size` of what is kept and the readers' `offsets` in it, and returns how many messages
    to drop.

    >>> drop_committed(5, [3, 2]), drop_committed(5, []), drop_committed(5, [-1, 4]), drop_committed(5, [9])
    (2, 0, 4, 5)
    """
    reading = [offset for offset in offsets if offset >= 0]  # one that was trimmed past holds nothing back
    return min(size, *reading) if reading else 0


def keep_all(size: int, offsets: Sequence[int]) -> int:
    """Drop nothing, ever: a late reader gets every message since the beginning.

    It is given `size` and `offsets` as every retention is.
    """
    return 0


class Trimming(NamedTuple):
    """What a `fixed` policy is about to do: `trim` of `size` messages go, so that `target` are left."""

    maximum: int
    target: int
    size: int
    offsets: tuple[int, ...]
    trim: int


def fixed(maximum: int, target: int | None = None, *, callback: Callable[[Trimming], object] | None = None) -> Retention:
    """Keep at most `maximum` messages: beyond that trim to `target` (by default the maximum), committed or not.

    `callback` sees each trimming before it happens. A reader that was trimmed past gets `Lagged` and can `seek`. Raises
    `UsageError` for sizes that contradict each other.

    >>> fixed(4, 2)(5, [0])
    3
    """
    goal = maximum if target is None else target
    if maximum < 1 or not 0 <= goal <= maximum:
        raise UsageError(
            f"fixed(maximum, target) needs 0 <= target <= maximum and maximum >= 1, not maximum={maximum}, target={goal}"
        )

    def policy(size: int, offsets: Sequence[int]) -> int:
        if size <= maximum:
            return drop_committed(size, offsets)
        if callback is not None:
            callback(Trimming(maximum, goal, size, tuple(offsets), size - goal))
        return size - goal

    return policy
