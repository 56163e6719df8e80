"""go_state: messages in, model out. A map of the package.

    What a program is           Program, reducer, Step, Turn, Cmd, Command, Failure, Retry, Sub, stored_as
    ... and its commands need   env, effect_id, Effects
    Feed it: the queue          Buffer, Consumer; retention: drop_committed, fixed, keep_all
    Run it                      run, run_async
    ... and hold it             start, start_async, App; start_keyed, start_keyed_async, KeyedApps; Reader, Sender, Watching
    ... and watch it            Value, Watcher, select, Changes, Change, ANY, fanout, throttle
    ... and keep its messages   LMDBStore.journal; run(store=, key=, snapshots=); replay, verify, to_test, check_store
    Fold something around it    middleware, Denied
    Run it over a source        batch, batch_async, Result; sources.CSV, sources.JSONLines, sources.progress
    ... and keep the model      aggregate, aggregate_async, KeyedResult, Snapshots, load_model
    End it early                signals, StopSwitch
    When a message fails        Raise, SetAside, FailedMessage
    Where models are kept       LMDBStore, MemoryStore, PostgresStore, JsonCodec; for a store of your own Stored and Write
    When something is wrong     GoStateError and all below it: go_state.core.errors
    Test it                     testing.Harness, testing.play, testing.SimClock, testing.messages, testing.crash_at
    ... and a backend           testing.StoreContract, testing.BufferContract

The folders are the way of a message: `buffer` feeds it to the turn in `loop`, `modes` wire the two to a source and to `storage`,
and `core` says what they all speak of. `watch` is how others see the model.
"""

from typing import TYPE_CHECKING, Any

from go_state import middleware
from go_state.buffer import Buffer, BufferStatistics, Consumer, ReaderStatistics, drop_committed, fixed, keep_all
from go_state.core.commands import Cmd, Command, Failure, Retry
from go_state.core.errors import (
    BadRecord,
    Closed,
    ConcurrentGet,
    Conflict,
    Corrupt,
    Denied,
    Empty,
    Full,
    GoStateError,
    Incompatible,
    InsideLoop,
    InvalidKey,
    Lagged,
    LeaseHeld,
    LeftRunning,
    MissingExtra,
    NoReply,
    NothingPending,
    NotStorable,
    ProgramError,
    SourceChanged,
    SourceError,
    StoreError,
    StoreFull,
    StoreUnavailable,
    TimedOut,
    TypesChanged,
    UnfinishedRecord,
    UsageError,
    Waiting,
)
from go_state.core.migrations import Migration
from go_state.core.naming import stored_as
from go_state.core.ports import Stored, Write
from go_state.core.program import Program, Step, reducer
from go_state.core.subscriptions import Sub
from go_state.core.turn import Turn
from go_state.modes.aggregate.aggregate import KeyedResult, aggregate, aggregate_async
from go_state.modes.batch.batch import Result, batch, batch_async
from go_state.modes.keeping.schema import load_model
from go_state.modes.limits import Retain, Snapshots, StopSwitch, signals
from go_state.modes.run import run, run_async
from go_state.runtime.effects.context import effect_id, env
from go_state.runtime.on_error import FailedMessage, Raise, SetAside
from go_state.runtime.resources import Effects
from go_state.storage.backends.lmdb.store import LMDBStore
from go_state.storage.backends.memory import MemoryStore
from go_state.storage.codec.json_codec import JsonCodec

if TYPE_CHECKING:  # what many a service never uses, and is imported at its first use: see below
    from go_state import sources, testing
    from go_state.history.check_store import check_store
    from go_state.history.replay import replay
    from go_state.history.to_test import to_test
    from go_state.history.verify import Verified, verify
    from go_state.modes.app.app import App
    from go_state.modes.app.capabilities import Reader, Sender, Watching
    from go_state.modes.app.life import AppStatistics
    from go_state.modes.app.start import start, start_async
    from go_state.modes.keyed_apps.keyed_apps import KeyedApp, KeyedApps
    from go_state.modes.keyed_apps.start_keyed import start_keyed, start_keyed_async
    from go_state.storage.backends.postgres.store import PostgresStore
    from go_state.watch.fanout import fanout
    from go_state.watch.fields import ANY, Change, Changes
    from go_state.watch.throttle import throttle
    from go_state.watch.value import Value, select
    from go_state.watch.watcher import Watcher

__version__ = "0.1.0"

_LATER = {
    "go_state.modes.app.app": ("App",),
    "go_state.modes.app.life": ("AppStatistics",),
    "go_state.modes.keyed_apps.keyed_apps": ("KeyedApp", "KeyedApps"),
    "go_state.history.replay": ("replay",),
    "go_state.history.to_test": ("to_test",),
    "go_state.history.verify": ("Verified", "verify"),
    "go_state.modes.app.capabilities": ("Reader", "Sender", "Watching"),
    "go_state.modes.app.start": ("start", "start_async"),
    "go_state.modes.keyed_apps.start_keyed": ("start_keyed", "start_keyed_async"),
    "go_state.history.check_store": ("check_store",),
    "go_state.storage.backends.postgres.store": ("PostgresStore",),
    "go_state.watch.fanout": ("fanout",),
    "go_state.watch.fields": ("ANY", "Change", "Changes"),
    "go_state.watch.throttle": ("throttle",),
    "go_state.watch.value": ("Value", "select"),
    "go_state.watch.watcher": ("Watcher",),
}

__all__ = [
    "ANY",
    "App",
    "AppStatistics",
    "BadRecord",
    "Buffer",
    "BufferStatistics",
    "Change",
    "Changes",
    "Closed",
    "Cmd",
    "Command",
    "ConcurrentGet",
    "Conflict",
    "Consumer",
    "Corrupt",
    "Denied",
    "Effects",
    "Empty",
    "FailedMessage",
    "Failure",
    "Full",
    "GoStateError",
    "Incompatible",
    "InsideLoop",
    "InvalidKey",
    "JsonCodec",
    "KeyedApp",
    "KeyedApps",
    "KeyedResult",
    "LMDBStore",
    "Lagged",
    "LeaseHeld",
    "LeftRunning",
    "MemoryStore",
    "Migration",
    "MissingExtra",
    "NoReply",
    "NotStorable",
    "NothingPending",
    "PostgresStore",
    "Program",
    "ProgramError",
    "Raise",
    "Reader",
    "ReaderStatistics",
    "Result",
    "Retain",
    "Retry",
    "Sender",
    "SetAside",
    "Snapshots",
    "SourceChanged",
    "SourceError",
    "Step",
    "StopSwitch",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "Stored",
    "Sub",
    "TimedOut",
    "Turn",
    "TypesChanged",
    "UnfinishedRecord",
    "UsageError",
    "Value",
    "Verified",
    "Waiting",
    "Watcher",
    "Watching",
    "Write",
    "aggregate",
    "aggregate_async",
    "batch",
    "batch_async",
    "check_store",
    "drop_committed",
    "effect_id",
    "env",
    "fanout",
    "fixed",
    "keep_all",
    "load_model",
    "middleware",
    "reducer",
    "replay",
    "run",
    "run_async",
    "select",
    "signals",
    "sources",
    "start",
    "start_async",
    "start_keyed",
    "start_keyed_async",
    "stored_as",
    "testing",
    "throttle",
    "to_test",
    "verify",
]


def __getattr__(name: str) -> Any:
    import importlib

    if name in ("sources", "testing"):
        return importlib.import_module(f"go_state.{name}")
    for module, names in _LATER.items():
        if name in names:
            found = globals()[name] = getattr(importlib.import_module(module), name)
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
