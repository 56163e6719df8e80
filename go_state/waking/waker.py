"""What wakes one sleeper: the protocol that a thread's waker and a task's have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class Waker(Protocol):
    """Wakes one sleeper, once; may be called by any number of threads at the same time, as often as they like."""

    @property
    def loop(self) -> AbstractEventLoop | None:
        """The event loop of the task that sleeps; None for a thread."""
        ...

    @property
    def is_dead(self) -> bool:
        """Whether there is no sleeper any more, because its event loop was closed."""
        ...

    def wake(self) -> None:
        """Wake the sleeper, also from a finalizer or a signal handler. Never raises; a second call does nothing."""
        ...

    def wake_in_loop(self) -> None:
        """Wake the sleeper, called in the thread of its own event loop, by a callback of that loop."""
        ...
