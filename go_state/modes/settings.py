"""The settings of a run: the options of `options.py`, checked once, as frozen values that travel through the modes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from go_state.core.errors import UsageError
from go_state.core.program import Program, SomeProgram, takes_key
from go_state.modes.options import DurableOptions, Options, Retain, Snapshots, StoredOptions
from go_state.runtime.on_error import OnError, Raise, check_on_error
from go_state.runtime.resources import Resources, resources_of

if TYPE_CHECKING:
    from go_state.modes.keeping.schema import StoredTypes
    from go_state.runtime.observing.observation import Observation
    from go_state.runtime.observing.observers import Observers
    from go_state.storage.backends.record_store import RecordStore
    from go_state.storage.journal.commit.writer import Durability
    from go_state.storage.journal.journal import SomeJournal
    from go_state.storage.records.lease import IfHeld
    from go_state.system.own_thread import OwnThread

Model = TypeVar("Model")
Msg = TypeVar("Msg")
Function = TypeVar("Function", bound=Callable[..., object])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How a run fails, and what it uses of the world around it."""

    on_error: OnError
    resources: Resources
    observers: Observers | None = None

    def observation(self, program: SomeProgram, key: str | None = None) -> Observation | None:
        """Return what tells the observers of one run of the program; None if there are none."""
        if self.observers is None:
            return None
        from go_state.runtime.observing.observation import Observation

        return Observation(self.observers, self.resources.clock, name_of_program(program), key)


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableSettings:
    """Where and how a durable run is stored."""

    store: RecordStore
    key: str
    of_key: str | None = None  # the key of the program, if it is one of many
    journal: SomeJournal | None = None  # the one that was given as the buffer; its messages are the program's
    snapshots: Snapshots = Snapshots()
    durability: Durability | None = None
    lease: IfHeld | None = None
    restore: int | None = None
    retention: Retain | None = None
    types: StoredTypes[Any] | None = None  # of the program, if they are made already
    wake: bytes | None = None  # the name of the record that says when the program has something to do by itself, if it is woken
    thread: OwnThread | None = None  # that several runs on an event loop share; each has its own otherwise


# ------------------------------------------------------------------ making them


def run_settings(options: Options) -> RunSettings:
    """Return the settings that every run has; `UsageError` for a value that does not fit."""
    on_error = options.get("on_error", Raise())
    check_on_error(on_error)
    resources = resources_of(options.get("env"), options.get("effects"), options.get("clock"))
    return RunSettings(on_error=on_error, resources=resources, observers=_checked_observers(options.get("observe")))


def _checked_observers(observe: object) -> Observers | None:
    if observe is None:
        return None
    from go_state.runtime.observing.observers import checked_observers  # here: a run without observers need not wait for it

    return checked_observers(observe)


def durable_settings(buffer: object, options: DurableOptions) -> DurableSettings | None:
    """Return how a run of this queue is stored; None for a run that is not durable, `UsageError` for options that do not fit."""
    journal = _as_journal(buffer)
    if journal is None and all(options.get(word) is None for word in DURABLE_WORDS):
        return None
    store, key = options.get("store"), options.get("key")
    if journal is not None:  # which knows both
        store, key = journal.store if store is None else store, journal.name if key is None else key
    if store is None or key is None:
        raise UsageError(
            "a durable run has both a store= and a key=, which names its journal and snapshots; other runs keep nothing"
        )
    if buffer is not None and (journal is None or journal.name != key):
        raise UsageError(f"the queue of a durable run is its journal: leave it out, or give store.journal({key!r})")
    checked = _checked_store(store)
    if journal is not None and journal.store is not checked:
        raise UsageError("the journal is in another store than store=: give store.journal(key)")
    if not isinstance(key, str):
        raise UsageError(f"key= is the name of the program's journal and snapshots, not a {type(key).__qualname__}")
    restore = options.get("restore")
    if restore is not None and (not isinstance(restore, int) or restore < 0):
        raise UsageError(f"restore= is the position of a snapshot that was kept, not {restore!r}")
    _check_journal_options(journal, options)
    return DurableSettings(
        store=checked,
        key=key,
        journal=journal,
        snapshots=_checked_snapshots(options),
        durability=options.get("durability"),
        lease=options.get("lease"),
        restore=restore,
        retention=_checked_retention(options),
    )


