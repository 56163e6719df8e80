"""The ports: what a run tells, and asks of, whoever observes it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from go_state.observe.events import CommandStarted, Event, Turn, TurnFailed


@runtime_checkable
class Observer(Protocol):
    """Something that is told what a run does.

    One observer may be given to many runs, whose threads call it side by side. One with an attribute `turns_from`, in seconds, need not
    be told of turns that took less, which then cost nearly nothing; the attribute is looked at again for each chunk of messages.
    """

    def on_event(self, event: Event, /) -> object:
        """Called after what the event says, in the run's own thread or task; what it returns is ignored.

        What it raises is reported once by the warning `ObserverFailed`, and it is called no more.
        """
        ...


@runtime_checkable
class Tracer(Observer, Protocol):
    """An observer that follows a message from its sender to its turn, and on to the commands of the turn.

    What its methods return is handed on, and looked at by nobody else.
    """

    def carry(self) -> object | None:
        """Called in the thread or task of whoever sends a message: return what its turn is to begin with; None for nothing.

        For what the program itself sends it is called in the turn, or in the block of `command_begins` of the command.
        """
        ...

    def turn_begins(self, program: str, key: str | None, message: str, position: object, carried: object | None, /) -> object:
        """Called before a turn, with what `carry` returned for its message, `carried`; return what its end and its commands are given."""
        ...

    def turn_ends(self, turn: object, event: Turn | TurnFailed | None, /) -> None:
        """Called after the turn; the event is None if nothing is known of it, because it is taken again later or was broken off."""
        ...

    def command_begins(self, event: CommandStarted, turn: object | None, /) -> AbstractContextManager[object]:
        """Called before a command begins, in the block of what this returns.

        `turn` is what `turn_begins` has returned for the turn that asked for the command, None after a restart.
        Tasks and threads begin with the context variables that are set in it.
        """
        ...
