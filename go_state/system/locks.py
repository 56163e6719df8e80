"""Whose a lock is: what a finalizer or a signal handler has to know, which may interrupt the thread that holds it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, TypeAlias

Lock: TypeAlias = AbstractContextManager[object]
"""A `threading.Lock` or `RLock`; the first of which does not know whose it is."""


def is_held_here(lock: Any) -> bool:
    """Return whether this thread holds the reentrant lock; `threading.Condition` asks it the same way."""
    held: bool = lock._is_owned()
    return held
