"""How far named readers have come, as far as that is not on disk yet: a flush writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from go_state.buffer.log import Log
from go_state.storage.journal.commit.flush_rules import FlushRules, NamedPosition
from go_state.storage.journal.commit.lease_holder import LeaseHolder


class Positions:
    """The positions of one journal's named readers; the log's lock guards them."""

    def __init__(self, log: Log[Any], lease: LeaseHolder, rules: FlushRules[Any]) -> None:
        self._log = log
        self._lease = lease
        self._rules = rules
        self._left: dict[str, int] = {}  # how far those had come that were closed, until that is on disk

    def moved(self) -> dict[str, int]:
        """Return those that are to be written. Lock held."""
        moved = dict(self._left)
        for each in self._log.cursors:
            if each.name and self._rules.has_moved(each):
                moved[each.name] = each.committed
        return moved

    def remember_left(self, cursor: NamedPosition) -> None:
        """Keep what a named reader has committed, which is being closed, for the next flush. Lock held."""
        if cursor in self._log.cursors and self._rules.has_moved(cursor):
            self._left[cursor.name] = cursor.committed  # its own messages may be pending: the two are written together

    def start_of(self, name: str) -> int | None:
        """Return the stored position of the reader of this name, None if it is new. Lock held."""
        return self._left.get(name, self._lease.stored.get(name))

    def written(self, positions: Mapping[str, int]) -> None:
        """Called when they are on disk. Lock held."""
        stored = self._lease.stored
        stored.update(positions)
        if self._left:
            self._left = {name: position for name, position in self._left.items() if stored.get(name) != position}
