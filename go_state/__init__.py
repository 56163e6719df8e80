"""go_state: messages in, model out. A map of the package.

    What a program is           Program, reducer, Step, Turn, Cmd, Command, Failure, Retry, Sub, stored_as, Migration
    ... and its commands need   env, effect_id, Effects
    Feed it: the queue          Buffer, Consumer; its statistics: gs.buffer; how long it keeps messages: gs.retention
    Run it                      run, run_async
    ... and hold it             start, start_async, App; start_keyed, start_keyed_async, KeyedApps; its parts: gs.app
    ... and watch it            Value, ANY; gs.watch has the rest; gs.values: values in etcd and NATS
    See what it does            gs.observe: Log, Prometheus, OpenTelemetry; App.effects; inspect, a page beside it: gs.inspector
    ... and keep its messages   LMDBStore.journal, Journal; run(store=, key=, snapshots=), Retain
    ... and ask its history     replay, verify, to_test, check_store; gs.history: first, steps, compare, rebuild, peek
    Fold something around it    gs.middleware, Denied
    Run it over a source        batch, batch_async, Result; gs.sources: CSV, JSONLines, progress
    ... read by many            gs.sources: Kafka, Kinesis, KinesisEvent, JetStream, Partitions, part; Leases
    ... and keep the model      aggregate, aggregate_async, KeyedResult, Snapshots, load_model
    ... and see how far it is   positions
    End it early                signals, StopSwitch
    When a message fails        Raise, SetAside, Halt, FailedMessage; DeadLetters, what they hold: gs.dead_letters
    Where models are kept       LMDBStore, MemoryStore, PostgresStore, CopiedStore, JsonCodec
    Of your own                 gs.abc: the ports, such as Store, Source, Codec, Producer, Consumer, Value, Clock
    What a call takes           RunOptions, AppOptions, KeyedAppOptions, BatchOptions, AggregateOptions, KeyedAggregateOptions
    When something is wrong     GoStateError, and the most frequent below it; gs.errors has all, and draws them as a tree
    Test it                     gs.testing: Harness, play, SimClock, messages, crash_at, StoreContract, BufferContract, ValueContract

A name is imported when it is first used. The folders are the way of a message: `buffer` feeds it to the turn in `runtime`, `modes`
wire the two to a source and to `storage`, and `core` says what they all speak of. `watch` is how others see the model.
"""

import typing as _typing

from go_state.system.later import names_of_later as _names_of_later

if _typing.TYPE_CHECKING:
    from go_state import (
        abc,
        app,
        buffer,
        dead_letters,
        errors,
        history,
        inspector,
        middleware,
        observe,
        retention,
        sources,
        testing,
        values,
        watch,
    )
    from go_state.buffer.buffer import Buffer
    from go_state.buffer.consumer import Consumer
    from go_state.core.call_options import Retry
    from go_state.core.commands import Cmd, Command, Failure
    from go_state.core.errors import Closed, Conflict, Denied, Full, GoStateError, ProgramError, TimedOut, UsageError
    from go_state.core.migrations import Migration
    from go_state.core.naming import stored_as
    from go_state.core.program import Program, Step, reducer
    from go_state.core.subscriptions import Sub
    from go_state.core.turn import Turn
    from go_state.dead_letters.dead_letters import DeadLetters
    from go_state.history.check_store import check_store
    from go_state.history.compare import compare
    from go_state.history.peek import peek
    from go_state.history.rebuild import rebuild
    from go_state.history.replay import replay
    from go_state.history.steps import first
    from go_state.history.to_test import to_test
    from go_state.history.verify import verify
    from go_state.inspector.serving.inspect import inspect
    from go_state.modes.aggregate.aggregate import KeyedResult, aggregate, aggregate_async
    from go_state.modes.aggregate.positions import positions
    from go_state.modes.app.app import App
    from go_state.modes.app.start import start, start_async
    from go_state.modes.batch.batch import Result, batch, batch_async
    from go_state.modes.keeping.schema import load_model
    from go_state.modes.keyed_apps.keyed_apps import KeyedApps
    from go_state.modes.keyed_apps.start_keyed import start_keyed, start_keyed_async
    from go_state.modes.options import (
        AggregateOptions,
        AppOptions,
        BatchOptions,
        KeyedAggregateOptions,
        KeyedAppOptions,
        Retain,
        RunOptions,
        Snapshots,
    )
    from go_state.modes.run import run, run_async
    from go_state.modes.stop import StopSwitch, signals
    from go_state.runtime.context import effect_id, env
    from go_state.runtime.on_error import FailedMessage, Halt, Raise, SetAside
    from go_state.runtime.resources import Effects
    from go_state.sources.streams.leases import Leases
    from go_state.storage.backends.lmdb.store import LMDBStore
    from go_state.storage.backends.memory import MemoryStore
    from go_state.storage.backends.objects.store import CopiedStore
    from go_state.storage.backends.postgres.store import PostgresStore
    from go_state.storage.codec.json_codec import JsonCodec
    from go_state.storage.journal.journal import Journal
    from go_state.watch.fields import ANY
    from go_state.watch.value import Value

