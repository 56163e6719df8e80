"""Taking a person's data out of a store: the command `go-state erase`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from go_state.cli.conditions import Members
from go_state.cli.opened import find_journal, import_function, import_program, named, open_store
from go_state.cli.output import bar, confirm, print_json
from go_state.cli.parameters import (
    AllUnder,
    Compact,
    Db,
    DryRun,
    Empty,
    Json,
    KeyToErase,
    ModelFunction,
    NameIfSeveral,
    Rebuild,
    Schema,
    Target,
    Where,
    With,
    Yes,
)
from go_state.cli.terminal import show
from go_state.core.errors import UsageError
from go_state.core.program import SomeProgram, takes_key
from go_state.history.erasing.forget import forget
from go_state.history.erasing.rewrite import rewrite
from go_state.storage.backends.record_store import RecordStore
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.codec.program_types import message_type
from go_state.storage.journal.erasing.rewriting import Rewritten
from go_state.storage.journal.history import Recorded
from go_state.storage.letters.erasing import letters_of, raw_letters_with

_SHORTEST = 3  # characters of a text that is looked for in raw records
_SHOWN = 20  # of these
OfEntry: TypeAlias = Callable[[Recorded[object]], object]


def erase(
    target: Target,
    db: Db,
    where: Where = None,
    empty: Empty = False,
    with_function: With = None,
    model: ModelFunction = None,
    key: KeyToErase = None,
    name: NameIfSeveral = "",
    prefix: AllUnder = None,
    rebuild: Rebuild = False,
    dry_run: DryRun = False,
    compact: Compact = False,
    yes: Yes = False,
    as_json: Json = False,
    schema: Schema = "go_state",
) -> None:
    """Empty or replace the messages of a person, and make the snapshots anew without them; or delete all under a key."""
    program = import_program(target)
    _check(where, key, empty=empty, with_function=with_function, dry_run=dry_run)
    with open_store(db, schema, readonly=dry_run) as store:
        if key is not None:
            done: dict[str, object] = {"key": key, **_forget(store, key, yes=yes, dry_run=dry_run)}
        else:
            change = _change(program, where or (), None if with_function is None else import_function(with_function))
            names = _journals(store, program, name, prefix)
            of_model = None if model is None else import_function(model)
            done = _rewrite(store, program, names, prefix or "", change, of_model, rebuild=rebuild, dry_run=dry_run, yes=yes)
        texts = [key] if key is not None else [each.partition("=")[2] for each in where or ()]
        raw = _raw(store, texts)
        if compact and not dry_run:
            store.compact()
    done["raw"] = len(raw)
    if as_json:
        print_json(done)
    else:
        _tell(done, _what(where, key), db, texts, raw, is_whole=compact or dry_run)


def _named(db: str) -> str:
    return "DB" if "://" in db else db  # an address may hold a password


def _raw(store: RecordStore, texts: Sequence[str]) -> list[tuple[str, str]]:
    """Return the raw records with one of the texts, but for texts so short that they are anywhere."""
    return list(raw_letters_with(store, *(each for each in texts if len(each) >= _SHORTEST)))


def _tell(
    done: Mapping[str, object], sought: str, db: str, texts: Sequence[str], raw: Sequence[tuple[str, str]], *, is_whole: bool
) -> None:
    """Print what was done, and what is left to do: of `raw` records, and, unless it `is_whole`, in the file."""
    show(", ".join(f"{what}: {number}" for what, number in done.items()))
    if not (done.get("there") or done.get("journals")):
        show(f"Nothing was found to erase: {sought}")
    elif not is_whole:
        show(f"What was erased stays readable in the file, or the table, until `go-state store compact {_named(db)}`.")
    _tell_of_raw(raw, db)
    if any(len(each) < _SHORTEST for each in texts):
        show(
            f"Raw records were not searched for texts under {_SHORTEST} characters, which are anywhere: see `go-state dead list`."
        )


def _tell_of_raw(raw: Sequence[tuple[str, str]], db: str) -> None:
    if not raw:
        return
    where = _named(db)
    show(
        f"{len(raw):,} raw records that were set aside hold such a text, and stay: they have no key. Look at them, and drop them:"
    )
    for name, letter_id in raw[:_SHOWN]:
        letter = shlex.join([where, name, letter_id])
        show(f"  go-state dead show {letter}    go-state dead drop {letter}")
    if len(raw) > _SHOWN:
        show(f"  and {len(raw) - _SHOWN:,} more: once these are dropped, they are shown here")


def _what(where: Sequence[str] | None, key: str | None) -> str:
    return f"no message has {' and '.join(where or ())}" if key is None else f"nothing is stored under {key!r}"


def _check(where: Sequence[str] | None, key: str | None, *, empty: bool, with_function: str | None, dry_run: bool) -> None:
    if (where is None) == (key is None):
        raise UsageError("say whose messages with --where field=value, or --key to delete all that is stored under a key")
    if key is not None and (empty or with_function is not None):
        raise UsageError("--key deletes all that is stored under a key: leave out --empty and --with, which are for messages")
    if empty and with_function is not None:
        raise UsageError("messages are emptied with --empty or replaced with --with: say one of them")
    if where is not None and not (empty or with_function is not None or dry_run):
        raise UsageError("say what becomes of the messages: --empty, or --with module:function; --dry-run counts them")


def _forget(store: RecordStore, key: str, *, yes: bool, dry_run: bool) -> dict[str, object]:
    there, letters = store.load(key) is not None or key in store.journal_names(), letters_of(store, key)
    if (there or letters) and not dry_run:
        of = f"{store.where} holds under {key!r}"
        confirm(f"all that {of} is deleted: its model, snapshots, journal and {letters:,} dead letters", yes=yes)
        done = forget(store, key)
        there, letters = done.there, done.letters
    return {"there": there, "letters": letters}


def _rewrite(
    store: RecordStore,
    program: SomeProgram,
    names: Sequence[str],
    prefix: str,
    change: OfEntry,
    model: Callable[[object], object] | None,
    *,
    rebuild: bool,
    dry_run: bool,
    yes: bool,
) -> dict[str, object]:
    """Count first, ask, and rewrite those journals in which something changes."""
    counted = {name: _one(store, program, name, prefix, change, dry_run=True) for name in names}
    found = {name: each for name, each in counted.items() if each.first is not None or each.letters}
    number = sum(each.replaced + each.emptied for each in found.values())
    letters = sum(each.letters for each in found.values())
    if (number or letters) and not dry_run:
        also = f", and {letters:,} dead letters," if letters else ""
        confirm(f"{number:,} messages in {len(found):,} journals of {store.where}{also} are erased", yes=yes)
        found = {name: _one(store, program, name, prefix, change, model=model, rebuild=rebuild) for name in found}
    return {
        "messages": sum(each.messages for each in counted.values()),
        "journals": len(found),
        "replaced": sum(each.replaced for each in found.values()),
        "emptied": sum(each.emptied for each in found.values()),
        "snapshots": sum(each.snapshots for each in found.values()),
        "letters": sum(each.letters for each in found.values()),
    }


def _one(
    store: RecordStore,
    program: SomeProgram,
    name: str,
    prefix: str,
    change: OfEntry,
    *,
    model: Callable[[object], object] | None = None,
    rebuild: bool = False,
    dry_run: bool = False,
) -> Rewritten:
    journal = find_journal(store, name)
    try:
        with bar(name, journal.statistics().end) as advance:
            return rewrite(
                program, journal, change,
                key=name.removeprefix(prefix), model=model, rebuild=rebuild, dry_run=dry_run, progress=advance,
            )  # fmt: skip
    finally:
        journal.close()


def _journals(store: RecordStore, program: SomeProgram, name: str, prefix: str | None) -> list[str]:
    names = store.journal_names()
    if name:
        return [name]
    if prefix is not None or takes_key(program):
        under = [each for each in names if each.startswith(prefix or "")]
        if not under:
            raise UsageError(f"{store.where} has {named(names)}, and none whose name begins with {prefix or ''!r}")
        return under
    if len(names) != 1:
        raise UsageError(f"{store.where} has {named(names)}: say which with --name, or those of a keyed program with --prefix")
    return names


def _change(program: SomeProgram, where: Sequence[str], replacement: OfEntry | None) -> OfEntry:
    """Return the function that empties or replaces the messages for which all conditions hold."""
    conditions = Members(where)
    codec: MessageCodec[object] = MessageCodec(message_type(program))

    def change(entry: Recorded[object]) -> object:
        message = entry.message
        record = message if isinstance(message, list) else _json(codec.encode(message))
        if not conditions.hold(record):
            return message
        return None if replacement is None else replacement(entry)

    return change


def _json(data: bytes) -> object:
    from msgspec import json

    return json.decode(data)
