"""What a command is asked about: a program, and its history in a store or a file, with the key if there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from go_state.cli.history.where import Where
from go_state.cli.opened import find_journal, import_object, named, open_store
from go_state.core.errors import UsageError
from go_state.core.ports import Source
from go_state.core.program import SomeProgram, takes_key
from go_state.history.reading.histories import Given
from go_state.history.reading.opened import HistoryOptions
from go_state.runtime.on_error import SetAside
from go_state.sources.jsonlines import JSONLines
from go_state.sources.tables import CSV
from go_state.storage.backends.record_store import RecordStore
from go_state.storage.codec.program_types import message_type

_TABLES = (".csv", ".tsv")
_LINES = (".jsonl", ".ndjson", ".jsonlines")


@dataclass(frozen=True, slots=True)
class Asked:
    """A history that is open, and what the tools are to be told of it. `total` is how many messages it has, if that is known."""

    history: Given[object]
    options: HistoryOptions
    total: int | None
    store: RecordStore | None  # that the journal is in


@contextmanager
def asked(program: SomeProgram, history: str, where: Where, *, writes: bool = False) -> Iterator[Asked]:
    """Open the history for one block; its store to be written to, if the command `writes`."""
    with ExitStack() as ends:
        if kind_of(history):
            yield _file(program, history, where, _store(where, ends, writes=writes))
            return
        store = ends.enter_context(open_store(history, where.schema, readonly=not writes))
        folded = store if _is_same(where.store, history) else _store(where, ends, writes=writes)
        yield _journal(program, store, where, folded)


def kind_of(path: str) -> str:
    """Return how the name of a file of records ends, compressed or not; empty for any other file."""
    plain = path.lower().removesuffix(".gz").removesuffix(".zip")
    return next((suffix for suffix in (*_TABLES, *_LINES) if plain.endswith(suffix)), "")


def _file(program: SomeProgram, path: str, where: Where, store: RecordStore | None) -> Asked:
    if where.name or where.prefix:
        raise UsageError("--name and --prefix say which journal of a store it is, and this is a file: leave them out")
    return Asked(file_source(program, path, where.of), _options(where, store), None, None)


def file_source(program: SomeProgram, path: str, of: str = "") -> Source[object]:
    """Return a file of records as a source, whose messages are `of` that class, or those of the program."""
    kind, cls = kind_of(path), import_object(of) if of else message_type(program)
    if not kind:
        raise UsageError(
            f"{path} is not a file of records, such as .csv or .jsonl: several histories are files, each of its own"
        )
    if kind in _TABLES and not of and not isinstance(cls, type):
        raise UsageError(
            f"the program takes messages of several classes: say with --of module:Class which of them a row of {path} is"
        )
    if kind in _LINES:
        return JSONLines(path, cls)  # type: ignore[arg-type]  # what is no type it refuses itself
    return CSV(path, cls, delimiter="\t" if kind == ".tsv" else ",")  # type: ignore[arg-type]


def _journal(program: SomeProgram, store: RecordStore, where: Where, folded: RecordStore | None) -> Asked:
    """Return a journal of the store, and of an aggregate the store that its models are `folded` into."""
    if where.of:
        raise UsageError("--of says what the messages of a file are, and this is a store, whose program says it: leave it out")
    journal = find_journal(store, journal_name(store, where))
    options = _options(where, folded)
    if takes_key(program) and where.key is None and not where.key_of:
        options["key"] = journal.name.removeprefix(where.prefix)
    if not takes_key(program) and options.get("store") is None and not where.key_of:
        options.pop("key", None)  # it has said which journal
    statistics = journal.statistics()
    return Asked(journal, options, statistics.end, store)


def journal_name(store: RecordStore, where: Where) -> str:
    """Return the name of the journal that is meant: `--name`, or the prefix and the key, or the only one."""
    if where.name:
        return where.name
    if where.key is not None and not where.key_of:
        return where.prefix + where.key
    names = [name for name in store.journal_names() if name.startswith(where.prefix)]
    if len(names) != 1:
        raise UsageError(f"{store.where} has {named(names)}: say which with --name; `go-state journal list` shows them all")
    return names[0]


def _options(where: Where, store: RecordStore | None) -> HistoryOptions:
    options: HistoryOptions = {}
    if where.key is not None:
        options["key"] = where.key
    if where.key_of:
        options["key_of"] = import_object(where.key_of) if ":" in where.key_of else where.key_of  # type: ignore[typeddict-item]  # what cannot be called the tool refuses
    if store is not None:
        options["store"] = store
    if where.set_aside:
        options["on_error"] = SetAside()
    return options


def _store(where: Where, ends: ExitStack, *, writes: bool) -> RecordStore | None:
    """Open the store of an aggregate, if one is given."""
    return ends.enter_context(open_store(where.store, where.schema, readonly=not writes)) if where.store else None


def _is_same(store: str, history: str) -> bool:
    """Return whether both are one store, which cannot be opened twice."""
    if store == history:
        return True
    return os.path.isfile(store) and os.path.isfile(history) and os.path.samefile(store, history)
