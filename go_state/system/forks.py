"""What a forked child inherits: buffers, apps, stores and their locks stay the parent's, whose threads do not run in the child.

A lock that one of those threads held at the fork would never be released, and a message that is put would never be read. So whatever
threads share is registered here with `share`. After a fork its `forget_parent` is called in the child, which replaces its locks by
`parents(...)`: from then on every use raises, instead of waiting for ever. This is the one way in which a fork is noticed; nothing
compares process ids.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NoReturn, Protocol
from weakref import WeakSet

from go_state.core.errors import UsageError


class Shared(Protocol):
    """Something that threads share."""

    def forget_parent(self) -> None:
        """Called in a forked child: from here on every use raises, and none waits."""
        ...


class InParent:
    """Stands in a forked child for a lock, or for anything else that is the parent's: every use of it raises.

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


_SHARED: WeakSet[Any] = WeakSet()


def share(shared: Shared) -> None:
    """Call its `forget_parent` in every child that is forked from here on."""
    _SHARED.add(shared)


def parents(what: str, check: Callable[[], object] | None = None) -> Any:
    """Return what stands in a forked child for something of the parent's: a lock, a method, a list. See `InParent`."""
    return InParent(what, check)


def free(lock: Any) -> None:
    """In a forked child: release a lock whose holder, if there is one, is a thread that does not live here."""
    lock._at_fork_reinit()  # as threading's own do it: a reentrant one can be released by nobody but its holder


def _forget_parent() -> None:
    for shared in list(_SHARED):
        shared.forget_parent()


if hasattr(os, "register_at_fork"):  # where there is no fork, there is no child
    os.register_at_fork(after_in_child=_forget_parent)
