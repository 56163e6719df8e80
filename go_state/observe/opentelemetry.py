"""OpenTelemetry: spans of turns and commands, in the trace of whoever sent the message, and metrics.

    whoever sends: span ──▶ turn: "process <program>" ──▶ command: "<function>", and what it begins in its task or thread
                                     ▲──────────────────────────┘ its message

The context is OpenTelemetry's own, and is current in update and in what the turn calls, and in each command. Names and attributes are
those of its semantic conventions for messaging, and "go_state." for what these do not know. Exceptions are not recorded, because their
text may have contents; `error.type` names their class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import Token
from types import ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple

from go_state.core.errors import MissingExtra
from go_state.observe.events import (
    CommandCancelled,
    CommandDone,
    CommandEvent,
    CommandFailed,
    CommandRetried,
    CommandStarted,
    Event,
    Flush,
    MessageSetAside,
    Restored,
    SnapshotSaved,
    Turn,
    TurnFailed,
)

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter, MeterProvider
    from opentelemetry.trace import Span, TracerProvider

_SYSTEM: Final = "go_state"
# The buckets that the conventions ask of durations begin at 5 ms, and most turns take microseconds.
_BUCKETS: Final = (1e-5, 1e-4, 0.001, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)

# Turns that may follow from each other in one trace. A program that polls, or sets a timer anew each time, would never end its trace.
_MOST_TURNS: Final = 100
_TURNS: Final = "go_state.turns"  # how many there were so far, in the context


class OpenTelemetry:
    """Makes spans and metrics by the providers that are given, or that the process has set; one for all runs of a process.

    `tracer_provider` and `meter_provider` are those of an OpenTelemetry SDK; None is what `opentelemetry.trace` and `.metrics` have.

    A message that `send`, `apply` or `ask` of an app has put brings the context of its sender along, and one of the program's own
    commands that of its command, or of its turn if it was sent there, as by `Cmd.send`. That holds as long as the process lives: a
    journal does not keep it. After 100 turns that follow from each other the next begins a trace of its own, with a link to the
    last. Other turns belong to the context in which their run began: those of what subscriptions send, and all of a batch, an
    aggregate, or a run with a queue of your own, such as the span around a nightly batch. A run that follows its own messages does
    not have its queue in memory to itself, which takes 3 us more for each of them, beside a span's 20.

    Spans have the key, `go_state.key`; metrics have none.
    Raises `MissingExtra` without opentelemetry-api; without its SDK nothing is recorded.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None) -> None:
        self._api = api = _api()
        self._tracer = api.trace.get_tracer(_SYSTEM, tracer_provider=tracer_provider)
        self._spans: dict[tuple[str, str | None, str], Span] = {}  # of the running commands, by program, key and effect id
        self._instruments = _Instruments(api.metrics.get_meter(_SYSTEM, meter_provider=meter_provider))

    # ------------------------------------------------------------------ the trace

    def carry(self) -> Context | None:
        """Return the context of whoever sends a message."""
        return self._api.context.get_current() or None

    def turn_begins(self, program: str, key: str | None, message: str, position: object, carried: object | None, /) -> object:
        """Begin the span of a turn, and make it the current one; see `Tracer.turn_begins`."""
        api = self._api
        parent = carried if carried is not None else api.context.get_current()
        links, turns = None, api.context.get_value(_TURNS, parent) or 0
        if turns >= _MOST_TURNS:
            links, turns = [api.trace.Link(api.trace.get_current_span(parent).get_span_context())], 0
            parent = api.context.Context()
        span = self._tracer.start_span(
            f"process {program}",
            context=parent,
            kind=api.trace.SpanKind.CONSUMER,
            attributes=_attributes(_of_turn(program), key, message, position),
            links=links,
        )
        context = api.trace.set_span_in_context(span, api.context.set_value(_TURNS, turns + 1, parent))
        return _OpenTurn(span, context, api.context.attach(context))

    def turn_ends(self, turn: object, event: Turn | TurnFailed | None, /) -> None:
        """End the span; one of whose turn nothing is known is dropped."""
        assert isinstance(turn, _OpenTurn)
        self._api.context.detach(turn.token)
        if event is not None:
            self._end(turn.span, event.error if isinstance(event, TurnFailed) else None)

    def command_begins(self, event: CommandStarted, turn: object | None, /) -> AbstractContextManager[object]:
        """Begin the span of a command, and make it current for what begins the command; see `Tracer.command_begins`."""
        return self._command(event, turn)

    @contextmanager
    def _command(self, event: CommandStarted, turn: object | None) -> Iterator[None]:
        api = self._api
        parent = turn.context if isinstance(turn, _OpenTurn) else api.context.Context()
        attributes = _attributes({"code.function.name": event.function}, event.key, event.message, event.position)
        span = self._tracer.start_span(event.function, context=parent, attributes=attributes | {"go_state.effect_id": event.id})
        self._spans[_known_by(event)] = span
        token = api.context.attach(api.trace.set_span_in_context(span, parent))
        try:
            yield
        finally:
            api.context.detach(token)

    def _end(self, span: Span, error: str | None) -> None:
        if error is not None:
            span.set_attribute("error.type", error)
            span.set_status(self._api.trace.StatusCode.ERROR)
        span.end()

    # ------------------------------------------------------------------ events

    def on_event(self, event: Event, /) -> None:
        """Count the event, and end the span of a command that is over."""
        self._instruments.on_event(event)
        if isinstance(event, CommandRetried) and (span := self._spans.get(_known_by(event))) is not None:
            span.add_event("retry", {"go_state.tries": event.tries, "go_state.wait": event.wait})
        elif isinstance(event, (CommandDone, CommandFailed, CommandCancelled)):
            span = self._spans.pop(_known_by(event), None)
            if span is not None:
                if isinstance(event, CommandCancelled):
                    span.set_attribute("go_state.cancelled", True)
                self._end(span, event.error if isinstance(event, CommandFailed) else None)


