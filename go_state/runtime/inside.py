"""Whether the calling code is a part of a run, so that it would wait for itself if it waited for the run.

A context variable holds the parts that the calling code belongs to: the turns of an app, what a middleware does after one, a command,
a stream. Contexts are copied into tasks and threads, and so a task that a command has made counts as the command. A copy may outlive
the code it was made in, so a part knows when it is over. One part stands for all turns of an app, because to set a variable for each
would cost a tenth of a turn; it counts only in the thread or task that takes them, and whatever else a turn begins runs by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from go_state.system.running import running_task


class Inside(Protocol):
    """What the variable holds: a `Part`, or a running effect, which is one without another object."""

    is_turn: bool

    def is_of(self, run: object) -> bool:
        """Return whether the calling code is in this part, and the part in the run."""
        ...


class Part:
    """Something that a run waits for: one of its turns, or something that it ends before it is over itself."""

    __slots__ = ("_host", "_run", "is_turn", "over")

    def __init__(self, run: object, *, is_turn: bool, host: object = None) -> None:
        self._run = run
        self._host = host  # the thread or task in which alone it counts; None for all that have a copy of it
        self.is_turn = is_turn
        self.over = False

    def is_of(self, run: object) -> bool:
        """Return whether the calling code is in this part, and the part in the run."""
        if self._run is not run or self.over:
            return False
        return self._host is None or self._host is threading.current_thread() or self._host is running_task()


parts: ContextVar[tuple[Inside, ...]] = ContextVar("go_state_parts", default=())


def begin_turns(run: object) -> Part:
    """Make the calling thread or task count as the turns of the run, and of no other, until the part is over."""
    part = Part(run, is_turn=True, host=running_task() or threading.current_thread())
    parts.set((part,))
    return part


def enter(part: Inside) -> None:
    """Make the calling task or thread this part of a run, which waits for it, in its own copy of the context, until the part is over."""
    inside = parts.get()
    parts.set((*inside, part) if inside else (part,))


@contextmanager
def in_turn(run: object) -> Iterator[Part]:
    """Make the block, and the tasks and threads that it begins, count as a turn of the run until it ends."""
    part = Part(run, is_turn=True)
    token = parts.set((*parts.get(), part))
    try:
        yield part
    finally:
        part.over = True
        parts.reset(token)


def takes_turn_of(run: object) -> bool:
    """Return whether the calling code is in a turn of the run."""
    inside = parts.get()  # usually none, and then no generator is made, which for `apply` counts
    return bool(inside) and any(part.is_turn and part.is_of(run) for part in inside)


def is_part_of(run: object) -> bool:
    """Return whether the run waits for the calling code before it ends."""
    inside = parts.get()
    return bool(inside) and any(part.is_of(run) for part in inside)
