"""Prometheus: what runs do, as counters, gauges and histograms to be scraped.

Every label has few values: the program's name, the names of classes and functions. Never a key, a position or an effect id: each would
be a time series of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from go_state.core.errors import MissingExtra, UsageError
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
    PartitionEvent,
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

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

Metric: TypeAlias = Any
"""A counter, gauge or histogram; Any, because which of them a name belongs to is known when it is looked up."""

# Seconds. A turn takes microseconds, and one of a millisecond is slow already; a command is mostly a network's.
TURN_BUCKETS: Final = (1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0, 10.0)
COMMAND_BUCKETS: Final = (0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)


class Prometheus:
    """Counts what runs do in `registry`, by default prometheus-client's own; one for all runs of a process.

        go_state_turn_seconds                histogram  program, message
        go_state_turn_failures_total         counter    program, message, error
        go_state_messages_set_aside_total    counter    program, message, error
        go_state_command_seconds             histogram  program, function, outcome: done, failed, cancelled
        go_state_command_failures_total      counter    program, function, error
        go_state_command_retries_total       counter    program, function
        go_state_commands_running            gauge      program
        go_state_subscriptions_running       gauge      program, kind
        go_state_runs_running                gauge      program
        go_state_run_failures_total          counter    program, error
        go_state_flush_seconds               histogram  program
        go_state_flushed_messages_total      counter    program
        go_state_snapshot_seconds            histogram  program
        go_state_restore_seconds             histogram  program
        go_state_leases_held                 gauge      program
        go_state_leases_lost_total           counter    program
        go_state_partitions_held             gauge      program, source
        go_state_partition_lag               gauge      program, source, partition: records without a turn yet
        go_state_partition_age               gauge      program, source, partition: seconds, of its last record
        go_state_partition_save_seconds      histogram  program, source
        go_state_partitions_fenced_total     counter    program, source
        go_state_partition_gaps_total        counter    program, source

    Raises `MissingExtra` without prometheus-client, and `UsageError` if the registry has such names already.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        client = _client()
        self._registry = client.REGISTRY if registry is None else registry
        self._lock = threading.Lock()  # guards the dictionary
        self._children: dict[tuple[str, ...], Metric] = {}
        self._made: dict[str, Metric] = _Metrics(client, self._registry).make()
        self._told: dict[type[Event], Callable[[Any], object]] = {
            Turn: self._turn,
            TurnFailed: lambda e: self._of("turn_failures", e.program, e.message, e.error).inc(),
            MessageSetAside: lambda e: self._of("messages_set_aside", e.program, e.message, e.error).inc(),
            CommandStarted: lambda e: self._of("commands_running", e.program).inc(),
            CommandRetried: lambda e: self._of("command_retries", e.program, e.function).inc(),
            CommandDone: lambda e: self._command_ended(e, "done"),
            CommandFailed: self._command_failed,
            CommandCancelled: lambda e: None if e.seconds is None else self._command_ended(e, "cancelled"),
            Flush: self._flush,
            SnapshotSaved: lambda e: self._of("snapshot", e.program).observe(e.seconds),
            Restored: lambda e: self._of("restore", e.program).observe(e.seconds),
            RunStarted: lambda e: self._of("runs_running", e.program).inc(),
            RunEnded: self._run_ended,
            LeaseTaken: lambda e: self._of("leases_held", e.program).inc(),
            LeaseReleased: lambda e: self._of("leases_held", e.program).dec(),
            LeaseLost: self._lease_lost,
            SubscriptionStarted: lambda e: self._of("subscriptions_running", e.program, e.kind).inc(),
            SubscriptionEnded: lambda e: self._of("subscriptions_running", e.program, e.kind).dec(),
            PartitionAssigned: lambda e: self._of("partitions_held", e.program, e.source).inc(),
            PartitionRevoked: self._partition_gone,
            PartitionLost: self._partition_gone,
            PartitionFenced: self._partition_fenced,
            PartitionGap: lambda e: self._of("partition_gaps", e.program, e.source).inc(),
            PartitionSaved: self._partition_saved,
        }

    def on_event(self, event: Event, /) -> None:
        """Count the event."""
        self._told[event.__class__](event)

    def _of(self, name: str, *labels: str) -> Metric:
        """Return the metric's child with these labels, which prometheus-client takes microseconds to find."""
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            with self._lock:
                child = self._children[key] = self._made[name].labels(*labels)
        return child

    def _turn(self, event: Turn) -> None:
        self._of("turn", event.program, event.message).observe(event.seconds)

    def _command_ended(self, event: CommandDone | CommandFailed | CommandCancelled, outcome: str) -> None:
        self._of("commands_running", event.program).dec()
        self._of("command", event.program, event.function, outcome).observe(event.seconds)

    def _command_failed(self, event: CommandFailed) -> None:
        self._command_ended(event, "failed")
        self._of("command_failures", event.program, event.function, event.error).inc()

    def _flush(self, event: Flush) -> None:
        self._of("flush", event.program).observe(event.seconds)
        self._of("flushed_messages", event.program).inc(event.messages)

    def _run_ended(self, event: RunEnded) -> None:
        self._of("runs_running", event.program).dec()
        if event.error is not None:
            self._of("run_failures", event.program, event.error).inc()

    def _lease_lost(self, event: LeaseLost) -> None:
        self._of("leases_held", event.program).dec()
        self._of("leases_lost", event.program).inc()

    def _partition_gone(self, event: PartitionEvent) -> None:
        """Count it, and forget its lag, which is somebody else's to tell."""
        self._of("partitions_held", event.program, event.source).dec()
        labels = event.program, event.source, event.partition
        for name in ("partition_lag", "partition_age"):
            with self._lock:
                if self._children.pop((name, *labels), None) is not None:
                    self._made[name].remove(*labels)

    def _partition_fenced(self, event: PartitionFenced) -> None:
        self._partition_gone(event)
        self._of("partitions_fenced", event.program, event.source).inc()

    def _partition_saved(self, event: PartitionSaved) -> None:
        labels = event.program, event.source, event.partition
        self._of("partition_save", event.program, event.source).observe(event.seconds)
        for name, value in (("partition_lag", event.lag), ("partition_age", event.age)):
            if value is not None:
                self._of(name, *labels).set(value)


