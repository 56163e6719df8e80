"""What was set aside: the commands below `go-state dead`."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from go_state.cli.opened import import_object, import_program, open_store
from go_state.cli.output import output, print_json, print_table, tell
from go_state.cli.parameters import (
    All,
    Db,
    DecodeOption,
    Ids,
    Json,
    KeyOption,
    LettersName,
    OutputFile,
    Schema,
    SomeIds,
    Target,
)
from go_state.cli.terminal import show, show_json
from go_state.core.errors import UsageError
from go_state.dead_letters.again import Retried
from go_state.dead_letters.dead_letters import DeadLetters, as_json
from go_state.storage.backends.record_store import RecordStore
from go_state.storage.letters.box import names
from go_state.storage.letters.letter import Letter

_ROWS = 1000  # of a table; --json prints all, a line each
_NAMED = 10  # of many names this many are said


def list_letters(db: Db, name: LettersName = "", as_json_lines: Json = False, schema: Schema = "go_state") -> None:
    """List letters: id, source, position, key, error and time. Without a name, those of every name."""
    with open_store(db, schema, readonly=True) as store:
        found = ((each, letter) for each in _names(store, name) for letter in DeadLetters(store, each))
        if as_json_lines:
            for each, letter in found:
                print_json({"name": each, **_described(letter)})
            return
        rows = [(each, *_row(letter)) for each, letter in islice(found, _ROWS)]
        print_table(("name", "id", "source", "position", "key", "failed", "error", "tries", "at"), rows)
        if next(found, None) is not None:
            show(f"These are the first {_ROWS:,}: --json prints all, one a line.")


def _names(store: RecordStore, name: str) -> list[str]:
    """Return the name, or all that there are if none is given; `UsageError` if no letter has the name."""
    there = names(store)
    if not name:
        return there
    if name not in there:
        raise UsageError(_unknown(store, name, there))
    return [name]


def _unknown(store: RecordStore, name: str, there: list[str]) -> str:
    has = f"there are letters under {', '.join(map(repr, there[:_NAMED]))}" if there else "there are no letters at all"
    more = f" and {len(there) - _NAMED:,} more names" if len(there) > _NAMED else ""
    return f"no letter is under {name!r} in {store.where}: {has}{more}"


def _tell_if_unknown(store: RecordStore, name: str, done: int) -> None:
    """Say so if nothing was done because no letter has the name; that is no error, for whoever does it each night."""
    if not done and name not in (there := names(store)):
        tell(_unknown(store, name, there))


def show_letter(db: Db, name: LettersName, ids: Ids, schema: Schema = "go_state") -> None:
    """Print one letter as JSON: its message or raw record, and what it has failed with."""
    with open_store(db, schema, readonly=True) as store:
        for each in ids:
            show_json(as_json(DeadLetters(store, name).show(each)))


def retry_letters(
    db: Db,
    name: LettersName,
    target: Target,
    ids: SomeIds = None,
    key: KeyOption = "",
    decode: DecodeOption = "",
    as_json_line: Json = False,
    schema: Schema = "go_state",
) -> None:
    """Try letters again with a program: those of the ids, or all. What fails again stays, with the new error."""
    program = import_program(target)
    with open_store(db, schema) as store:
        folded_by: Any = (import_object(key) if ":" in key else key) or None
        decoded_by: Any = import_object(decode) if decode else None
        retried = DeadLetters(store, name).retry(program, *(ids or ()), key=folded_by, decode=decoded_by)
        _tell_if_unknown(store, name, retried.done)
    _tell(retried, as_json_line=as_json_line)
    if retried.failed:
        raise SystemExit(1)


def _tell(retried: Retried, *, as_json_line: bool) -> None:
    if as_json_line:
        print_json({"done": retried.done, "failed": retried.failed, "left": retried.left})
        return
    left = f", {retried.left:,} left, of commands that failed after their turn" if retried.left else ""
    show(f"{retried.done:,} done, {retried.failed:,} failed again{left}")


def drop_letters(
    db: Db, name: LettersName, ids: SomeIds = None, every: All = False, as_json_line: Json = False, schema: Schema = "go_state"
) -> None:
    """Remove letters, those of the ids, or all of them with --all."""
    if bool(ids) is every:
        raise UsageError("say which letters to drop, by their ids, or --all")
    with open_store(db, schema) as store:
        letters = DeadLetters(store, name)
        dropped = letters.drop_all() if every else letters.drop(*(ids or ()))
        _tell_if_unknown(store, name, dropped)
    if as_json_line:
        print_json({"dropped": dropped})
    else:
        show(f"{dropped:,} dropped")


def export_letters(db: Db, name: LettersName, path: OutputFile = "-", schema: Schema = "go_state") -> None:
    """Write letters as JSON Lines."""
    with open_store(db, schema, readonly=True) as store, output(store, path) as file:
        number = 0
        for number, line in enumerate(_lines(DeadLetters(store, name)), 1):  # noqa: B007  - it is the last one's afterwards
            file.write(line)
        _tell_if_unknown(store, name, number)


def _lines(letters: DeadLetters) -> Iterator[bytes]:
    for letter in letters:
        yield as_json(letter) + b"\n"


def _described(letter: Letter) -> dict[str, object]:
    """Return what a list shows of a letter: nothing of its message."""
    return {
        "id": letter.id, "source": letter.source, "position": letter.position, "key": letter.key, "journal": letter.journal,
        "failed": letter.failed, "error": letter.error, "text": letter.text, "tries": letter.tries, "at": _time(letter),
    }  # fmt: skip


def _row(letter: Letter) -> tuple[object, ...]:
    position = "" if letter.position is None else json.dumps(letter.position)
    error = f"{letter.error}: {letter.text}"[:200]
    return letter.id, letter.source, position, letter.key or "", letter.failed, error, letter.tries, _time(letter)


def _time(letter: Letter) -> str:
    return datetime.datetime.fromtimestamp(letter.at, datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
