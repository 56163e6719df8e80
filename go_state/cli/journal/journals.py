"""Messages as they were put: the commands below `go-state journal`."""

from __future__ import annotations

import os
from typing import TypedDict

from go_state.cli.opened import find_journal, import_program, open_store, store_to_fill
from go_state.cli.output import bar, output, print_json, print_table, with_bar
from go_state.cli.parameters import Db, File, Json, Name, Position, Schema, Target
from go_state.cli.terminal import show
from go_state.core.errors import UsageError
from go_state.modes.keeping.keyframes import set_message_type
from go_state.storage.journal.exchange import lines
from go_state.storage.journal.journal import Journal

_SOME = 5  # of many messages that were set aside this many are named


class Described(TypedDict):
    """A journal as a line of a list."""

    name: str
    start: int
    end: int
    readers: dict[str, int]
    aside: dict[str, str]


def list_journals(db: Db, as_json: Json = False, schema: Schema = "go_state") -> None:
    """List the journals: where they begin and end, how far their readers have come, and what is passed over."""
    with open_store(db, schema, readonly=True) as store:
        rows: list[Described] = []
        for name in store.journal_names():
            found = store.journal(name)
            statistics, aside = found.statistics(), {str(position): why for position, why in sorted(found.set_aside().items())}
            start, end, readers = statistics.start, statistics.end, found.cursors()
            rows.append(Described(name=name, start=start, end=end, readers=readers, aside=aside))
    if as_json:
        print_json(rows)
        return
    cells = []
    for row in rows:
        come = ", ".join(f"{name}: {position}" for name, position in row["readers"].items())
        passed_over = [f"{position}: {why}" for position, why in row["aside"].items()]
        more = [f"and {len(passed_over) - _SOME:,} more"] if len(passed_over) > _SOME else []
        cells.append((row["name"], row["start"], row["end"], come, ", ".join([*passed_over[:_SOME], *more])))
    print_table(("journal", "start", "end", "readers", "set aside"), cells)


def export_journal(db: Db, name: Name, path: File, schema: Schema = "go_state") -> None:
    """Write a journal as JSON Lines."""
    with open_store(db, schema, readonly=True) as store, output(store, path) as file:
        found = find_journal(store, name)
        statistics = found.statistics()
        for line in with_bar("export", lines(found.history, found.set_aside()), statistics.end - statistics.start):
            file.write(line)


def import_journal(db: Db, name: Name, path: File, target: Target, schema: Schema = "go_state") -> None:
    """Append the messages of JSON Lines (- for standard input) to a program's journal; none of them if one does not fit."""
    path = "/dev/stdin" if path == "-" else path
    program = import_program(target)
    with store_to_fill(db, schema) as store:
        found: Journal[object] = store.journal(name)
        set_message_type(found, program)
        with bar("import", _twice_its_lines(path)) as advance:
            number = found.import_from(path, progress=advance)
        show(f"{number:,} messages imported")


def truncate_journal(db: Db, name: Name, before: Position, schema: Schema = "go_state") -> None:
    """Forget the messages before a position, which every reader must have passed."""
    with open_store(db, schema) as store:
        show(f"{name} begins at {find_journal(store, name).truncate(before)}")


def skip_message(db: Db, name: Name, position: Position, schema: Schema = "go_state") -> None:
    """Set one message aside, so that its program and every replay pass over it."""
    with open_store(db, schema) as store:
        find_journal(store, name).skip(position)
        show(f"{name} passes over position {position}")


def _twice_its_lines(path: str) -> int | None:
    """Return how many lines an import reads, each twice; None for what can be read only once, such as a pipe."""
    if not os.path.exists(path) or os.path.isdir(path):
        raise UsageError(f"{path} is not a file: give the path of JSON Lines, or - for standard input")
    if not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as file:
            return 2 * sum(1 for _ in file)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
