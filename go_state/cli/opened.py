"""What a command is given: a store by its path or address, a journal by its name, a program by its module and name."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from go_state.core.errors import UsageError
from go_state.core.program import Program, SomeProgram
from go_state.storage.backends.lmdb.store import LMDBStore
from go_state.storage.backends.record_store import RecordStore
from go_state.storage.journal.journal import Journal

_SOME = 5  # of many journals this many are named


def open_store(db: str, schema: str, *, new: bool = False, readonly: bool = False) -> RecordStore:
    """Open the store in a file or in Postgres; it has to exist, unless it may be `new`. A file that is `readonly` is not written."""
    if db.startswith(("postgres://", "postgresql://")):
        from go_state.storage.backends.postgres.store import PostgresStore

        return PostgresStore(db, schema=schema, create=new)
    if not (new or os.path.isfile(db)):
        what = "this, which may hold a password," if "@" in db or "=" in db else db
        raise UsageError(f"{what} is not a file: give the path of a store, or postgresql://user@host/database")
    return LMDBStore(db, readonly=readonly, create=new)


@contextmanager
def store_to_fill(db: str, schema: str) -> Iterator[RecordStore]:
    """Open a store that may be new, and remove it again if it was made here and the block fails."""
    is_file = "://" not in db
    made = is_file and not os.path.lexists(db)
    try:
        with open_store(db, schema, new=True) as store:
            yield store
    except BaseException:
        for path in (db, f"{db}-lock") if made else ():
            if os.path.exists(path):
                os.remove(path)
        raise


def find_journal(store: RecordStore, name: str) -> Journal[object]:
    """Return the journal of that name; `UsageError` if the store has none."""
    names = store.journal_names()
    if name not in names:
        raise UsageError(f"there is no journal {name!r} in {store.where}, which has {named(names)}")
    return store.journal(name)


def named(names: Sequence[str]) -> str:
    """Return how many journals there are, and the names of the first."""
    first = ", ".join(map(repr, names[:_SOME]))
    more = f" and {len(names) - _SOME:,} more" if len(names) > _SOME else ""
    return f"{len(names):,} journal{'s' if len(names) != 1 else ''}{f' ({first}{more})' if names else ''}"


def import_program(target: str) -> SomeProgram:
    """Import the program from "module:name"; the current folder is looked in first."""
    found = _imported(target, "a program is given as module:name, such as bot.main:program")
    if not isinstance(found, Program):
        raise UsageError(f"{target} is not a gs.Program{_programs_beside(target)}")
    return found


def _programs_beside(target: str) -> str:
    """Return which programs the module has, which is imported by now."""
    module = target.partition(":")[0]
    found = [name for name, value in vars(sys.modules[module]).items() if isinstance(value, Program)]
    return f": {module} has {', '.join(found[:_SOME])}" if found else f", and {module} has none"


def import_function(target: str) -> Callable[[object], object]:
    """Import the function from "module:name"; the current folder is looked in first."""
    found = import_object(target)
    if not callable(found):
        raise UsageError(f"{target} is not a function")
    return found


def import_object(target: str) -> object:
    """Import a class or a function from "module:name"; `UsageError` if there is none."""
    found = _imported(target, "a class or a function is given as module:name, such as bot.main:Sale")
    if found is None:
        raise UsageError(f"{target}: the module has nothing of that name")
    return found


def _imported(target: str, how: str) -> object:
    module, _, name = target.partition(":")
    if not name:
        raise UsageError(f"{how}, not {target!r}")
    sys.path.insert(0, os.getcwd())
    if not all(part.isidentifier() for part in module.split(".")):
        raise UsageError(
            f"{module!r} is not a module's name: give it as `import` takes it, such as bot.main, with dots and without .py"
        )
    try:
        return getattr(importlib.import_module(module), name, None)
    except (Exception, SystemExit) as error:  # whatever the module does when it is imported; a script may end there
        raise UsageError(
            f"{module} cannot be imported ({type(error).__name__}: {error}): run the command where `python -c 'import {module}'` works"
        ) from None
