"""Whatever a program does, and in whichever mode: no observer is told, logs, counts or traces anything that is in its messages."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from observe_support import Kept
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, generate_latest

import go_state as gs

MARK = "s3cret"


@dataclass(frozen=True)
class Part:
    name: str
    raw: bytes


@dataclass(frozen=True)
class Told:
    """A message with a secret in every field; what it leads to is said by `what`, which is none."""

    what: str
    text: str
    lines: tuple[str, ...]
    more: dict[str, str]
    part: Part | None


@dataclass(frozen=True)
class Model:
    last: Told | None = None
    texts: tuple[str, ...] = ()


async def task(msg: Told) -> Told:
    return replace(msg, what="")


def thread(msg: Told) -> Told:
    return replace(msg, what="")


async def fails(msg: Told) -> Told:
    raise LookupError(msg.text, msg)


def fails_in_thread(msg: Told) -> Told:
    raise gs.Denied(msg.text)


def failed(failure: gs.Failure) -> Told:
    return Told("", MARK + failure.text, (), {}, None)


def commands_of(msg: Told) -> list[gs.Cmd[Told]]:
    retry, quiet = gs.Retry(attempts=2, wait=1, jitter=0), replace(msg, what="")
    match msg.what:
        case "send":
            return [gs.Cmd.send(quiet), gs.Cmd.reply(msg.text)]
        case "task":
            return [gs.Cmd.call(task, msg, key=msg.text)]
        case "thread":
            return [gs.Cmd.call(thread, msg, thread=True)]
        case "err":
            return [gs.Cmd.call(fails, msg, err=failed)]
        case "unhandled":
            return [gs.Cmd.call(fails, msg)]
        case "retry":
            return [gs.Cmd.call(fails_in_thread, msg, thread=True, retry=retry, err=failed)]
        case "after":
            return [gs.Cmd.after(5, quiet, key=msg.text), gs.Cmd.cancel(msg.text)]
        case "seq":
            return [gs.Cmd.seq(gs.Cmd.call(task, msg), gs.Cmd.send(quiet), gs.Cmd.call(fails, msg, err=failed))]
        case _:
            return []


def update(model: Model, msg: Told) -> gs.Step[Model, Told]:
    if msg.what == "raise":
        raise ValueError(msg.text, msg, model)
    return Model(msg, (*model.texts, msg.text)[-3:]), commands_of(msg)


def subscriptions(model: Model) -> list[gs.Sub[Told]]:
    return [] if model.last is None else [gs.Sub.every(1e6, model.last, key=model.last.text)]


program: gs.Program[Model, Told] = gs.Program(lambda: (Model(), ()), update, name="shop")
watching = replace(program, subscriptions=subscriptions)

secrets = st.text(max_size=6).filter(lambda text: text.isprintable()).map(lambda text: f"{MARK}{text}{MARK}")
told = st.builds(
    Told,
    what=st.sampled_from(["", "send", "task", "thread", "err", "unhandled", "retry", "after", "seq", "raise"]),
    text=secrets,
    lines=st.lists(secrets, max_size=2).map(tuple),
    more=st.dictionaries(secrets, secrets, max_size=2),
    part=st.none() | st.builds(Part, secrets, secrets.map(str.encode)),
)


def in_batch(messages: Sequence[Told], folder: Path, **options: Any) -> None:
    gs.batch(program, messages, on_error=gs.SetAside(), **options)


def in_memory(messages: Sequence[Told], folder: Path, **options: Any) -> None:
    with gs.start(watching, on_error=gs.SetAside(gs.Buffer()), **options) as app:
        app.send(*messages)
        app.settle(60)
        app.stop()


def on_disk(messages: Sequence[Told], folder: Path, **options: Any) -> None:
    for _ in range(2):  # the second is restored
        with (
            gs.LMDBStore(folder / "s") as store,
            gs.start(watching, store=store, key="k", on_error=gs.SetAside(), snapshots=gs.Snapshots(every=3), **options) as app,
        ):
            app.send(*messages)
            app.settle(60)
            app.stop()


def of_keys(messages: Sequence[Told], folder: Path, **options: Any) -> None:
    with gs.LMDBStore(folder / "s") as store:
        letters = gs.SetAside(gs.DeadLetters(store, "night"))
        gs.aggregate(program, messages, store=store, key=lambda msg: msg.what, on_error=letters, **options)
        with gs.start_keyed(watching, store=store, prefix="apps/", on_error=gs.SetAside(), **options) as apps:
            for msg in messages:
                apps.send(f"key {len(msg.what)}", msg)
            apps.settle(60)


def that_ends_by_it(messages: Sequence[Told], folder: Path, **options: Any) -> None:
    with suppress(ValueError, LookupError):
        gs.batch(program, messages, **options)


class Everything(logging.Handler):
    """Every observer, and all that each has told."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.kept, self.records = Kept(), list[logging.LogRecord]()
        self.registry, self.spans, self.metrics = CollectorRegistry(), InMemorySpanExporter(), InMemoryMetricReader()
        traces = TracerProvider()
        traces.add_span_processor(SimpleSpanProcessor(self.spans))
        levels: dict[type, int] = dict.fromkeys((gs.observe.Turn, gs.observe.CommandDone), logging.INFO)
        self.observers = [
            self.kept,
            gs.observe.Log(slow=0, levels=levels),
            gs.observe.Prometheus(self.registry),
            gs.observe.OpenTelemetry(traces, MeterProvider([self.metrics])),
        ]

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def __enter__(self) -> Everything:
        logging.getLogger("go_state").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("go_state").removeHandler(self)

    def told(self) -> dict[str, str]:
        data = self.metrics.get_metrics_data()
        lines = [logging.Formatter("%(name)s %(threadName)s %(message)s").format(record) for record in self.records]
        return {
            "events": "\n".join(map(repr, self.kept.events)),
            "log": "\n".join([*lines, *(repr(vars(record)) for record in self.records)]),
            "metrics": generate_latest(self.registry).decode(),
            "spans": "\n".join(span.to_json() for span in self.spans.get_finished_spans()),
            "measured": "" if data is None else data.to_json(),
        }


@pytest.mark.slow
@pytest.mark.parametrize("mode", [in_batch, in_memory, on_disk, of_keys, that_ends_by_it])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(messages=st.lists(told, min_size=1, max_size=8))
def test_nothing_of_a_message_is_told(messages: list[Told], mode: Callable[..., None]) -> None:
    """Events, log lines, metrics and spans of every mode, while turns and commands succeed, fail, are tried again and set aside."""
    logger = logging.getLogger("go_state")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    try:
        with tempfile.TemporaryDirectory() as folder, Everything() as everything:
            mode(messages, Path(folder), observe=everything.observers, clock=gs.testing.SimClock(jumps=True))
            told = everything.told()
    finally:
        logger.setLevel(level)
    assert all(told[each] for each in ("events", "log", "metrics", "spans"))
    assert [name for name, text in told.items() if MARK in text] == []
