"""What is written at the end of a process: journals that are not closed, whose lease this process has.

They are kept alive here, though nothing else may refer to them. A forked child writes none of them: they are its parent's.
"""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from typing import Protocol

from go_state.system.forks import at_fork


class Flushed(Protocol):
    """Something that may have to be written at the end of the process."""

    def flush(self) -> object:
        """Write what is left."""
        ...


class AtExit:
    """What is flushed at the end of the process, unless it is closed before."""

    def __init__(self) -> None:
        self._flushed: set[Flushed] = set()

    def add(self, flushed: Flushed) -> None:
        """Flush this at the end of the process."""
        self._flushed.add(flushed)

    def discard(self, flushed: Flushed) -> None:
        """Stop keeping something that has nothing more to write."""
        self._flushed.discard(flushed)

    def after_fork_in_child(self) -> None:
        """Called in a forked child: they are the parent's to write."""
        self._flushed.clear()

    def flush(self) -> None:
        """Write what is left; if one fails the others are written all the same, and the error is shown."""
        with ExitStack() as flushes:
            for each in tuple(self._flushed):
                flushes.callback(each.flush)


at_exit = AtExit()
at_fork(at_exit)
atexit.register(at_exit.flush)
