"""Messages as they were put: the command `go-state journal show`, with what is put from now on if that is asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence

import orjson

from go_state.cli.opened import AnyJournal, find_journal, open_store
from go_state.cli.parameters import Db, Follow, From, Kind, Member, Name, Schema, Until
from go_state.cli.terminal import show_json
from go_state.core.errors import UsageError
from go_state.storage.journal.exchange import lines

_LOOK_SECONDS = 0.2  # between two looks at a store that another process writes: a file does not say when it has grown


def show_journal(
    db: Db,
    name: Name,
    start: From = None,
    until: Until = None,
    where: Member = None,
    kind: Kind = "",
    follow: Follow = False,
    schema: Schema = "go_state",
) -> None:
    """Print messages as lines of JSON: positions, times of entry, and of those that are passed over, why."""
    wanted = _Wanted(where or [], kind)
    if follow and until is not None:
        raise UsageError("--follow has no end, and --until says one: give one of them")
    with open_store(db, schema) as store:
        found = find_journal(store, name)
        given = _following(found, start) if follow else lines(found.history, found.set_aside(), start, until)
        try:
            for line in given:
                if wanted.has(line):
                    show_json(line.removesuffix(b"\n"))
        except KeyboardInterrupt:
            if not follow:  # which ends in no other way
                raise


def _following(journal: AnyJournal, start: int | None) -> Iterator[bytes]:
    """Give what is there, and then what comes, as often as a look finds something."""
    position = start
    while True:
        journal.lease.refresh()
        end = journal.statistics().end
        if position is None or position < end:
            yield from lines(journal.history, journal.set_aside(), position, end)
            position = end
        time.sleep(_LOOK_SECONDS)


class _Wanted:
    """Which messages are to be shown: those of a class, with values in fields."""

    def __init__(self, where: Sequence[str], kind: str) -> None:
        self._kind = kind
        self._members: list[tuple[str, str]] = []
        for each in where:
            name, equals, value = each.partition("=")
            if not (name and equals):
                raise UsageError(f"--where says what a field holds, as customer=c1, not {each!r}")
            self._members.append((name, value))

    def has(self, line: bytes) -> bool:
        """Return whether the message of the line is one of them."""
        if not self._members and not self._kind:
            return True
        message = orjson.loads(line)["message"]
        tagged = isinstance(message, list) and len(message) == 2 and isinstance(message[0], str)
        kind, fields = message if tagged else ("", message)
        if self._kind and kind != self._kind:
            return False
        return all(_holds(fields, name, value) for name, value in self._members)


def _holds(fields: object, name: str, value: str) -> bool:
    """Return whether the field has the value, written as text or as JSON; a path such as customer.id leads into what it holds."""
    for part in name.split("."):
        if not isinstance(fields, dict) or part not in fields:
            return False
        fields = fields[part]
    return fields == value or (not isinstance(fields, str) and json.dumps(fields) == value)
