"""Models as they were saved: the commands below `go-state snapshots`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TypedDict

from go_state.cli.opened import import_program, open_store
from go_state.cli.output import bar, output, print_json, print_json_list, print_table
from go_state.cli.parameters import Db, Json, Key, KeyframePosition, OptionalTarget, OutputFile, Schema
from go_state.cli.terminal import show, show_json
from go_state.core.errors import UsageError
from go_state.core.ports import Position
from go_state.history.check_store import check_store
from go_state.storage.backends.record_store import RecordStore
from go_state.storage.journal.exchange import as_member
from go_state.storage.snapshots.snapshot import is_envelope, read_envelope


class Described(TypedDict):
    """A snapshot as a line of a list, and of an export."""

    key: str
    schema: str
    number: int
    revision: int
    positions: dict[str, Position]
    bytes: int


def list_snapshots(db: Db, as_json: Json = False, schema: Schema = "go_state") -> None:
    """List the snapshots: key, schema, revision, the position of the journal or sources, and size."""
    with open_store(db, schema, readonly=True) as store:
        rows = (_described(key, data) for key, data in _snapshots(store))
        if as_json:
            print_json_list(rows)
        else:
            print_table(("key", "schema", "revision", "positions", "bytes"), map(_cells, rows))


def _cells(row: Described) -> tuple[object, ...]:
    positions = ", ".join(f"{name}: {position}" for name, position in row["positions"].items())
    return row["key"], f"{row['schema']} {row['number']}", row["revision"], positions, f"{row['bytes']:,}"


def show_snapshot(
    db: Db,
    key: Key,
    position: KeyframePosition = None,
    schema: Schema = "go_state",
) -> None:
    """Print one snapshot's model as JSON."""
    with open_store(db, schema, readonly=True) as store:
        stored = store.load(key) if position is None else store.load_keyframe(key, position)
        if stored is None:
            kept = f"; keyframes are kept at {store.keyframes(key)}" if position is not None else ""
            raise UsageError(f"there is no such snapshot under {key!r}{kept}")
        show_json(read_envelope(key, stored.data).payload)


def export_snapshots(
    db: Db,
    path: OutputFile = "-",
    schema: Schema = "go_state",
) -> None:
    """Write every snapshot as a line of JSON: key, schema, revision, positions and model (in base64, if its codec makes no JSON)."""
    with open_store(db, schema, readonly=True) as store, output(store, path) as file:
        for key, data in _snapshots(store):
            row = json.dumps(_described(key, data))
            file.write(row[:-1].encode() + b", " + as_member(read_envelope(key, data).payload) + b"}\n")


def check_snapshots(
    db: Db,
    target: OptionalTarget = None,
    as_json: Json = False,
    schema: Schema = "go_state",
) -> None:
    """Read every record of the file, and with a program, read its models and messages with today's types and migrations."""
    with open_store(db, schema, readonly=True) as store:
        store.check_damage()
        checked = None
        if target is not None:
            with bar("check", _records(store)) as advance:
                checked = check_store(import_program(target), store, progress=advance)
    findings = () if checked is None else checked.findings
    if as_json:
        counts = {} if checked is None else {"snapshots": checked.snapshots, "messages": checked.messages}
        print_json({**counts, "findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            show(str(finding))
        of = "" if checked is None else f" {checked.snapshots:,} snapshots and {checked.messages:,} messages of {target} read."
        show(f"Every record of {store.where} is whole.{of}")
    sys.exit(0 if checked is None or checked.ok else 1)


def _records(store: RecordStore) -> int:
    """Return how many records there may be to check."""
    journals = [store.journal(name).statistics() for name in store.journal_names()]
    return store.info().keys + sum(each.end - each.start for each in journals)


def _snapshots(store: RecordStore) -> Iterator[tuple[str, bytes]]:
    for key, stored in store.snapshots():
        if is_envelope(stored.data):
            yield key, stored.data


def _described(key: str, data: bytes) -> Described:
    name, number, _, revision, marks, payload = read_envelope(
        key, data, is_checked=True
    )  # by the store, as the bytes of its record
    positions = {source: mark.position for source, mark in marks.items()}
    return Described(key=key, schema=name, number=number, revision=revision, positions=positions, bytes=len(payload))
