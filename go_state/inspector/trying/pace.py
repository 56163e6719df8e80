"""The pace of what takes long: how far it is, is said by the clock, not by a count of messages, which may take long each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from go_state.core.ports import Entry

Msg = TypeVar("Msg")

_EVERY = 0.05  # seconds


def paced(entries: Iterable[Entry[Msg]], progress: Callable[[int], object]) -> Iterator[Entry[Msg]]:
    """Give the entries, and call `progress` with the position 20 times a second, which may raise to end it."""
    due = time.monotonic() + _EVERY
    for entry in entries:
        if time.monotonic() > due:
            progress(entry.position)
            due = time.monotonic() + _EVERY
        yield entry
