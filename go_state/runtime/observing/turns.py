"""The turns of one run, observed: an iterator around the messages says when each begins, and that it was over when the next is asked for.

    message ──▶ begun ──yield──▶ the loop's turn ──▶ over: Turn, or before that failed: TurnFailed, or dropped: nothing

A turn is over when the loop comes back for the next message, so that it counts with all that it has made the run wait for; of the last
message of a chunk, when the loop says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeAlias, TypeVar

from go_state.observe.events import Turn, TurnFailed, turn
from go_state.observe.observer import Tracer
from go_state.runtime.observing.observers import Observers

Msg = TypeVar("Msg")

Traces: TypeAlias = tuple[tuple[Tracer, object], ...]
"""Each tracer, with what it has returned."""


class Turns(Generic[Msg]):
    """What is known of the turn that is being taken. `key_of` finds the key of a message, of programs that have one for each."""

    def __init__(self, observers: Observers, program: str, key: str | None, now: Callable[[], float]) -> None:
        self.key_of: Callable[[Msg], object] | None = None
        self.traces: Traces = ()  #: of the turn that is being taken: what each tracer has begun
        self._observers = observers
        self._program = program
        self._key = self._own_key = key
        self._now = now
        self._kind: type = type(None)  # of the message
        self._position: object = None
        self._begun: float | None = None  # when its turn began; None when it is over
        self._carried: dict[object, Traces] = {}  # what senders have brought along, by position

    # ------------------------------------------------------------------ called by the loop

    def each(self, messages: Iterator[Msg | None], where: Callable[[], object]) -> Iterator[Msg | None]:
        """Give the messages, and tell of each turn; `where()` returns the position of the message last given."""
        now, over, observers = self._now, self.over, self._observers
        for message in messages:
            if message is None:
                yield message
                continue
            self._kind, self._position = message.__class__, where()
            if self.key_of is not None:
                self._key = self.key_of_message(message)
            if observers.tracers:
                self._trace()
            self._begun = now()
            yield message
            over()

    def over(self) -> None:
        """Called when the turn is over, unless it is already."""
        begun, self._begun = self._begun, None
        if begun is None:
            return
        event = turn(self._program, self._key, self._kind.__qualname__, self._position, self._now() - begun)
        if self.traces:
            self._end_traces(event)
        self._observers.tell(event)

    def failed(self, error: BaseException) -> None:
        """Called when the turn was rolled back by the error, unless it is over."""
        begun, self._begun = self._begun, None
        if begun is None:
            return
        seconds, kind = self._now() - begun, self._kind.__qualname__
        event = TurnFailed(self._program, self._key, kind, self._position, seconds, type(error).__qualname__)
        self._end_traces(event)
        self._observers.tell(event)

    def dropped(self) -> None:
        """Called when the turn is taken again later."""
        self._begun = None
        self._end_traces(None)

    def key_of_message(self, message: Msg) -> str | None:
        """Return the key of a message: the run's own, or what its function says; None if that fails, which the turn does as well."""
        if self.key_of is None:
            return self._own_key
        try:
            key = self.key_of(message)
        except Exception:
            return None
        return key if isinstance(key, str) else None

    # ------------------------------------------------------------------ tracers

    def _trace(self) -> None:
        """Begin the turn of each tracer, with what its sender has brought along."""
        carried = self._carried.pop(self._position, ()) if self._carried else ()
        traces: list[tuple[Tracer, object]] = []
        for tracer in self._observers.tracers:
            try:
                brought = of_tracer(carried, tracer)
                begun = tracer.turn_begins(self._program, self._key, self._kind.__qualname__, self._position, brought)
                traces.append((tracer, begun))
            except Exception as error:
                self._observers.leave_out(tracer, error)
        self.traces = tuple(traces)

    def _end_traces(self, event: Turn | TurnFailed | None) -> None:
        traces, self.traces = self.traces, ()
        for tracer, begun in reversed(traces):
            try:
                tracer.turn_ends(begun, event)
            except Exception as error:
                self._observers.leave_out(tracer, error)

    # ------------------------------------------------------------------ called by senders, in their threads

    def carry(self) -> Traces:
        """Return what the tracers want brought along from the caller, who is about to send; empty for nothing."""
        found: list[tuple[Tracer, object]] = []
        for tracer in self._observers.tracers:
            try:
                if (brought := tracer.carry()) is not None:
                    found.append((tracer, brought))
            except Exception as error:
                self._observers.leave_out(tracer, error)
        return tuple(found)

    def expect(self, carried: Traces, first: int, count: int = 1) -> None:
        """Bring this along to the turns of the messages from position `first`, which no reader has yet."""
        for position in range(first, first + count):
            self._carried[position] = carried


def of_tracer(traces: Traces, tracer: Tracer) -> object | None:
    """Return what the tracer has returned, None for nothing; tracers need not be hashable."""
    return next((each for whose, each in traces if whose is tracer), None)