__version__ = "0.2.0"

# Where each name is; the imports above are for type checkers, and a test compares the two.
_LATER = {
    "go_state": (
        "abc",
        "app",
        "buffer",
        "dead_letters",
        "errors",
        "history",
        "inspector",
        "middleware",
        "observe",
        "retention",
        "sources",
        "testing",
        "values",
        "watch",
    ),
    "go_state.buffer.buffer": ("Buffer",),
    "go_state.buffer.consumer": ("Consumer",),
    "go_state.core.call_options": ("Retry",),
    "go_state.core.commands": ("Cmd", "Command", "Failure"),
    "go_state.core.errors": (
        "Closed",
        "Conflict",
        "Denied",
        "Full",
        "GoStateError",
        "ProgramError",
        "TimedOut",
        "UsageError",
    ),
    "go_state.core.migrations": ("Migration",),
    "go_state.core.naming": ("stored_as",),
    "go_state.core.program": ("Program", "Step", "reducer"),
    "go_state.core.subscriptions": ("Sub",),
    "go_state.core.turn": ("Turn",),
    "go_state.dead_letters.dead_letters": ("DeadLetters",),
    "go_state.history.check_store": ("check_store",),
    "go_state.history.compare": ("compare",),
    "go_state.history.peek": ("peek",),
    "go_state.history.rebuild": ("rebuild",),
    "go_state.history.steps": ("first",),
    "go_state.history.replay": ("replay",),
    "go_state.history.to_test": ("to_test",),
    "go_state.history.verify": ("verify",),
    "go_state.inspector.serving.inspect": ("inspect",),
    "go_state.modes.aggregate.aggregate": ("KeyedResult", "aggregate", "aggregate_async"),
    "go_state.modes.aggregate.positions": ("positions",),
    "go_state.modes.app.app": ("App",),
    "go_state.modes.app.start": ("start", "start_async"),
    "go_state.modes.batch.batch": ("Result", "batch", "batch_async"),
    "go_state.modes.keeping.schema": ("load_model",),
    "go_state.modes.keyed_apps.keyed_apps": ("KeyedApps",),
    "go_state.modes.keyed_apps.start_keyed": ("start_keyed", "start_keyed_async"),
    "go_state.modes.options": (
        "AggregateOptions",
        "AppOptions",
        "BatchOptions",
        "KeyedAggregateOptions",
        "KeyedAppOptions",
        "Retain",
        "RunOptions",
        "Snapshots",
    ),
    "go_state.modes.run": ("run", "run_async"),
    "go_state.modes.stop": ("StopSwitch", "signals"),
    "go_state.runtime.context": ("effect_id", "env"),
    "go_state.runtime.on_error": ("FailedMessage", "Halt", "Raise", "SetAside"),
    "go_state.runtime.resources": ("Effects",),
    "go_state.sources.streams.leases": ("Leases",),
    "go_state.storage.backends.lmdb.store": ("LMDBStore",),
    "go_state.storage.backends.memory": ("MemoryStore",),
    "go_state.storage.backends.objects.store": ("CopiedStore",),
    "go_state.storage.backends.postgres.store": ("PostgresStore",),
    "go_state.storage.codec.json_codec": ("JsonCodec",),
    "go_state.storage.journal.journal": ("Journal",),
    "go_state.watch.fields": ("ANY",),
    "go_state.watch.value": ("Value",),
}

__all__ = [
    "ANY",
    "AggregateOptions",
    "App",
    "AppOptions",
    "BatchOptions",
    "Buffer",
    "Closed",
    "Cmd",
    "Command",
    "Conflict",
    "Consumer",
    "CopiedStore",
    "DeadLetters",
    "Denied",
    "Effects",
    "FailedMessage",
    "Failure",
    "Full",
    "GoStateError",
    "Halt",
    "Journal",
    "JsonCodec",
    "KeyedAggregateOptions",
    "KeyedAppOptions",
    "KeyedApps",
    "KeyedResult",
    "LMDBStore",
    "Leases",
    "MemoryStore",
    "Migration",
    "PostgresStore",
    "Program",
    "ProgramError",
    "Raise",
    "Result",
    "Retain",
    "Retry",
    "RunOptions",
    "SetAside",
    "Snapshots",
    "Step",
    "StopSwitch",
    "Sub",
    "TimedOut",
    "Turn",
    "UsageError",
    "Value",
    "abc",
    "aggregate",
    "aggregate_async",
    "app",
    "batch",
    "batch_async",
    "buffer",
    "check_store",
    "compare",
    "dead_letters",
    "effect_id",
    "env",
    "errors",
    "first",
    "history",
    "inspect",
    "inspector",
    "load_model",
    "middleware",
    "observe",
    "peek",
    "positions",
    "rebuild",
    "reducer",
    "replay",
    "retention",
    "run",
    "run_async",
    "signals",
    "sources",
    "start",
    "start_async",
    "start_keyed",
    "start_keyed_async",
    "stored_as",
    "testing",
    "to_test",
    "values",
    "verify",
    "watch",
]

__getattr__, __dir__ = _names_of_later(globals(), _LATER)
