"""The command `go-state`: what lies in a store, for people and, with --json, for programs. Needs the extra `cli`.

Exit codes: 0 all is well, 1 what was asked for could not be done or something is wrong in the store, 2 the command was misspelt.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn, TypeVar

from go_state.cli.terminal import encoding_of, printable, show, show_json
from go_state.core.errors import GoStateError, MissingExtra, UsageError
from go_state.core.program import Program
from go_state.history.replay import replay, verify
from go_state.history.store_check import check_store
from go_state.modes.keeping.keyframes import set_message_type
from go_state.storage.backends.lmdb import LMDBStore
from go_state.storage.codec.codec import JsonCodec, model_type
from go_state.storage.journal.exchange import as_member, lines
from go_state.storage.records.record_store import RecordStore
from go_state.storage.snapshots.snapshot import is_envelope, read_envelope

try:
    import typer
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text
except ImportError:
    sys.exit(str(MissingExtra("cli", "the command go-state")))

T = TypeVar("T")

_FRAMES = 6  # of a traceback: the last ones, which are not those of the command itself
_SOME = 5  # of what there may be thousands of, so many are named

# An error of a program is printed by `main`, which takes care of what a terminal would obey.
app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Look into the stores of go_state programs.",
)
snapshots = typer.Typer(no_args_is_help=True, help="Models as they were saved.")
journal = typer.Typer(no_args_is_help=True, help="Messages as they were put.")
app.add_typer(snapshots, name="snapshots")
app.add_typer(journal, name="journal")

Db = Annotated[str, typer.Argument(metavar="DB", help="The store's file, or postgresql://user@host/database.")]
Schema = Annotated[str, typer.Option(help="The schema of a store in Postgres.")]
Key = Annotated[str, typer.Argument(metavar="KEY", help="The key of a snapshot.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The journal's name: the key of its program.")]
Target = Annotated[str, typer.Argument(metavar="MODULE:PROGRAM", help="Where the program is found, such as bot.main:program.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Run the command; an error of go_state, or of a file, is a sentence on standard error and the exit code 1.

    Any other is one of the program that was given, and told with its traceback.
    """
    try:
        app()
    except GoStateError as error:
        _fail(f"error: {error}")
    except OSError as error:
        _fail(f"error: {error.filename or 'a file'} cannot be read or written: {error.strerror or error}")
    except Exception as error:
        _fail("".join(traceback.format_exception(error, limit=-_FRAMES)).removesuffix("\n"))


def _fail(why: str) -> NoReturn:
    said = printable(why, encoding_of(sys.stderr))
    Console(stderr=True, soft_wrap=True).print(said, style="red", markup=False, highlight=False, emoji=False)
    sys.exit(1)


# ---------------------------------------------------------------- snapshots


@snapshots.command("list")
def list_snapshots(db: Db, as_json: Json = False, schema: Schema = "go_state") -> None:
    """List the snapshots: key, schema, revision, the position of the journal or sources, and size."""
    with _open(db, schema) as store:
        rows = [_described(key, data) for key, data in _snapshots(store)]
    if as_json:
        _print_json(rows)
        return
    table = Table("key", "schema", "revision", "positions", "bytes")
    for row in rows:
        positions = ", ".join(f"{name}: {position}" for name, position in row["positions"].items())
        _add(table, row["key"], f"{row['schema']} {row['number']}", row["revision"], positions, f"{row['bytes']:,}")
    Console().print(table)


@snapshots.command("show")
def show_snapshot(
    db: Db,
    key: Key,
    position: Annotated[int | None, typer.Option(help="A keyframe's position, instead of the newest.")] = None,
    schema: Schema = "go_state",
) -> None:
    """Print one snapshot's model as JSON."""
    with _open(db, schema) as store:
        stored = store.load(key) if position is None else store.load_keyframe(key, position)
        if stored is None:
            kept = f"; keyframes are kept at {store.keyframes(key)}" if position is not None else ""
            raise UsageError(f"there is no such snapshot under {key!r}{kept}")
        show_json(read_envelope(key, stored.data).payload)


@snapshots.command("export")
def export_snapshots(
    db: Db,
    path: Annotated[str, typer.Argument(metavar="FILE", help="Where to, - for standard output.")] = "-",
    schema: Schema = "go_state",
) -> None:
    """Write every snapshot as a line of JSON: key, schema, revision, positions and model (in base64, where its codec makes no JSON)."""
    with _open(db, schema) as store, _output(store, path) as file:
        for key, data in _snapshots(store):
            row = json.dumps(_described(key, data))
            file.write(row[:-1].encode() + b", " + as_member(read_envelope(key, data).payload) + b"}\n")


