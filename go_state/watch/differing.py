"""Whether two values of a model differ, as far as watchers are concerned."""

from __future__ import annotations

from collections.abc import Sized

from go_state.core.fields import field_names

_SHORT = 1024  # characters, bytes or members: comparing that many costs about a microsecond


def unequal(one: object, other: object) -> bool:
    """Return whether two values are unequal; values that cannot be compared are.

    Comparing calls the `__eq__` of users' classes, which may raise, as that of an array does, which has no single answer. Whoever
    watches a program must not end it by that.
    """
    if one is other:
        return False
    if type(one) is not type(other):
        return True
    try:
        return bool(one != other)
    except Exception:
        return True


def differ(one: object, other: object) -> bool:
    """Return whether two values differ. What is large, or has fields, is not compared: another object counts as different."""
    if one is other:
        return False
    if type(one) is not type(other):
        return True
    try:
        large = _is_long(one) or _is_long(other) if isinstance(one, Sized) else bool(field_names(one))
    except Exception:
        return True
    return large or unequal(one, other)


def _is_long(value: object) -> bool:
    return isinstance(value, Sized) and len(value) > _SHORT
