"""What a forked child inherits of ours: it stays the parent's, whose threads and tasks do not go on in the child.

A lock that one of them held at the fork would never be released, and what is put would be taken by nobody. So whatever threads share
registers itself with `at_fork`, and in a child every use of it that would wait, or take something, raises `UsageError`. What can go on
in the child makes itself anew instead, such as a thread that is started with its next call.

An object does three things in its `after_fork_in_child`, in this order: it puts `belongs_to_parent(...)` in the place of its lock and of
whatever else is the parent's, remembers that it is in a child if `close` must stay harmless, and calls `reset_lock` with the lock it had,
because a finalizer may still hold it by another name.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NoReturn, Protocol
from weakref import WeakSet

from go_state.core.errors import UsageError


class Forkable(Protocol):
    """Something that threads share, and that a forked child inherits."""

    def after_fork_in_child(self) -> None:
        """Called in the only thread of a child, before anything else runs there; must neither wait nor raise."""
        ...


class InParent:
    """What stands in a child in the place of a lock, or of anything else that is the parent's: every use of it raises.

    It raises what `check` raises, if there is one that knows better what to say, or else `UsageError`.
    """

    __slots__ = ("_check", "_what")

    def __init__(self, what: str, check: Callable[[], object] | None = None) -> None:
        self._what = what
        self._check = check

    def _refuse(self, *_: object) -> NoReturn:
        if self._check is not None:
            self._check()
        raise UsageError(
            f"{self._what} was made before this process was forked, and goes on in the parent alone: make one after the fork, in the "
            f"process that uses it"
        )

    __enter__ = __call__ = __iter__ = __getitem__ = __getattr__ = _refuse

    def __exit__(self, *_: object) -> None:
        """Do nothing: no block was entered."""

    def release(self) -> None:
        """Do nothing: a lock that is released here was acquired before the fork, by the thread that forked."""


_inherited: WeakSet[Forkable] = WeakSet()


def at_fork(shared: Forkable) -> None:
    """Call its `after_fork_in_child` in every child that is forked from now on, as long as the object lives."""
    _inherited.add(shared)


def belongs_to_parent(what: str, check: Callable[[], object] | None = None) -> Any:  # in the place of anything: a lock, a list
    """Return what stands in a forked child in the place of something that is the parent's; `what` names it in the error.

    `check` is called at each use, to raise an error that says more.
    """
    return InParent(what, check)


def reset_lock(lock: Any) -> None:  # a Lock or RLock, whose types have no such method for type checkers
    """Release a lock in a forked child, whose holder, if it has one, is a thread that does not exist there."""
    lock._at_fork_reinit()  # as threading's own do: a reentrant lock can be released by nobody but its holder


def _after_fork_in_child() -> None:
    for shared in list(_inherited):
        shared.after_fork_in_child()


if hasattr(os, "register_at_fork"):  # Windows has no fork, and so no child
    os.register_at_fork(after_in_child=_after_fork_in_child)
