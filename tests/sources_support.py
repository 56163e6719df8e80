"""What the tests of sources share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from go_state.core.ports import Undecoded


def messages(reading: Iterable[Any]) -> list[Any]:
    """Return what a source gives, and raise what it says of the first record that is no message."""
    found = []
    for each in reading:
        if isinstance(each, Undecoded):
            raise each.error
        found.append(each)
    return found
