"""Timeouts: how long a wait may last, checked before it begins."""

from __future__ import annotations

import time

from go_state.core.errors import UsageError

_LONGEST = 1e9  # seconds, thirty years: an int of any size may be given, and a float has an end


def check_timeout(timeout: float | None) -> None:
    """Raise `UsageError` unless the timeout is a number of seconds, or None. A wait of 0 seconds or fewer only looks."""
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout == timeout):  # NaN is not itself
        raise UsageError(f"timeout is a number of seconds, or None to wait as long as it takes, not {timeout!r}")


def deadline(timeout: float | None) -> float | None:
    """Return when the timeout is over, as a time of the monotonic clock; None for never. Raises `UsageError` as `check_timeout` does."""
    check_timeout(timeout)
    return None if timeout is None else time.monotonic() + min(timeout, _LONGEST)


def is_number(value: object) -> bool:
    """Return whether the value is a number, and not NaN or True, which count as one by chance."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
