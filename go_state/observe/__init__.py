"""Observe: what a run does, as typed events, for a log, for metrics and traces, or for a function of your own.

    turns, commands, saves ──▶ events ──▶ on_event of each observer: Log, Prometheus, OpenTelemetry, yours

Every mode takes `observe=`: one observer, or a list of them. `gs.start(bot, observe=gs.observe.Log())` is enough to see what a
service does.

    events          each event: what has happened, to which program and key, at which position, and how long it took
    observer        the ports: `Observer`, an object with `on_event(event)`, and `Tracer`, which follows a message to its commands
    log             `Log`: the standard library's logging; slow turns are named
    prometheus      `Prometheus`: counters and histograms, to be scraped
    opentelemetry   `OpenTelemetry`: spans of turns and commands, children of whoever sent the message, in the program or outside; and metrics

`program` is the program's name, `key` its key in the store or among the programs of many keys, and in a keyed aggregate that of the
message; None if there is none. `message` is the name of the message's class, "" at the beginning, where there is none. `position` is
where the message stands in its queue or source; None if nobody counts. `seconds` is how long it took, by the run's clock. `error` is
the name of the exception's class. Of a command `id` is its effect id and `function` what it calls ("after" for a timer). `source` is
the name of a source.

An event names classes and functions; it never has what is in a message, a model or an error. Events are told in order, in the run's own
thread or task, between two turns: an observer that takes long slows the run down. What has to wait, such as a network, belongs behind
a queue: `logging.handlers.QueueHandler` under `Log`, OpenTelemetry's `BatchSpanProcessor`, or `queue.SimpleQueue().put` as `on_event`
and a thread of your own that reads it. An observer that raises is reported once, by the warning `gs.errors.ObserverFailed`, and is left
out from then on; the run goes on.
"""

from go_state.observe.events import (
    CommandCancelled,
    CommandDone,
    CommandFailed,
    CommandRetried,
    CommandStarted,
    Event,
    Flush,
    LeaseLost,
    LeaseReleased,
    LeaseTaken,
    MessageSetAside,
    PartitionAssigned,
    PartitionFenced,
    PartitionGap,
    PartitionLost,
    PartitionRevoked,
    PartitionSaved,
    Restored,
    RunEnded,
    RunStarted,
    SnapshotSaved,
    SubscriptionEnded,
    SubscriptionStarted,
    Turn,
    TurnFailed,
)
from go_state.observe.log import Log
from go_state.observe.observer import Observer, Tracer
from go_state.observe.opentelemetry import OpenTelemetry
from go_state.observe.prometheus import Prometheus

__all__ = [
    "CommandCancelled",
    "CommandDone",
    "CommandFailed",
    "CommandRetried",
    "CommandStarted",
    "Event",
    "Flush",
    "LeaseLost",
    "LeaseReleased",
    "LeaseTaken",
    "Log",
    "MessageSetAside",
    "Observer",
    "OpenTelemetry",
    "PartitionAssigned",
    "PartitionFenced",
    "PartitionGap",
    "PartitionLost",
    "PartitionRevoked",
    "PartitionSaved",
    "Prometheus",
    "Restored",
    "RunEnded",
    "RunStarted",
    "SnapshotSaved",
    "SubscriptionEnded",
    "SubscriptionStarted",
    "Tracer",
    "Turn",
    "TurnFailed",
]
