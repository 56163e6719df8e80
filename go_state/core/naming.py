"""Names under which classes are stored, so that a class may move or be renamed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from go_state.core.errors import UsageError

Class = TypeVar("Class", bound=type)

_ATTRIBUTE = "__go_state_names__"


def stored_as(stored: str, *, was: tuple[str, ...] = ()) -> Callable[[Class], Class]:
    """Store instances of the class as `stored`, and read those stored as one of `was` as well.

    Without it a class is stored under its own name, without its module.

    >>> @stored_as("Add", was=("Plus",))
    ... class Increase: ...
    >>> names_of(Increase)
    ('Add', 'Plus')
    """
    names = (stored, *was)
    if isinstance(was, str) or not all(isinstance(each, str) and each for each in names):
        raise UsageError('a stored name is a non-empty string and `was` a tuple of them: @gs.stored_as("Add", was=("Plus",))')

    def decorate(cls: Class) -> Class:
        setattr(cls, _ATTRIBUTE, names)
        return cls

    return decorate


def names_of(cls: type) -> tuple[str, ...]:
    """Return the name the class is stored under, then those it was stored under before."""
    cls = (
        getattr(cls, "__pydantic_generic_metadata__", {}).get("origin") or cls
    )  # pydantic makes a class of Box[int], as no other does
    own: tuple[str, ...] = vars(cls).get(_ATTRIBUTE, (cls.__name__,))  # vars: a subclass does not inherit its base's name
    return own


def number_or_kind(value: object) -> str:
    """Return a number as it is, and of anything else its kind, which quotes nothing: for an error that says what was given."""
    return repr(value) if type(value) in (int, float) else f"a {type(value).__qualname__}"