def stored_settings(prefix: str, options: StoredOptions) -> DurableSettings | None:
    """Return how the programs of many keys are stored, under the prefix and their key; None if they are not."""
    store = options.get("store")
    if store is None:
        if any(options.get(word) is not None for word in ("snapshots", "durability", "retention")):
            raise UsageError(
                "snapshots=, durability= and retention= say how programs are kept in a store=: give one, or leave them out"
            )
        return None
    return DurableSettings(
        store=_checked_store(store),
        key=prefix,
        snapshots=_checked_snapshots(options),
        durability=options.get("durability"),
        retention=_checked_retention(options),
    )


def _check_journal_options(journal: SomeJournal | None, options: DurableOptions) -> None:
    """Raise `UsageError` for options of the journal that do not fit, or that the journal that was given does not have."""
    from go_state.storage.records.lease import check_if_held  # here: a program that stores nothing need not wait for it

    durability, lease = options.get("durability"), options.get("lease")
    if durability is not None and durability not in ("group", "put"):
        raise UsageError(f'durability is "group" or "put", not {durability!r}')
    if journal is not None and durability not in (None, journal.durability):
        raise UsageError(
            f"the journal {journal.name!r} is open already, with durability={journal.durability!r}: close it first"
        )
    if lease is not None:
        check_if_held(lease)


DURABLE_WORDS = ("store", "key", "snapshots", "durability", "lease", "restore", "retention")


def _as_journal(buffer: object) -> SomeJournal | None:
    if "go_state.storage.journal.journal" not in sys.modules:  # whoever has a journal has imported it
        return None
    from go_state.storage.journal.journal import Journal

    return buffer if isinstance(buffer, Journal) else None


def _checked_store(store: object) -> RecordStore:
    from go_state.storage.backends.record_store import RecordStore  # here: a program that stores nothing need not wait for it

    if not isinstance(store, RecordStore):
        raise UsageError(
            f"a durable run is kept in an open gs.LMDBStore or gs.PostgresStore, not in a {type(store).__qualname__}"
        )
    return store


def _checked_snapshots(options: StoredOptions) -> Snapshots:
    snapshots = options.get("snapshots")
    if snapshots is None:
        return Snapshots()
    if not isinstance(snapshots, Snapshots):
        raise UsageError(f"snapshots= is a gs.Snapshots(every=..., seconds=...), not a {type(snapshots).__qualname__}")
    return snapshots


def _checked_retention(options: StoredOptions) -> Retain | None:
    retention = options.get("retention")
    if not isinstance(retention, (Retain, type(None))):
        raise UsageError(f"retention= is a gs.Retain(...), not a {type(retention).__qualname__}")
    return retention


# ------------------------------------------------------------------ what is wrong with a call


def check_names(called: str, options: Mapping[str, object], *known: type, own: tuple[str, ...] = ()) -> None:
    """Raise `UsageError` for a keyword that none of the option classes has; it names the nearest one that there is.

    `own` are the keywords in the signature of what was called.
    """
    words = dict.fromkeys([*own, *(word for each in known for word in each.__annotations__)])
    for word in options:
        if word not in words:
            import difflib

            near = difflib.get_close_matches(word, words, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise UsageError(f"{called} has no argument {word}{hint}: it has {', '.join(words)}")


def checked_function(word: str, function: Function | None, takes: str) -> Function | None:
    """Return the function; `UsageError` if it cannot be called, or is a coroutine function, whose result would count as true."""
    if function is None or (callable(function) and not inspect.iscoroutinefunction(function)):
        return function
    found = "a coroutine function" if callable(function) else f"a {type(function).__qualname__}"
    raise UsageError(f"{word}= is a plain function of {takes}, not {found}")


def name_of_program(program: Program[Model, Msg]) -> str:
    """Return the program's name, or that of its update."""
    return program.name or getattr(program.update, "__qualname__", "program")


def checked_program(program: Program[Model, Msg]) -> Program[Model, Msg]:
    """Return the program; `UsageError` if it is something else."""
    if not isinstance(program, Program):
        raise UsageError(f"the first argument is a gs.Program(init, update), not a {type(program).__qualname__}")
    return program


def program_without_key(program: Program[Model, Msg], called: str) -> Program[Model, Msg]:
    """Return the program; `UsageError` if its init takes a key, which a run of one program does not have."""
    if takes_key(checked_program(program)):
        raise UsageError(
            f"the program's init takes a key, and {called} has none to give: use aggregate with key=, or start_keyed, which run one "
            f"model for each key"
        )
    return program
