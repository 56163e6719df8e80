"""Dying on purpose, as kill -9 does, at a point that has a name."""

from __future__ import annotations

import os
import signal

from go_state.core.errors import UsageError
from go_state.system.crash_points import CRASH_POINTS, watch


def crash_at(point: str, nth: int = 1) -> None:
    """Kill this process with SIGKILL when it comes to the point for the nth time; call it in a child of the test.

    `gs.testing.CRASH_POINTS` are the points. What is durable moves between before-flush and after-flush, before-snapshot and
    after-snapshot, before-truncate and after-truncate; after-part is between two parts of a large snapshot. What `rewrite` writes
    is staged at after-stage, and counts between before-switch and after-switch. A file that is compacted or backed up gets its name
    between before-exchange and after-exchange. A command that goes on after its turn begins at command-begins, and its message is in
    the queue at command-delivered. Raises `UsageError` for another.
    """
    if point not in CRASH_POINTS:
        raise UsageError(f"{point!r} is not a point to crash at: there are {', '.join(CRASH_POINTS)}")
    if type(nth) is not int or nth < 1:
        raise UsageError(f"nth is a whole number from 1, not {nth!r}")
    left = nth

    def reached(found: str) -> None:
        nonlocal left
        left -= found == point
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    watch(reached)
