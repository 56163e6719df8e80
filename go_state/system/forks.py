"""What a forked child inherits of ours: it stays the parent's, whose threads and tasks do not go on in the child.

A lock that one of them held at the fork would never be released, and what is put would be taken by nobody. So whatever threads share
is registered here, and in a child it raises `UsageError` where it would wait, or take something.
"""

from __future__ import annotations

import os
from typing import Any, NoReturn, Protocol
from weakref import WeakSet

from go_state.core.errors import UsageError


class Shared(Protocol):
    """Something that threads share."""

    def forget_parent(self) -> None:
        """In a forked child: let nobody wait, and nobody be promised anything."""
        ...


class InParent:
    """What stands in the child in the place of a lock, or of anything else that is the parent's: every use of it raises."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def _refuse(self, *_: object) -> NoReturn:
        raise UsageError(
            f"{self._what} was made before this process was forked, and goes on in the parent alone: make one after the fork, in the "
            f"process that uses it"
        )

    __enter__ = __call__ = __iter__ = __getitem__ = __getattr__ = _refuse

    def __exit__(self, *_: object) -> None:
        """Do nothing: no block was entered."""


_SHARED: WeakSet[Any] = WeakSet()


def share(shared: Shared) -> None:
    """Have it forget its parent in every child that is forked from here on."""
    _SHARED.add(shared)


def parents(what: str) -> Any:
    """Return what stands in a forked child in the place of what is the parent's."""
    return InParent(what)


def free(lock: Any) -> None:
    """In a forked child: release a lock whose holder, if there is one, is a thread that does not live here."""
    lock._at_fork_reinit()  # as threading's own do it: a reentrant one can be released by nobody but its holder


def _forget_parent() -> None:
    for shared in list(_SHARED):
        shared.forget_parent()


if hasattr(os, "register_at_fork"):  # where there is no fork, there is no child
    os.register_at_fork(after_in_child=_forget_parent)
