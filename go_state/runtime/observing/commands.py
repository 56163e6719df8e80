"""The commands of one run that go on after their turn, observed from their launch to their end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from go_state.core.commands import Call, name_of
from go_state.observe.events import CommandCancelled, CommandDone, CommandFailed, CommandRetried, CommandStarted
from go_state.observe.observer import Tracer
from go_state.runtime.observing.observers import Observers
from go_state.runtime.observing.turns import Traces, Turns, of_tracer


class OfTurn(Protocol):
    """The turn that a command comes from. It is remembered here what tracers have begun for it."""

    traces: Traces

    @property
    def message(self) -> object:  # of the program's type
        """Its message, None at the beginning."""
        ...

    @property
    def position(self) -> object:
        """The position of the message."""
        ...


class Observed(Protocol):
    """An effect, as far as it is looked at here. It is remembered here what tracers bring along with its messages."""

    tries: int
    carried: Traces

    @property
    def command(self) -> object:
        """The call or timer."""
        ...

    @property
    def origin(self) -> OfTurn:
        """Its turn."""
        ...

    @property
    def name(self) -> str:
        """Its effect id."""
        ...


E = TypeVar("E", bound=Observed)


class ObservesEffects(Protocol):
    """Who is told of the effects of one run, each step in the run's own thread or task."""

    def held(self, steps: Iterable[object], /) -> None:
        """Called in the turn that begins these, before any of them begins."""
        ...

    def launch(self, launch: Callable[[E], object], effect: E, /) -> None:
        """Launch an effect."""
        ...

    def retried(self, effect: Observed, wait: float, /) -> None:
        """Called when a try has failed, and the next one comes after `wait` seconds."""
        ...

    def sent(self, effect: Observed, messages: Sequence[object], /) -> None:
        """Called with the messages of a result, of a failure, or of what follows one, before they enter the queue."""
        ...

    def failed(self, effect: Observed, error: BaseException, /) -> None:
        """Called when an effect has failed; its end follows."""
        ...

    def ended(self, effect: Observed, /) -> None:
        """Called when an effect has ended."""
        ...

    def cancelled(self, effect: Observed, /) -> None:
        """Called when an effect was cancelled, whether it was launched or not."""
        ...


class Commands:
    """The running commands."""

    def __init__(self, observers: Observers, turns: Turns[object], program: str, now: Callable[[], float]) -> None:
        self._observers = observers
        self._turns = turns
        self._program = program
        self._now = now
        self._begun: dict[Observed, float] = {}  # when each was launched, of those that have not ended

    def held(self, steps: Iterable[object]) -> None:
        """Called in the turn that begins these, before any of them begins."""
        traces = self._turns.traces
        if traces:
            for step in steps:
                origin: OfTurn | None = getattr(step, "origin", None)
                if origin is not None:
                    origin.traces = traces

    def launch(self, launch: Callable[[E], object], effect: E) -> None:
        """Launch an effect, in what tracers begin for it."""
        event = CommandStarted(*self._known(effect))
        self._begun[effect] = self._now()
        self._observers.tell(event)
        scopes: list[tuple[Tracer, AbstractContextManager[object]]] = []
        traces: Traces = getattr(effect.origin, "traces", ())
        for tracer in self._observers.tracers:
            try:
                scope = tracer.command_begins(event, of_tracer(traces, tracer))
                scope.__enter__()
                scopes.append((tracer, scope))
            except Exception as error:
                self._observers.leave_out(tracer, error)
        if scopes:
            effect.carried = self._turns.carried()
        try:
            launch(effect)
        finally:
            for tracer, scope in reversed(scopes):
                try:
                    scope.__exit__(None, None, None)
                except Exception as error:
                    self._observers.leave_out(tracer, error)

    def retried(self, effect: Observed, wait: float) -> None:
        """Called when a try has failed, and the next one comes after `wait` seconds."""
        self._observers.tell(CommandRetried(*self._known(effect), effect.tries, wait))

    def sent(self, effect: Observed, messages: Sequence[object]) -> None:
        """Tell tracers that their turns belong to the command; no event has what is in a message."""
        carried: Traces = getattr(effect, "carried", ())
        if carried:
            self._turns.command_sends(messages, carried)

    def failed(self, effect: Observed, error: BaseException) -> None:
        """Called when an effect has failed; its end follows, and is not told."""
        begun = self._begun.pop(effect, None)
        if begun is not None:
            self._observers.tell(CommandFailed(*self._known(effect), self._now() - begun, type(error).__qualname__))

    def ended(self, effect: Observed) -> None:
        """Called when an effect has ended."""
        begun = self._begun.pop(effect, None)
        if begun is not None:
            self._observers.tell(CommandDone(*self._known(effect), self._now() - begun))

    def cancelled(self, effect: Observed) -> None:
        """Called when an effect was cancelled, whether it was launched or not."""
        begun = self._begun.pop(effect, None)
        self._observers.tell(CommandCancelled(*self._known(effect), None if begun is None else self._now() - begun))

    def _known(self, effect: Observed) -> tuple[str, str | None, str, str, str, object]:
        command, origin, message = effect.command, effect.origin, effect.origin.message
        function = name_of(command.fn) if isinstance(command, Call) else "after"
        kind, position = ("", None) if message is None else (type(message).__qualname__, origin.position)
        return self._program, self._turns.key_of_message(message), effect.name, function, kind, position
