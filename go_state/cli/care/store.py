"""A store as a whole: the commands below `go-state store`."""

from __future__ import annotations

import os

from go_state.cli.opened import open_store, store_to_fill
from go_state.cli.output import confirm, print_json, print_table
from go_state.cli.parameters import Backup, Db, Json, NewFile, Schema, Yes
from go_state.cli.terminal import show


def show_info(db: Db, as_json: Json = False, schema: Schema = "go_state") -> None:
    """Show what a store holds, and the room that it takes."""
    with open_store(db, schema, readonly=True) as store:
        info = store.info()
    if as_json:
        print_json({**info._asdict(), "largest": [each._asdict() for each in info.largest]})
        return
    rows = [
        (name.replace("_", " "), _said(value))
        for name, value in info._asdict().items()
        if name != "largest" and value is not None
    ]
    print_table(("what", "how much"), rows)
    if info.largest:
        print_table(
            ("journal", "records", "bytes"), [(each.name, f"{each.records:,}", f"{each.bytes:,}") for each in info.largest]
        )


def _said(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def back_up(db: Db, path: NewFile, schema: Schema = "go_state") -> None:
    """Write all that the store holds at one moment into a new file, beside programs that go on writing."""
    with open_store(db, schema, readonly=True) as store:
        store.backup(path)
        show(f"{store.where} is backed up in {path}, of {os.path.getsize(path):,} bytes")


def restore(backup: Backup, db: Db, yes: Yes = False, schema: Schema = "go_state") -> None:
    """Put all that a backup holds in the place of what the store holds, in one step; no program may run."""
    with open_store(backup, schema, readonly=True) as source, store_to_fill(db, schema) as store:
        source.check_damage()
        found = store.info()
        if found.keys or found.journals:
            confirm(f"{store.where} holds {found.keys:,} keys and {found.journals:,} journals, which are replaced", yes=yes)
        show(f"{store.restore_from(source):,} records restored from {source.where}")


def compact(db: Db, schema: Schema = "go_state") -> None:
    """Give back the room of what was deleted, so that nothing of it is left in the file or table; no program may run."""
    with open_store(db, schema) as store:
        before = store.info().bytes
        store.compact()
        show(f"{store.where} had {before:,} bytes, and has {store.info().bytes:,}")


def check(db: Db, schema: Schema = "go_state") -> None:
    """Read every record."""
    with open_store(db, schema, readonly=True) as store:
        store.check_damage()
        show(f"Every record of {store.where} is whole.")
