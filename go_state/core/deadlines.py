"""Timeouts: how long a wait may last, checked before it begins."""

from __future__ import annotations

import time

from go_state.core.errors import UsageError


def check_timeout(timeout: float | None) -> None:
    """Raise `UsageError` unless it is a number of seconds, or None; a wait of no or of fewer seconds only looks."""
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout == timeout):  # NaN is not itself
        raise UsageError(f"timeout is a number of seconds, or None to wait as long as it takes, not {timeout!r}")


def deadline(timeout: float | None) -> float | None:
    """Return when the timeout is over, of the monotonic clock; None for never. Raises as `check_timeout` does."""
    check_timeout(timeout)
    return None if timeout is None else time.monotonic() + timeout
