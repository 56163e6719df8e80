"""Which subjects may be partitions: those of which none can have a message of another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from go_state.core.errors import UsageError


def checked_subjects(subjects: Sequence[str]) -> tuple[str, ...]:
    """Return the subjects; `UsageError` if there are none, or two of them have messages in common."""
    if isinstance(subjects, str) or not subjects or not all(isinstance(each, str) and each for each in subjects):
        raise UsageError('subjects= is a list of subjects, each read as one partition, as in ["orders.0.>", "orders.1.>"]')
    for one, other in combinations(subjects, 2):
        if _overlap(one.split("."), other.split(".")):
            raise UsageError(f"the subjects {one!r} and {other!r} have messages in common, which would be processed twice")
    return tuple(subjects)


def _overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    for a, b in zip(one, other, strict=False):
        if ">" in (a, b):
            return True
        if a != b and "*" not in (a, b):
            return False
    return len(one) == len(other)
