"""Values: the newest of something, and those who watch it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

Got = TypeVar("Got", covariant=True)
Held = TypeVar("Held")


@runtime_checkable
class Watcher(Protocol[Got]):
    """One reader of a value, in any thread or event loop: it is given the newest, and never one that is older than what it had."""

    @property
    def version(self) -> int:
        """The version last given."""
        ...

    def get(self, timeout: float | None = None) -> Got:
        """Return the newest value if it is newer than what was given last, or wait up to `timeout` seconds for one. Raises `TimedOut`
        and `Closed`.
        """
        ...

    async def get_async(self, timeout: float | None = None) -> Got:
        """Return the newest value as `get` does, waiting on the event loop; a cancelled wait takes nothing."""
        ...

    def get_nowait(self) -> Got:
        """Return the newest value, or raise `Empty` when there is none that was not given yet."""
        ...

    def close(self) -> None:
        """End the watcher, and a get that waits. A second call is harmless."""
        ...


@runtime_checkable
class Value(Protocol[Held]):
    """A value of which everybody sees the newest: `gs.Value`, and those of `gs.values`, whose `set` and `update` ask a server."""

    def watch(self, *, since: int = 0, every: float = 0.0) -> Watcher[Held]:
        """Return a watcher, which is given no version up to `since`, and values at least `every` seconds apart."""
        ...

    def peek(self, default: Any = ...) -> Held:  # Any: whatever is to stand in for the value
        """Return the current value without waiting; `default` while there is none, or else raise `Empty`."""
        ...

    @property
    def version(self) -> int:
        """The version of the current value, which every newer one exceeds; 0 while there is none."""
        ...

    def versioned(self) -> tuple[int, Held]:
        """Return the version and the value of one moment. Raises `Empty` when there is none."""
        ...

    def set(self, value: Held) -> int:
        """Set the value and return its version. Raises `Closed` at the end."""
        ...

    def update(self, fn: Callable[[Held], Held]) -> Held:
        """Set the value to `fn` of the newest and return it; if somebody else sets it first, `fn` is called again."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the value has ended: watchers get what they have not seen, and then `Closed`."""
        ...
