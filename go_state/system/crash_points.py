"""Points at which a test can have the process die: `gs.testing.crash_at(point)`.

    flush        before-flush, after-flush           what is durable moves in between
    snapshot     before-snapshot, after-snapshot     the same of a flush that writes one
    a part       after-part                          of a large snapshot, before the snapshot itself
    truncation   before-truncate, after-truncate
    a command    command-begins, command-lands       one that goes on after its turn; its message enters after the second

They cost a comparison, and lie on no path that every message takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

CRASH_POINTS: Final = (
    "before-flush",
    "after-flush",
    "before-snapshot",
    "after-snapshot",
    "after-part",
    "before-truncate",
    "after-truncate",
    "command-begins",
    "command-lands",
)


class _Watch:
    """Who wants to know; the one thing here that a whole process shares, as it dies as a whole."""

    reached: Callable[[str], object] | None = None


def reach(point: str) -> None:
    """Come to a point."""
    if _Watch.reached is not None:
        _Watch.reached(point)


def watch(reached: Callable[[str], object] | None) -> None:
    """Have the function called at each point, or nothing any more."""
    _Watch.reached = reached
