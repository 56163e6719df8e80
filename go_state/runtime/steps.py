"""Steps: init and update as one run calls them. The program is the user's value; a run that adds something folds it around these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from go_state.core.program import Program, Step
from go_state.core.subscriptions import Scope

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class NotYet(Exception):
    """Raised by a run's update for a turn that is to be taken again, once its message is on disk; nothing of it has happened."""


@dataclass(frozen=True, slots=True)
class Steps(Generic[Model, Msg]):
    """How a run begins and how each message changes its model.

    `init()` gives the first model and commands. `update` takes the model, a message and, if it `takes_turn`, the turn; it gives the
    next model and commands, or raises `NotYet`. `roll_back(error)` is called for a turn that is rolled back while the run goes on or
    ends with the error. `scope_of(message)` returns whose the commands of the message's turn are that have no scope.
    """

    init: Callable[[], Step[Model, Msg]]
    update: Callable[..., Step[Model, Msg]]  # with a turn, or without
    takes_turn: bool
    roll_back: Callable[[Exception], object] | None = None
    scope_of: Callable[[Msg], Scope] | None = None

    @staticmethod
    def of(program: Program[Model, Msg]) -> Steps[Model, Msg]:
        """Return the program's own."""
        return Steps(program.init, program.update, program.takes_turn)
