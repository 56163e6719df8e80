"""Prometheus: what a scrape of a service shows."""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path

import pytest
from observe_support import SECRET, Add, Do, Fail, program
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.parser import text_string_to_metric_families

import go_state as gs

LONG = 20.0
LABELS = ("program", "message", "function", "kind", "outcome", "error")


def scraped(registry: CollectorRegistry) -> tuple[str, dict[tuple[str, ...], float]]:
    """Return what an HTTP request to a server on this machine gets: as text, and the samples by name and label values."""
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=LONG) as response:
            text = response.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    samples = {
        (sample.name, *(sample.labels[label] for label in LABELS if label in sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    return text, samples


def test_a_scrape_shows_what_runs_have_done(tmp_path: Path) -> None:
    """Turns, failures, commands, what was written; nothing of keys, positions and contents."""
    registry = CollectorRegistry()
    observe = gs.observe.Prometheus(registry)
    kinds = ("task", "err", "unhandled", "retry", "after", "after")
    with (
        gs.LMDBStore(tmp_path / "s") as store,
        gs.start(
            program,
            store=store,
            key="a-key",
            observe=observe,
            on_error=gs.SetAside(gs.Buffer()),
            clock=gs.testing.SimClock(jumps=True),
        ) as app,
    ):
        app.send(Add(), Add(), Fail(), *map(Do, kinds))
        app.apply(Add())
        _, during = scraped(registry)
    text, after = scraped(registry)
    assert during["go_state_runs_running", "shop"] == during["go_state_leases_held", "shop"] == 1
    assert {
        name: after[name]
        for name in after
        if name[0].endswith(("_total", "_count", "_running", "_held")) and "restore" not in name[0] and "flush" not in name[0]
    } == {
        ("go_state_turn_seconds_count", "shop", "Add"): 7,
        ("go_state_turn_seconds_count", "shop", "Do"): 6,
        ("go_state_turn_failures_total", "shop", "Fail", "LookupError"): 1,
        ("go_state_messages_set_aside_total", "shop", "Fail", "LookupError"): 1,
        ("go_state_messages_set_aside_total", "shop", "Do", "LookupError"): 1,
        ("go_state_command_seconds_count", "shop", "fetch", "done"): 1,
        ("go_state_command_seconds_count", "shop", "refuse", "failed"): 2,
        ("go_state_command_seconds_count", "shop", "look_up", "failed"): 1,
        ("go_state_command_seconds_count", "shop", "after", "cancelled"): 1,
        ("go_state_command_seconds_count", "shop", "after", "done"): 1,
        ("go_state_command_failures_total", "shop", "refuse", "LookupError"): 2,
        ("go_state_command_failures_total", "shop", "look_up", "LookupError"): 1,
        ("go_state_command_retries_total", "shop", "look_up"): 2,
        ("go_state_commands_running", "shop"): 0,
        ("go_state_runs_running", "shop"): 0,
        ("go_state_leases_held", "shop"): 0,
        ("go_state_snapshot_seconds_count", "shop"): 2,
    }
    assert after["go_state_flushed_messages_total", "shop"] == 13 + 1
    assert after["go_state_command_seconds_sum", "shop", "look_up", "failed"] == 3
    assert "a-key" not in text
    assert SECRET not in text


@pytest.mark.slow
def test_as_many_series_with_a_thousand_keys_as_with_one() -> None:
    """A label has few values, whatever runs."""

    def lines(keys: int) -> int:
        registry = CollectorRegistry()
        gs.aggregate(
            program,
            [Add(text=str(number)) for number in range(1000)],
            store=gs.MemoryStore(),
            key=lambda msg: str(int(msg.text) % keys),  # type: ignore[union-attr]
            observe=gs.observe.Prometheus(registry),
        )
        return scraped(registry)[0].count("\n")

    assert lines(1) == lines(1000)


def test_subscriptions_and_failures_of_runs() -> None:
    """A gauge for what is running, a counter for what has failed."""
    registry = CollectorRegistry()
    observe = gs.observe.Prometheus(registry)

    def update(model: int, msg: int) -> gs.Step[int, int]:
        raise LookupError

    ticks = gs.Program(lambda: (0, ()), update, name="ticks", subscriptions=lambda model: [gs.Sub.every(1, 1, key="k")])
    with pytest.raises(LookupError):
        gs.batch(ticks, [1], observe=observe)
    _, samples = scraped(registry)
    assert samples["go_state_subscriptions_running", "ticks", "every"] == 0
    assert samples["go_state_run_failures_total", "ticks", "LookupError"] == 1


def test_two_in_one_registry_are_refused() -> None:
    """The first goes on counting, and the registry has nothing of the second."""
    registry = CollectorRegistry()
    first = gs.observe.Prometheus(registry)
    with pytest.raises(gs.UsageError, match="give all runs of a process one"):
        gs.observe.Prometheus(registry)
    gs.batch(program, [Add()], observe=first)
    assert scraped(registry)[1]["go_state_turn_seconds_count", "shop", "Add"] == 1


def test_half_of_the_names_taken_leaves_the_registry_as_it_was() -> None:
    """What was made before the clash is taken out again."""
    from prometheus_client import Gauge

    registry = CollectorRegistry()
    Gauge("go_state_leases_held", "another", registry=registry)
    with pytest.raises(gs.UsageError):
        gs.observe.Prometheus(registry)
    assert {family.name for family in registry.collect()} == {"go_state_leases_held"}


@pytest.mark.parametrize(("module", "make"), [("prometheus_client", "Prometheus"), ("opentelemetry", "OpenTelemetry")])
def test_a_missing_extra_says_what_to_install(module: str, make: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`pip install "go-state[observe]"`."""
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(gs.errors.MissingExtra, match=r"go-state\[observe\]"):
        getattr(gs.observe, make)()