class _OpenTurn(NamedTuple):
    """A turn that has begun: its span, the context that its commands belong to, and what ends its being current."""

    span: Span
    context: Context
    token: Token[Context]


class _Instruments:
    """The metrics."""

    def __init__(self, meter: Meter) -> None:
        def seconds(name: str, text: str) -> Callable[..., None]:
            record: Callable[..., None] = meter.create_histogram(
                name, "s", text, explicit_bucket_boundaries_advisory=_BUCKETS
            ).record
            return record

        self._turns = seconds("messaging.process.duration", "Duration of each turn.")
        self._commands = seconds("go_state.command.duration", "Duration of each command that goes on after its turn.")
        self._flushes = seconds("go_state.flush.duration", "Duration of each write of a journal to disk.")
        self._snapshots = seconds("go_state.snapshot.duration", "Duration of each save of models.")
        self._restores = seconds("go_state.restore.duration", "Duration of loading and replaying what was stored.")
        self._retries = meter.create_counter("go_state.command.retries", "{try}", "Tries of commands that are repeated.").add
        self._set_aside = meter.create_counter("go_state.messages.set_aside", "{message}", "Messages that were set aside.").add
        self._flushed = meter.create_counter("go_state.flush.messages", "{message}", "Messages written to disk.").add
        self._active = meter.create_up_down_counter("go_state.command.active", "{command}", "Commands that are running.").add

    def on_event(self, event: Event) -> None:
        """Count the event."""
        program = {"messaging.destination.name": event.program}
        match event:
            case Turn():
                self._turns(event.seconds, _of_turn(event.program))
            case TurnFailed():
                self._turns(event.seconds, _of_turn(event.program) | {"error.type": event.error})
            case MessageSetAside():
                self._set_aside(1, program | {"error.type": event.error})
            case CommandStarted():
                self._active(1, program)
            case CommandRetried():
                self._retries(1, _of_command(event))
            case CommandDone() | CommandFailed() | CommandCancelled() if event.seconds is not None:
                self._active(-1, program)
                failed = {"error.type": event.error} if isinstance(event, CommandFailed) else {}
                self._commands(event.seconds, _of_command(event) | failed)
            case Flush():
                self._flushes(event.seconds, program)
                self._flushed(event.messages, program)
            case SnapshotSaved():
                self._snapshots(event.seconds, program)
            case Restored():
                self._restores(event.seconds, program)


def _of_turn(program: str) -> dict[str, str]:
    return {
        "messaging.system": _SYSTEM,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": program,
    }


def _of_command(event: CommandEvent) -> dict[str, str]:
    return {"messaging.destination.name": event.program, "code.function.name": event.function}


def _attributes(of_kind: Mapping[str, str], key: str | None, message: str, position: object) -> dict[str, str | int]:
    attributes: dict[str, str | int] = {**of_kind, "go_state.message.type": message}
    if key is not None:
        attributes["go_state.key"] = key
    if position is not None:
        attributes["go_state.position"] = position if isinstance(position, int) else str(position)
    return attributes


def _known_by(event: CommandEvent) -> tuple[str, str | None, str]:
    return event.program, event.key, event.id


class _API(NamedTuple):
    """The parts of the API."""

    context: ModuleType
    metrics: ModuleType
    trace: ModuleType


def _api() -> _API:
    try:
        from opentelemetry import context, metrics, trace
    except ImportError:
        raise MissingExtra("observe", "gs.observe.OpenTelemetry") from None
    return _API(context, metrics, trace)
