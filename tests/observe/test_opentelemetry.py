"""OpenTelemetry: the spans and metrics of real runs, by the SDK's in-memory exporter."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from app_support import KINDS, Kind
from observe_support import SECRET, Add, Do, Fail, Msg, program
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import go_state as gs

LONG = 20.0


class Telemetry:
    """An observer, and what its exporters have got."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._metrics = InMemoryMetricReader()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.tracer = provider.get_tracer("test")
        self.observe = gs.observe.OpenTelemetry(provider, MeterProvider([self._metrics]))

    def spans(self) -> list[ReadableSpan]:
        return list(self._spans.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def tree(self) -> list[str]:
        """Return each span as its names from the root on, in alphabetical order."""
        by_id = {span.context.span_id: span for span in self.spans() if span.context is not None}

        def path(span: ReadableSpan) -> str:
            above = "" if span.parent is None else path(by_id[span.parent.span_id]) + " > "
            return above + span.name

        return sorted(map(path, by_id.values()))

    def metrics(self) -> dict[str, list[Any]]:
        data = self._metrics.get_metrics_data()
        assert data is not None
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


def traced_program(tracer: trace.Tracer) -> gs.Program[int, str]:
    """Return a program whose commands make spans of their own."""

    async def task() -> str:
        with tracer.start_as_current_span("in the task"):
            return "done"

    def thread() -> str:
        with tracer.start_as_current_span("in the thread"):
            return "done"

    def inline() -> str:
        with tracer.start_as_current_span("in the turn"):
            return "done"

    def update(model: int, msg: str) -> gs.Step[int, str]:
        if msg != "go":
            return model + 1, ()
        return model, [
            gs.Cmd.call(task),
            gs.Cmd.call(thread, thread=True),
            gs.Cmd.call(inline),
            gs.Cmd.seq(gs.Cmd.call(task), gs.Cmd.call(thread, thread=True)),
        ]

    task.__qualname__, thread.__qualname__ = "task", "thread"
    return gs.Program(lambda: (0, ()), update, name="shop")


@pytest.mark.parametrize("name", KINDS)
async def test_from_the_sender_to_what_a_command_does(name: str, tmp_path: Path, telemetry: Telemetry) -> None:
    """A turn is a child of whoever sent its message, a command of its turn, and what it does its own, in tasks and in threads."""
    with ExitStack() as ends:
        kind = Kind(name, tmp_path, ends)
        app = kind.start(traced_program(telemetry.tracer), observe=telemetry.observe)

        async def body() -> None:
            with telemetry.tracer.start_as_current_span("request"):
                await kind(app, "apply", "go", timeout=LONG)
            with telemetry.tracer.start_as_current_span("webhook"):
                app.send("one", "two")

        await kind.within(app, body)
    tree = [each for each in telemetry.tree() if each.startswith(("request", "webhook"))]
    assert tree == [
        "request",
        "request > process shop",
        "request > process shop > in the turn",
        "request > process shop > process shop",
        "request > process shop > task",
        "request > process shop > task",
        "request > process shop > task > in the task",
        "request > process shop > task > in the task",
        "request > process shop > task > process shop",
        "request > process shop > task > process shop",
        "request > process shop > thread",
        "request > process shop > thread",
        "request > process shop > thread > in the thread",
        "request > process shop > thread > in the thread",
        "request > process shop > thread > process shop",
        "request > process shop > thread > process shop",
        "webhook",
        "webhook > process shop",
        "webhook > process shop",
    ]


@pytest.mark.parametrize("stored", [False, True])
def test_to_a_program_that_is_begun_for_the_message(stored: bool, tmp_path: Path, telemetry: Telemetry) -> None:
    """What is sent while a program is being begun belongs to its sender, and not to whoever begins it."""
    inside, go_on = threading.Event(), threading.Event()

    def init() -> gs.Step[int, int]:
        inside.set()
        assert go_on.wait(LONG)
        return 0, ()

    def update(model: int, msg: int) -> gs.Step[int, int]:
        return model + msg, ()

    slow = gs.Program(init, update, name="room")

    def send(name: str) -> None:
        with telemetry.tracer.start_as_current_span(name):
            rooms["a"].send(1)

    with gs.LMDBStore(tmp_path / "s") as store:
        options: Any = {"store": store} if stored else {}
        with gs.start_keyed(slow, observe=telemetry.observe, **options) as rooms:
            send("first")
            assert inside.wait(LONG)
            send("second")
            go_on.set()
            with telemetry.tracer.start_as_current_span("third"):
                assert rooms["a"].apply(1, timeout=LONG) == 3
    assert telemetry.tree() == [
        *("first", "first > process room", "second", "second > process room", "third", "third > process room")
    ]
    assert {span.attributes["go_state.key"] for span in telemetry.named("process room") if span.attributes} == {"a"}


def chain() -> gs.Program[int, str]:
    """Return a program whose messages send others: in a turn, from a task, a timer, a failure, and between the parts of a sequence."""

    async def task() -> str:
        return "of the task"

    async def fails() -> str:
        raise LookupError

    async def silent() -> None: ...

    task.__qualname__, fails.__qualname__, silent.__qualname__ = "task", "fails", "silent"
    commands: dict[str, list[gs.Cmd[str]]] = {
        "go": [gs.Cmd.send("of the turn"), gs.Cmd.call(task), gs.Cmd.after(0.001, "of the timer"), gs.Cmd.call(fails, err=str)],
        "of the task": [gs.Cmd.seq(gs.Cmd.call(silent), gs.Cmd.send("between"), gs.Cmd.call(silent))],
    }

    def update(model: int, msg: str) -> gs.Step[int, str]:
        return model + 1, commands.get(msg, ())

    return gs.Program(lambda: (0, [gs.Cmd.send("of init")]), update, name="shop")


@pytest.mark.parametrize("is_awaited", [False, True])
@pytest.mark.parametrize("name", KINDS)
async def test_from_a_turn_and_a_command_to_what_they_send(
    name: str, is_awaited: bool, tmp_path: Path, telemetry: Telemetry
) -> None:
    """The turn of a message that a command has sent is the command's child, and of one that was sent in a turn that turn's."""
    with ExitStack() as ends:
        kind = Kind(name, tmp_path, ends)
        app = kind.start(chain(), observe=telemetry.observe)

        async def body() -> None:
            with telemetry.tracer.start_as_current_span("request"):
                await kind(app, "apply", "go", timeout=LONG)
            if is_awaited:
                await kind(app, "settle", timeout=LONG)

        await kind.within(app, body)
    turn = "request > process shop"
    assert telemetry.tree() == [
        "process shop",
        "request",
        turn,
        f"{turn} > after",
        f"{turn} > after > process shop",
        f"{turn} > fails",
        f"{turn} > fails > process shop",
        f"{turn} > process shop",
        f"{turn} > task",
        f"{turn} > task > process shop",
        f"{turn} > task > process shop > silent",
        f"{turn} > task > process shop > silent",
        f"{turn} > task > process shop > silent > process shop",
    ]


@dataclass(frozen=True)
class Zero:
    left: int


@dataclass(frozen=True)
class One:
    left: int


@dataclass(frozen=True)
class Two:
    left: int


async def following(msg: Zero | One | Two) -> Zero | One | Two:
    return replace(msg, left=msg.left - 1)


def hand_on(model: int, msg: Zero | One | Two) -> gs.Step[int, Zero | One | Two]:
    ways: list[gs.Cmd[Zero | One | Two]] = [
        gs.Cmd.send(replace(msg, left=msg.left - 1)),
        gs.Cmd.call(following, msg),
        gs.Cmd.seq(gs.Cmd.call(following, replace(msg, left=1)), gs.Cmd.send(replace(msg, left=msg.left - 1))),
        gs.Cmd.after(0.0001, replace(msg, left=msg.left - 1)),
    ]
    return model + 1, [ways[msg.left % 4]] if msg.left else ()


@pytest.mark.parametrize("name", KINDS)
async def test_all_that_comes_of_a_message_is_in_its_trace(name: str, tmp_path: Path, telemetry: Telemetry) -> None:
    """Three threads send at once, with a switch at every step, and settle now and then: no turn is in the trace of another's."""
    before = sys.getswitchinterval()

    def send(app: gs.App[Any, Any], kind: type[Zero | One | Two]) -> None:
        for number in range(8):
            with telemetry.tracer.start_as_current_span(kind.__name__):
                app.send(kind(6), kind(5))
            if number % 3 == 0:
                app.settle(LONG)

    with ExitStack() as ends:
        kind = Kind(name, tmp_path, ends)
        app = kind.start(gs.Program(lambda: (0, ()), hand_on, name="shop"), observe=telemetry.observe)

        async def body() -> None:
            sys.setswitchinterval(1e-6)
            try:
                await asyncio.gather(*(asyncio.to_thread(send, app, each) for each in (Zero, One, Two)))
            finally:
                sys.setswitchinterval(before)
            await kind(app, "settle", timeout=LONG)

        await kind.within(app, body)
    by_id = {span.context.span_id: span for span in telemetry.spans() if span.context}

    def root(span: ReadableSpan) -> ReadableSpan:
        return span if span.parent is None else root(by_id[span.parent.span_id])

    turns = [
        (span.attributes["go_state.message.type"], root(span).name)
        for span in telemetry.named("process shop")
        if span.attributes
    ]
    assert {of for of, _ in turns} == {"Zero", "One", "Two"}
    assert [each for each in turns if each[0] != each[1]] == []
    assert len(turns) >= 3 * 8 * 13


def test_a_program_that_never_ends_begins_a_new_trace(telemetry: Telemetry) -> None:
    """Each trace has a hundred turns of a chain, and the first of the next has a link to the last."""
    counting: gs.Program[int, int] = gs.Program(
        lambda: (0, ()), lambda model, msg: (model + 1, [gs.Cmd.send(msg - 1)] if msg else ()), name="shop"
    )
    with gs.start(counting, observe=telemetry.observe) as app:
        app.send(249)
    turns = telemetry.named("process shop")
    traces = [span.context.trace_id for span in turns if span.context]
    assert [traces.count(each) for each in dict.fromkeys(traces)] == [100, 100, 50]
    heads = {index: span.links[0].context for index, span in enumerate(turns) if span.links}
    assert heads == {index: turns[index - 1].context for index in (100, 200)}


def test_from_many_threads_at_once(telemetry: Telemetry) -> None:
    """Each message keeps its own sender."""
    counts: gs.Program[int, int] = gs.Program(lambda: (0, ()), lambda model, msg: (model + msg, ()), name="shop")

    def send(number: int) -> None:
        for _ in range(20):
            with telemetry.tracer.start_as_current_span(f"sender {number}"):
                app.send(1)

    with gs.start(counts, observe=telemetry.observe) as app:
        threads = [threading.Thread(target=send, args=(number,)) for number in range(5)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    by_id = {span.context.span_id: span for span in telemetry.spans() if span.context}
    senders = [by_id[span.parent.span_id].name for span in telemetry.named("process shop") if span.parent]
    assert sorted(senders) == sorted(f"sender {number}" for number in range(5) for _ in range(20))


def test_a_batch_belongs_to_what_it_is_called_in(telemetry: Telemetry) -> None:
    """Turns of messages that nobody has sent are children of the context in which the run began, which is there again after it."""
    with telemetry.tracer.start_as_current_span("nightly job") as job:
        gs.batch(program, [Add(), Do("task")], observe=telemetry.observe)
        assert trace.get_current_span() is job
    assert telemetry.tree() == [
        "nightly job",
        "nightly job > process shop",
        "nightly job > process shop",
        "nightly job > process shop",
        "nightly job > process shop > fetch",
    ]


def test_what_fails_is_marked_and_not_quoted(telemetry: Telemetry) -> None:
    """Turns, commands: the name of the error's class, in status and attribute; nothing of its text."""
    messages: list[Msg] = [Fail(), Do("err"), Do("retry")]
    clock = gs.testing.SimClock(jumps=True)
    gs.batch(program, messages, observe=telemetry.observe, on_error=gs.SetAside(), clock=clock)
    failed = [span for span in telemetry.spans() if span.status.status_code is trace.StatusCode.ERROR]
    assert sorted(span.name for span in failed) == ["look_up", "process shop", "refuse"]
    assert all(span.attributes is not None and span.attributes["error.type"] == "LookupError" for span in failed)
    assert [event.name for event in telemetry.one("look_up").events] == ["retry", "retry"]
    assert SECRET not in "".join(span.to_json() for span in telemetry.spans())


def test_a_cancelled_command_ends_its_span(telemetry: Telemetry) -> None:
    """It is no error."""
    gs.batch(program, [Do("after"), Do("cancel")], observe=telemetry.observe, clock=gs.testing.SimClock(jumps=True))
    span = telemetry.one("after")
    assert span.attributes is not None
    assert span.attributes["go_state.cancelled"] is True
    assert span.status.status_code is trace.StatusCode.UNSET


def test_spans_have_the_names_of_the_conventions(telemetry: Telemetry) -> None:
    """A turn is the processing of a message; its system is go_state and its destination the program."""
    gs.aggregate(program, [Add()], store=gs.MemoryStore(), key="k", observe=telemetry.observe)
    span = telemetry.one("process shop")
    assert span.kind is trace.SpanKind.CONSUMER
    assert dict(span.attributes or {}) == {
        "messaging.system": "go_state",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "shop",
        "go_state.message.type": "Add",
        "go_state.key": "k",
        "go_state.position": 0,
    }


def test_metrics(tmp_path: Path, telemetry: Telemetry) -> None:
    """Durations as histograms in seconds, with the error's class where there is one; what is running, and what was set aside."""
    with (
        gs.LMDBStore(tmp_path / "s") as store,
        gs.start(
            program,
            store=store,
            key="k",
            observe=telemetry.observe,
            on_error=gs.SetAside(gs.Buffer()),
            clock=gs.testing.SimClock(jumps=True),
        ) as app,
    ):
        app.send(Add(), Fail(), Do("retry"), Do("task"))
    metrics = telemetry.metrics()
    turns = {point.attributes.get("error.type"): point.count for point in metrics["messaging.process.duration"]}
    assert turns == {None: 5, "LookupError": 1}
    commands = {point.attributes["code.function.name"]: point.sum for point in metrics["go_state.command.duration"]}
    assert commands.keys() == {"look_up", "fetch"}
    assert commands["look_up"] == 3
    assert [point.value for point in metrics["go_state.command.retries"]] == [2]
    assert [point.value for point in metrics["go_state.command.active"]] == [0]
    assert [point.value for point in metrics["go_state.messages.set_aside"]] == [1]
    assert [point.value for point in metrics["go_state.flush.messages"]] == [6]
    assert metrics["go_state.snapshot.duration"][0].count == 2


def test_after_a_restart_commands_begin_a_trace_of_their_own(tmp_path: Path, telemetry: Telemetry) -> None:
    """A command that was running when the last run ended has no turn in this process."""
    begun, hold = threading.Event(), threading.Event()

    async def charge() -> int:
        begun.set()
        await asyncio.to_thread(hold.wait, LONG)
        return 1

    charge.__qualname__ = "charge"

    def update(model: int, msg: int) -> gs.Step[int, int]:
        return model + msg, [gs.Cmd.call(charge)] if msg == 10 else ()

    pays: gs.Program[int, int] = gs.Program(lambda: (0, ()), update, name="pays")
    with gs.LMDBStore(tmp_path / "s") as store:
        with gs.start(pays, store=store, key="k", observe=telemetry.observe) as app:
            app.apply(10)
            assert begun.wait(LONG)
            app.stop(drain=False)
        hold.set()
        with gs.start(pays, store=store, key="k", observe=telemetry.observe) as app:
            pass
        assert app.model == 11
    first, second = telemetry.named("charge")
    assert first.parent is not None
    assert second.parent is None
    assert first.attributes is not None
    assert second.attributes is not None
    assert first.attributes["go_state.effect_id"] == second.attributes["go_state.effect_id"]


@pytest.fixture(autouse=True)
def nothing_is_left_current() -> Iterator[None]:
    """No run leaves its span current in the thread that it ran in."""
    yield
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_ctrl_c_while_a_turn_is_told_gives_the_context_back(telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has called the run, and goes on, makes spans of its own trace."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("go_state.runtime.observing.turns.turn", interrupted)
    buffer = gs.Buffer[Msg]()
    buffer.put(Add(1))
    buffer.close()
    with telemetry.tracer.start_as_current_span("nightly") as span:
        with pytest.raises(KeyboardInterrupt):
            gs.run(program, buffer, observe=telemetry.observe)
        assert trace.get_current_span() is span