@snapshots.command("check")
def check_snapshots(
    db: Db,
    target: Annotated[str | None, typer.Argument(metavar="[MODULE:PROGRAM]")] = None,
    as_json: Json = False,
    schema: Schema = "go_state",
) -> None:
    """Read every record of the file, and with a program, read its models and messages with today's types and migrations."""
    with _open(db, schema) as store:
        store.check_damage()
        checked = None
        if target is not None:
            with _bar("check", _records(store)) as advance:
                checked = check_store(_program(target), store, progress=advance)
    findings = () if checked is None else checked.findings
    if as_json:
        counts = {} if checked is None else {"snapshots": checked.snapshots, "messages": checked.messages}
        _print_json({**counts, "findings": [finding._asdict() for finding in findings]})
    else:
        for finding in findings:
            show(str(finding))
        of = "" if checked is None else f" {checked.snapshots:,} snapshots and {checked.messages:,} messages of {target} read."
        show(f"Every record of {store.where} is whole.{of}")
    sys.exit(0 if checked is None or checked.ok else 1)


# ---------------------------------------------------------------- journals


@journal.command("list")
def list_journals(db: Db, as_json: Json = False, schema: Schema = "go_state") -> None:
    """List the journals: where they begin and end, how far their readers have come, and what is passed over."""
    with _open(db, schema) as store:
        rows: list[dict[str, Any]] = []
        for name in store.journal_names():
            found = store.journal(name)
            statistics, aside = found.statistics(), {str(position): why for position, why in sorted(found.set_aside().items())}
            rows.append(
                {"name": name, "start": statistics.start, "end": statistics.end, "readers": found.cursors(), "aside": aside}
            )
    if as_json:
        _print_json(rows)
        return
    table = Table("journal", "start", "end", "readers", "set aside")
    for row in rows:
        readers = ", ".join(f"{name}: {position}" for name, position in row["readers"].items())
        passed_over = [f"{position}: {why}" for position, why in row["aside"].items()]
        more = [f"and {len(passed_over) - _SOME:,} more"] if len(passed_over) > _SOME else []
        _add(table, row["name"], row["start"], row["end"], readers, ", ".join([*passed_over[:_SOME], *more]))
    Console().print(table)


@journal.command("show")
def show_journal(
    db: Db,
    name: Name,
    start: Annotated[int | None, typer.Option("--from", help="The first position.")] = None,
    until: Annotated[int | None, typer.Option(help="The position to stop before.")] = None,
    schema: Schema = "go_state",
) -> None:
    """Print messages as lines of JSON: positions, times of entry, and of those that are passed over, why."""
    with _open(db, schema) as store:
        for line in lines((found := _journal(store, name)).history, found.set_aside(), start, until):
            show_json(line.removesuffix(b"\n"))


@journal.command("export")
def export_journal(
    db: Db, name: Name, path: Annotated[str, typer.Argument(metavar="FILE")], schema: Schema = "go_state"
) -> None:
    """Write a journal as JSON Lines."""
    with _open(db, schema) as store, _output(store, path) as file:
        found = _journal(store, name)
        statistics = found.statistics()
        for line in _with_bar("export", lines(found.history, found.set_aside()), statistics.end - statistics.start):
            file.write(line)


@journal.command("import")
def import_journal(
    db: Db, name: Name, path: Annotated[str, typer.Argument(metavar="FILE")], target: Target, schema: Schema = "go_state"
) -> None:
    """Append the messages of JSON Lines (- for standard input) to a program's journal; none of them if one does not fit."""
    path = "/dev/stdin" if path == "-" else path
    with _open(db, schema, new=True) as store:
        found: Any = store.journal(name)
        set_message_type(found, _program(target))
        with _bar("import", _twice_its_lines(path)) as advance:
            number = found.import_from(path, progress=advance)
        show(f"{number:,} messages imported")


@journal.command("verify")
def verify_journal(db: Db, name: Name, target: Target, as_json: Json = False, schema: Schema = "go_state") -> None:
    """Fold a journal through today's program and compare with its snapshots."""
    with _open(db, schema) as store:
        found = _journal(store, name)
        end = found.statistics().end
        with _bar("verify", end) as advance:
            verified = verify(_program(target), found, progress=advance)
    if as_json:
        finding = None if verified.finding is None else verified.finding._asdict()
        _print_json({"messages": verified.messages, "snapshots": verified.snapshots, "finding": finding})
    else:
        says = "they make what they made" if verified.finding is None else verified.finding
        show(f"{verified.messages:,} messages and {verified.snapshots} snapshots checked: {says}")
    sys.exit(0 if verified.ok else 1)


@journal.command("truncate")
def truncate_journal(
    db: Db, name: Name, before: Annotated[int, typer.Argument(metavar="POSITION")], schema: Schema = "go_state"
) -> None:
    """Forget the messages before a position, which every reader must have passed."""
    with _open(db, schema) as store:
        show(f"{name} begins at {_journal(store, name).truncate(before)}")


