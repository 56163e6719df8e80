"""Messages as they were put: the command `go-state journal show`, which can go on with what is put from now on."""

from __future__ import annotations

import time
from collections.abc import Iterator

import orjson

from go_state.cli.conditions import Members
from go_state.cli.opened import find_journal, open_store
from go_state.cli.parameters import Db, Follow, From, Kind, Member, Name, Schema, Until
from go_state.cli.terminal import show_json
from go_state.core.errors import UsageError
from go_state.storage.journal.exchange import lines
from go_state.storage.journal.journal import Journal

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
    wanted = Members(where or (), kind)
    if follow and until is not None:
        raise UsageError("--follow has no end, and --until says one: give one of them")
    with open_store(db, schema, readonly=True) as store:
        found = find_journal(store, name)
        given = _following(found, start) if follow else lines(found.history, found.set_aside(), start, until)
        try:
            for line in given:
                if not wanted or wanted.hold(orjson.loads(line)["message"]):
                    show_json(line.removesuffix(b"\n"))
        except KeyboardInterrupt:
            if not follow:  # which ends in no other way
                raise


def _following(journal: Journal[object], start: int | None) -> Iterator[bytes]:
    """Give what is there, and then what comes, as often as a look finds something."""
    position = start
    while True:
        journal.lease.refresh()
        end = journal.statistics().end
        if position is None or position < end:
            yield from lines(journal.history, journal.set_aside(), position, end)
            position = end
        time.sleep(_LOOK_SECONDS)
