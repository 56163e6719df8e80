"""Points at which a test can make the process end: `gs.testing.crash_at(point)`.

    flush        before-flush, after-flush           what is durable moves in between
    snapshot     before-snapshot, after-snapshot     the same of a flush that writes one
    a part       after-part                          of a large snapshot, before the snapshot itself
    truncation   before-truncate, after-truncate
    a rewriting  after-stage, before-switch, after-switch   what is rewritten is staged, and then counts, in one step
    a file       before-exchange, after-exchange      it is compacted, or backed up, and gets its name
    a copy       before-upload, after-upload         of a partition's file, into an object store
    a command    command-begins, command-delivered   one that goes on after its turn; its message is enqueued after the second

They cost a comparison, whether `Watch.reached` is None, and lie on no path that every message takes.
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
    "after-stage",
    "before-switch",
    "after-switch",
    "before-exchange",
    "after-exchange",
    "before-upload",
    "after-upload",
    "command-begins",
    "command-delivered",
)
"""Where `crash_at` can end the process: before and after each write, when a command begins, and when its message is delivered."""


class Watch:
    """The function to call; the only state here that a whole process shares, because it ends as a whole."""

    reached: Callable[[str], object] | None = None


def reach(point: str) -> None:
    """Call the function that watches, with the point that was reached."""
    if Watch.reached is not None:
        Watch.reached(point)


def watch(reached: Callable[[str], object] | None) -> None:
    """Set the function that is called at each point; None ends that."""
    Watch.reached = reached