@journal.command("skip")
def skip_message(
    db: Db, name: Name, position: Annotated[int, typer.Argument(metavar="POSITION")], schema: Schema = "go_state"
) -> None:
    """Set one message aside, so that its program and every replay pass over it."""
    with _open(db, schema) as store:
        _journal(store, name).skip(position)
        show(f"{name} passes over position {position}")


@app.command("replay")
def replay_journal(
    target: Target,
    db: Db,
    name: Annotated[str, typer.Option("--name", help="The journal, where the store has more than one.")] = "",
    until: Annotated[int | None, typer.Option(help="The position to stop before.")] = None,
    schema: Schema = "go_state",
) -> None:
    """Print the model that a program comes to at a position of its journal, as JSON."""
    program = _program(target)
    with _open(db, schema) as store:
        names = store.journal_names()
        if not name and len(names) != 1:
            raise UsageError(
                f"{store.where} has {_named(names)}: say which with --name; `go-state journal list` shows them all"
            )
        model = replay(program, _journal(store, name or names[0]), until=until)
    show_json(JsonCodec[Any](model_type(program)).encode(model))


# ---------------------------------------------------------------- what they share


def _open(db: str, schema: str, *, new: bool = False) -> RecordStore:
    if db.startswith(("postgres://", "postgresql://")):
        from go_state.storage.backends.postgres.store import PostgresStore

        return PostgresStore(db, schema=schema, create=new)
    if not (new or os.path.isfile(db)):
        what = "this, which may hold a password," if "@" in db or "=" in db else db
        raise UsageError(f"{what} is no file: give the path of a store, or postgresql://user@host/database")
    return LMDBStore(db)


def _twice_its_lines(path: str) -> int | None:
    """Return how many lines an import reads, each twice; None for what can be read only once, such as a pipe."""
    if not os.path.exists(path) or os.path.isdir(path):
        raise UsageError(f"{path} is no file: give the path of JSON Lines, or - for standard input")
    if not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as file:
            return 2 * sum(1 for _ in file)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _records(store: RecordStore) -> int:
    """Return how many records there may be to check."""
    journals = [store.journal(name).statistics() for name in store.journal_names()]
    return len(list(store.keys())) + sum(each.end - each.start for each in journals)


def _journal(store: RecordStore, name: str) -> Any:
    names = store.journal_names()
    if name not in names:
        raise UsageError(f"there is no journal {name!r} in {store.where}, which has {_named(names)}")
    return store.journal(name)


def _named(names: Sequence[str]) -> str:
    """Return how many journals there are, and the names of the first."""
    first = ", ".join(map(repr, names[:_SOME]))
    more = f" and {len(names) - _SOME:,} more" if len(names) > _SOME else ""
    return f"{len(names):,} journal{'s' if len(names) != 1 else ''}{f' ({first}{more})' if names else ''}"


def _snapshots(store: RecordStore) -> Iterator[tuple[str, bytes]]:
    for key in store.keys():  # noqa: SIM118  - a store is no mapping
        stored = store.load(key)
        if stored is not None and is_envelope(stored.data):
            yield key, stored.data


def _described(key: str, data: bytes) -> dict[str, Any]:
    name, number, _, revision, marks, payload = read_envelope(key, data)
    positions = {source: mark.position for source, mark in marks.items()}
    return {"key": key, "schema": name, "number": number, "revision": revision, "positions": positions, "bytes": len(payload)}


def _program(target: str) -> Program[Any, Any]:
    module, _, name = target.partition(":")
    if not name:
        raise UsageError(f"a program is given as module:name, such as bot.main:program, not {target!r}")
    sys.path.insert(0, os.getcwd())
    if not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(
            f"{module!r} is no module's name: give it as `import` takes it, such as bot.main, with dots and without .py"
        )
    try:
        found = getattr(importlib.import_module(module), name, None)
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported; a script may end there
        raise UsageError(
            f"{module} cannot be imported ({type(error).__name__}: {error}): run the command where `python -c 'import {module}'` works"
        ) from None
    if not isinstance(found, Program):
        raise UsageError(f"{target} is no gs.Program")
    return found


def _print_json(value: object) -> None:
    show(json.dumps(value))


def _add(table: Table, *cells: object) -> None:
    """Add a row as it is, which rich would otherwise search for markup."""
    table.add_row(*(Text(printable(str(cell), encoding_of(sys.stdout))) for cell in cells))


@contextmanager
def _output(store: RecordStore, path: str) -> Iterator[Any]:
    if path == "-":
        yield sys.stdout.buffer
        return
    store.check_not_own(path)
    with open(path, "wb") as file:
        yield file


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[Callable[[int], object]]:
    """Show a bar where a person waits, and give the function that moves it."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)


def _with_bar(what: str, items: Iterable[T], total: int) -> Iterator[T]:
    with _bar(what, total) as advance:
        for number, item in enumerate(items):
            if number % 1000 == 0:
                advance(number)
            yield item


if __name__ == "__main__":
    main()