class _Metrics:
    """Makes the metrics in one registry, all or none."""

    def __init__(self, client: ModuleType, registry: CollectorRegistry) -> None:
        self._client = client
        self._registry = registry
        self._made: dict[str, Metric] = {}

    def make(self) -> dict[str, Metric]:
        """Return the metrics by their names, without the beginning and the unit."""
        try:
            self._make_all()
        except ValueError as error:  # a name is taken: what was made before it goes again
            for metric in self._made.values():
                self._registry.unregister(metric)
            raise UsageError(
                "the registry has metrics of this name already: give all runs of a process one gs.observe.Prometheus(), or each its "
                "own registry"
            ) from error
        return self._made

    def _make_all(self) -> None:
        for name, text, labels, buckets in (
            ("turn", "Seconds of each turn: update, inline commands, commit and what follows it.", ("message",), TURN_BUCKETS),
            ("command", "Seconds of each command that goes on after its turn.", ("function", "outcome"), COMMAND_BUCKETS),
            ("flush", "Seconds of each write of a journal to disk.", (), COMMAND_BUCKETS),
            ("snapshot", "Seconds of each save of models.", (), COMMAND_BUCKETS),
            ("restore", "Seconds of loading and replaying what was stored.", (), COMMAND_BUCKETS),
            ("partition_save", "Seconds of each save of a partition.", ("source",), COMMAND_BUCKETS),
        ):
            self._made[name] = self._client.Histogram(
                f"go_state_{name}_seconds", text, ("program", *labels), registry=self._registry, buckets=buckets
            )
        for name, text, labels in (
            ("turn_failures", "Turns that were rolled back.", ("message", "error")),
            ("messages_set_aside", "Messages that were set aside.", ("message", "error")),
            ("command_failures", "Commands that have failed.", ("function", "error")),
            ("command_retries", "Tries of commands that have failed and are repeated.", ("function",)),
            ("run_failures", "Runs that have failed.", ("error",)),
            ("flushed_messages", "Messages written to disk.", ()),
            ("leases_lost", "Leases lost to somebody else.", ()),
            ("partitions_fenced", "Partitions that somebody else has claimed.", ("source",)),
            ("partition_gaps", "Partitions whose stored position is gone.", ("source",)),
        ):
            self._count(self._client.Counter, name, text, labels)
        for name, text, labels in (
            ("commands_running", "Commands that are running.", ()),
            ("subscriptions_running", "Subscriptions that are running.", ("kind",)),
            ("runs_running", "Programs that are running.", ()),
            ("leases_held", "Journals that are written.", ()),
            ("partitions_held", "Partitions that are read.", ("source",)),
            ("partition_lag", "Records of the partition that had no turn yet.", ("source", "partition")),
            ("partition_age", "Seconds since the last record was written that had a turn.", ("source", "partition")),
        ):
            self._count(self._client.Gauge, name, text, labels)

    def _count(self, kind: Callable[..., Metric], name: str, text: str, labels: Sequence[str]) -> None:
        self._made[name] = kind(f"go_state_{name}", text, ("program", *labels), registry=self._registry)


def _client() -> ModuleType:
    try:
        import prometheus_client
    except ImportError:
        raise MissingExtra("observe", "gs.observe.Prometheus") from None
    return prometheus_client
