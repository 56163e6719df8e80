"""Models made of a history: the commands rebuild, peek and to-test."""

from __future__ import annotations

from go_state.cli.history.asked import Where, asked, kind_of
from go_state.cli.history.shown import Printer, written
from go_state.cli.opened import import_program, open_store
from go_state.cli.output import bar, print_json, print_table
from go_state.cli.parameters import (
    AggregateStore,
    Db,
    DryRun,
    History,
    Json,
    KeyOf,
    NameIfSeveral,
    NeededKey,
    Of,
    OptionalKey,
    Prefix,
    Schema,
    Target,
    TestFile,
    Until,
)  # fmt: skip
from go_state.cli.terminal import show
from go_state.core.errors import UsageError
from go_state.history.peek import peek
from go_state.history.rebuild import rebuild
from go_state.history.rebuilding.changes import Rebuilt
from go_state.history.to_test import to_test

_ROWS = 50  # changes that are shown in the table


def rebuild_models(
    target: Target,
    history: History,
    name: NameIfSeveral = "",
    key: OptionalKey = None,
    prefix: Prefix = "",
    dry_run: DryRun = False,
    of: Of = "",
    key_of: KeyOf = "",
    store: AggregateStore = "",
    as_json: Json = False,
    schema: Schema = "go_state",
) -> None:
    """Fold all messages with today's program and write the models that are others than before; print what has changed."""
    program = import_program(target)
    if kind_of(history) or key_of or store or name:
        where = Where(history=history, name=name, key=key, prefix=prefix, of=of, key_of=key_of, store=store, schema=schema)
        with asked(program, where) as found, bar("rebuild", found.total) as advance:
            rebuilt = rebuild(program, found.history, dry_run=dry_run, progress=advance, **found.options)
    else:
        with open_store(history, schema) as opened, bar("rebuild", None) as advance:
            rebuilt = rebuild(program, opened, key=key, prefix=prefix, dry_run=dry_run, progress=advance)
    _print(rebuilt, as_json=as_json, dry_run=dry_run)


def _print(rebuilt: Rebuilt, *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        changes = [{**each._asdict(), "was": repr(each.was), "now": repr(each.now)} for each in rebuilt.changes]
        print_json({**rebuilt._asdict(), "changes": changes})
        return
    if rebuilt.changes:
        rows: list[tuple[object, ...]] = [
            (each.key, _at(each.position), each.path, each.was, each.now) for each in rebuilt.changes
        ]
        print_table(("key", "position", "field", "was", "is now"), rows[:_ROWS])
    more = f" ({len(rebuilt.changes) - _ROWS:,} fields more: --json shows them)" if len(rebuilt.changes) > _ROWS else ""
    end = "; nothing was written (--dry-run)" if dry_run else ", and written" if rebuilt.written else ""
    show(f"{rebuilt.changed:,} of {rebuilt.models:,} models changed{more}{end}")


def _at(position: int | None) -> object:
    return "" if position is None else position


def peek_at_model(
    target: Target,
    db: Db,
    key: NeededKey,
    prefix: Prefix = "",
    as_json: Json = False,
    schema: Schema = "go_state",
) -> None:
    """Print the model as of now, as JSON: the newest snapshot and what came after it. Nothing is written; the program may run.

    With --json also how many messages the snapshot lacked, and since when.
    """
    program = import_program(target)
    with open_store(db, schema) as store:
        found = peek(program, store, key, prefix=prefix)
        if found is None:
            raise UsageError(f"nothing is kept under {prefix + key!r} in {store.where}")
    age: dict[str, object] = {"position": found.position, "behind": found.behind, "since": written(found.since)}
    Printer(program).model(found.model, age if as_json else None)


def write_test(
    target: Target,
    history: History,
    path: TestFile,
    name: NameIfSeveral = "",
    key: OptionalKey = None,
    prefix: Prefix = "",
    until: Until = None,
    of: Of = "",
    key_of: KeyOf = "",
    store: AggregateStore = "",
    schema: Schema = "go_state",
) -> None:
    """Write a recorded run as a pytest file, which passes today."""
    program = import_program(target)
    where = Where(history=history, name=name, key=key, prefix=prefix, of=of, key_of=key_of, store=store, schema=schema)
    with asked(program, where) as found, bar("to-test", found.total) as advance:
        to_test(program, found.history, path, of=target, until=until, progress=advance, **found.options)
    show(f"{path} replays it")
