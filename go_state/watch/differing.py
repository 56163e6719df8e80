"""In what two values of a model differ, for those who watch."""

from __future__ import annotations

from typing import Any

from go_state.core.strict import field_names

_SHORT = 1024  # characters, bytes or members: to compare so many costs about a microsecond


def unequal(one: Any, other: Any) -> bool:
    """Tell whether two values are unequal; those that cannot be compared are.

    Comparing calls the `__eq__` of users' classes, which may raise, as that of an array does, which has no single answer. Whoever
    looks at a program must not end it by that.
    """
    if one is other:
        return False
    if type(one) is not type(other):
        return True
    try:
        return bool(one != other)
    except Exception:
        return True


def differ(one: Any, other: Any) -> bool:
    """Tell whether two values are unequal, where what is large, and what has fields, is not compared: another one differs."""
    if one is other:
        return False
    if type(one) is not type(other):
        return True
    try:
        large = (len(one) > _SHORT or len(other) > _SHORT) if hasattr(one, "__len__") else bool(field_names(one))
    except Exception:
        return True
    return large or unequal(one, other)
