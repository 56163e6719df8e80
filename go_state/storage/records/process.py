"""What a process and its stores have to do with each other when it forks and when it ends.

A forked child has copies of its parent's stores, journals and locks, and must use none of them: the file and the connections are
the parent's, and a lock that another thread held at the fork is released by nobody there. At the end of a process what was put
into journals that nobody has closed is written.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NoReturn, Protocol

from go_state.core.errors import StoreUnavailable


class Flushes(Protocol):
    """Something that may have messages to write."""

    def flush(self) -> object:
        """Write them."""
        ...


class InheritedLock:
    """In a forked child, what stands in the place of a lock: whoever takes it is told that the store is its parent's."""

    def __init__(self, check_usable: Callable[[], object]) -> None:
        self._check_usable = check_usable  # which raises, and knows what to say

    def acquire(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise `StoreUnavailable`."""
        self._check_usable()
        raise StoreUnavailable("the store was opened before this process was forked: open it in the child")

    __enter__ = acquire

    def __exit__(self, *error: object) -> None:
        """Nothing was taken."""

    def _is_owned(self) -> bool:
        return False

    def release(self) -> None:
        """Nothing was taken, unless before the fork, by the thread that forked."""


_written: set[Flushes] = set()  # the journals whose lease this process has: alive, though nobody refers to them


def keep_until_written(journal: Flushes) -> None:
    """Have the journal flushed at the end of the process, unless it is closed before."""
    _written.add(journal)


def is_written(journal: Flushes) -> None:
    """Let go of a journal that has nothing more to write."""
    _written.discard(journal)


def let_go_of_all() -> None:
    """In a forked child: they are the parent's to write."""
    _written.clear()


def _write_all() -> None:
    """Write what is left; where one journal fails the others are written, and the error is shown."""
    with ExitStack() as flushes:
        for journal in tuple(_written):
            flushes.callback(journal.flush)


atexit.register(_write_all)
