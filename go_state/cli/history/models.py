"""Models made of a history: the commands rebuild, peek and to-test."""

from __future__ import annotations

from go_state.cli.history.asked import asked, file_source, kind_of
from go_state.cli.history.shown import Printer, described, tell_passed_over, written
from go_state.cli.history.where import Where, takes_where
from go_state.cli.opened import import_program, open_store
from go_state.cli.output import bar, print_json, print_table
from go_state.cli.parameters import (
    Db,
    DryRun,
    Histories,
    History,
    Json,
    LettersToWrite,
    NeededKey,
    Passing,
    Prefix,
    Schema,
    Target,
    TestFile,
    Until,
)  # fmt: skip
from go_state.cli.terminal import show
from go_state.core.errors import UsageError
from go_state.dead_letters.dead_letters import DeadLetters
from go_state.history.peek import peek
from go_state.history.reading.opened import HistoryOptions
from go_state.history.rebuild import rebuild
from go_state.history.rebuilding.changes import Rebuilt
from go_state.history.to_test import to_test
from go_state.runtime.on_error import Raise, SetAside

_ROWS = 50  # changes that are shown in the table


@takes_where()
def rebuild_models(
    target: Target,
    histories: Histories,
    *,
    where: Where,
    dry_run: DryRun = False,
    letters: LettersToWrite = "",
    as_json: Json = False,
) -> None:
    """Fold all messages with today's program and write the models that differ from what they were; print what has changed."""
    program, history, more = import_program(target), histories[0], histories[1:]
    if letters and not where.set_aside:
        raise UsageError("--letters says where letters of what --set-aside passes over are written: give both")
    if kind_of(history) or where.key_of or where.store or where.name or more:
        opening = asked(program, history, where, writes=not dry_run)
        with opening as found, bar("rebuild", found.total if not more else None) as advance:
            given = [found.history, *(file_source(program, each, where.of) for each in more)] if more else found.history
            options = _with_letters(found.options, letters)
            rebuilt = rebuild(program, given, dry_run=dry_run, progress=advance, **options)
    else:
        if where.set_aside:
            raise UsageError(
                "--set-aside is for an aggregate: a journal knows itself what was set aside, see `go-state journal skip`"
            )
        with open_store(history, where.schema, readonly=dry_run) as opened, bar("rebuild", None) as advance:
            rebuilt = rebuild(program, opened, key=where.key, prefix=where.prefix, dry_run=dry_run, progress=advance)
    if not rebuilt.models:
        raise UsageError(f"there is no model of {target} under the prefix {where.prefix!r}: nothing was made again")
    _print(rebuilt, as_json=as_json, dry_run=dry_run)


def _with_letters(options: HistoryOptions, name: str) -> HistoryOptions:
    store = options.get("store")
    if not name:
        return options
    if store is None:
        raise UsageError("--letters are written with the models of an aggregate: say where it keeps them with --store")
    return {**options, "on_error": SetAside(DeadLetters(store, name))}


def _print(rebuilt: Rebuilt, *, as_json: bool, dry_run: bool) -> None:
    if as_json:
        changes = [{**each._asdict(), "was": repr(each.was), "now": repr(each.now)} for each in rebuilt.changes]
        print_json({**rebuilt._asdict(), "changes": changes, "set_aside": described(rebuilt.set_aside)})
        return
    if rebuilt.changes:
        rows: list[tuple[object, ...]] = [
            (each.key, _at(each.position), each.path, each.was, each.now) for each in rebuilt.changes
        ]
        print_table(("key", "position", "field", "was", "is now"), rows[:_ROWS])
    more = f" ({len(rebuilt.changes) - _ROWS:,} fields more: --json shows them)" if len(rebuilt.changes) > _ROWS else ""
    end = "; nothing was written (--dry-run)" if dry_run else ", and written" if rebuilt.written else ""
    letters = f"; {rebuilt.letters:,} letters are done" if rebuilt.letters else ""
    show(f"{rebuilt.changed:,} of {rebuilt.models:,} models changed{more}{end}{letters}")
    tell_passed_over(rebuilt.passed_over, rebuilt.set_aside)


def _at(position: int | None) -> object:
    return "" if position is None else position


def peek_at_model(
    target: Target,
    db: Db,
    key: NeededKey,
    prefix: Prefix = "",
    set_aside: Passing = False,
    as_json: Json = False,
    schema: Schema = "go_state",
) -> None:
    """Print the model as of now, as JSON: the newest snapshot and what came after it. Nothing is written; the program may run.

    With --json also how many messages the snapshot lacked, and since when.
    """
    program = import_program(target)
    with open_store(db, schema, readonly=True) as store:
        found = peek(program, store, key, prefix=prefix, on_error=SetAside() if set_aside else Raise())
        if found is None:
            raise UsageError(f"nothing is kept under {prefix + key!r} in {store.where}")
    age: dict[str, object] = {"position": found.position, "behind": found.behind, "since": written(found.since)}
    Printer(program).model(found.model, age if as_json else None)


@takes_where()
def write_test(
    target: Target,
    history: History,
    path: TestFile,
    *,
    where: Where,
    until: Until = None,
) -> None:
    """Write a recorded run as a pytest file, which passes today."""
    program = import_program(target)
    with asked(program, history, where) as found, bar("to-test", found.total) as advance:
        to_test(program, found.history, path, of=target, until=until, progress=advance, **found.options)
    show(f"{path} replays it")
