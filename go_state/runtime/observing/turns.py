"""The turns of one run, observed: an iterator around the messages says when each begins, and that it was over when the next is asked for.

    message ──▶ begun ──yield──▶ the loop's turn ──▶ over: Turn, or before that failed: TurnFailed, or dropped: nothing

A turn is over when the loop comes back for the next message, so that it counts with all that it has made the run wait for; of the last
message of a chunk, when the loop says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
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
        self.is_muted: Callable[[], bool] | None = None  #: returns whether the turn is a replayed one, which is not told
        self.traces: Traces = ()  #: of the turn that is being taken: what each tracer has begun
        self._observers = observers
        self._program = program
        self._key = self._own_key = key
        self._now = now
        self._message: Msg | None = None  # whose turn it is
        self._where: Callable[[], object] = _nowhere  # returns its position
        self._begun: float | None = None  # when its turn began; None when it is over
        self._carried: dict[object, Traces] = {}  # what senders have brought along, by position
        self._outgoing: deque[tuple[object, Traces]] = deque()  # what commands are about to put, each with what it brings along
        self._brought: Traces = ()  # of these, what belongs to the turn

    # ------------------------------------------------------------------ called by the loop

    def each(self, messages: Iterator[Msg | None], where: Callable[[], object]) -> Iterator[Msg | None]:
        """Give the messages, and tell of each turn; `where()` returns the position of the message last given."""
        now, least, observers, self._where = self._now, self._observers.turns_from(), self._observers, where
        for message in messages:
            if message is None:
                yield message
                continue
            self._message = message
            if self.key_of is not None:
                self._key = self.key_of_message(message)
            if observers.tracers:
                self._trace()
            self._begun = begun = now()
            yield message
            if self._begun is not None:  # it has neither failed nor is it taken again
                self._begun, seconds = None, now() - begun
                if seconds >= least:
                    self._tell(seconds)

    def over(self) -> None:
        """Called when the turn is over, unless it is already; nothing of its message is kept."""
        begun, self._begun = self._begun, None
        if begun is not None:
            self._tell(self._now() - begun)
        self._end_traces(None)  # which Ctrl-C can have left open, while the turn was told
        self._message = None

    def _tell(self, seconds: float) -> None:
        if self.is_muted is not None and self.is_muted():
            self._end_traces(None)
            return
        event = turn(self._program, self._key, self._message.__class__.__qualname__, self._where(), seconds)
        if self.traces:
            self._end_traces(event)
        self._observers.tell(event)

    def failed(self, error: BaseException) -> None:
        """Called when the turn was rolled back by the error, unless it is over."""
        begun, self._begun = self._begun, None
        if begun is None:
            self._end_traces(None)  # likewise, just before the turn
            return
        seconds, kind = self._now() - begun, self._message.__class__.__qualname__
        event = TurnFailed(self._program, self._key, kind, self._where(), seconds, type(error).__qualname__)
        self._end_traces(event)
        self._observers.tell(event)

    def dropped(self) -> None:
        """Called when the turn is to be taken again, while its position is the feed's last."""
        self._begun = None
        if self._brought:
            self._carried[self._where()] = self._brought
        self._end_traces(None)

    def key_of_message(self, message: Msg) -> str | None:
        """Return the key of a message: the run's own, or what its function says; None if that fails, which the turn does as well."""
        if self.key_of is None or message is None:
            return self._own_key
        try:
            key = self.key_of(message)
        except Exception:
            return None
        return key if isinstance(key, str) else None

    # ------------------------------------------------------------------ tracers

    def _trace(self) -> None:
        """Begin the turn of each tracer, with the context of its sender."""
        position, kind = self._where(), self._message.__class__.__qualname__
        self._brought = carried = self._carried.pop(position, ()) if self._carried else ()
        self._outgoing.clear()  # of what was refused
        traces: list[tuple[Tracer, object]] = []
        for tracer in self._observers.tracers:
            try:
                brought = of_tracer(carried, tracer)
                begun = tracer.turn_begins(self._program, self._key, kind, position, brought)
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

    def carrying(self, count: int) -> Callable[[int], object] | None:
        """Return what is to be called with the position of the first of so many messages that the caller is about to send, before any
        reader can have it; None if there is nothing to bring along.
        """
        carried = self._carry()
        return partial(self._expect, carried, count) if carried else None

    # ------------------------------------------------------------------ called where turns and commands send, in the run's thread

    def carried(self) -> Traces:
        """Return what tracers bring along from here: from the turn that is being taken, or the command that is being begun."""
        return self._carry() if self._observers.tracers else ()

    def command_sends(self, messages: Sequence[object], carried: Traces) -> None:
        """Called before messages of a command are put, with what was brought along from its beginning."""
        self._outgoing.extend((each, carried) for each in messages)

    def turn_sends(self, count: int, first: int) -> None:
        """Called when the turn that is being taken has sent as many messages, the first of them at this position."""
        if carried := self.carried():
            self._expect(carried, count, first)

    def commands_send(self, messages: Sequence[object], first: int) -> None:
        """Called when these, which no turn has sent, are in the queue: find what they bring along, by what was told of commands."""
        outgoing = self._outgoing
        for position, message in enumerate(messages, first):
            if any(each is message for each, _ in outgoing):  # those before it were refused
                while True:
                    each, carried = outgoing.popleft()
                    if each is message:
                        self._carried[position] = carried
                        break

    def _expect(self, carried: Traces, count: int, first: int) -> None:
        for position in range(first, first + count):
            self._carried[position] = carried

    def _carry(self) -> Traces:
        found: list[tuple[Tracer, object]] = []
        for tracer in self._observers.tracers:
            try:
                if (brought := tracer.carry()) is not None:
                    found.append((tracer, brought))
            except Exception as error:
                self._observers.leave_out(tracer, error)
        return tuple(found)


def _nowhere() -> None:
    """Return no position: no message was given."""


def of_tracer(traces: Traces, tracer: Tracer) -> object | None:
    """Return what the tracer has returned, None for nothing; tracers need not be hashable."""
    return next((each for whose, each in traces if whose is tracer), None)
