"""Replay by predicate: while it says yes, turns change the model and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any, TypeVar

from go_state.core.program import Program, Step, read_step

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def silenced(program: Program[Model, Msg], replaying: Callable[[], bool] | None) -> Program[Model, Msg]:
    """Return the program that asks `replaying()` once a turn and, while that is true, returns no commands and shows no view."""
    if replaying is None:
        return program
    silent = False  # what was answered for the turn that is under way: its commands and its view go together

    @wraps(program.init)
    def init(*key: Any) -> Step[Model, Msg]:
        nonlocal silent
        silent = bool(replaying())
        return without_commands_if_silent(program.init(*key), "init")

    wrapped: Any = program.update

    @wraps(wrapped)
    def update(model: Model, message: Msg, *turn: Any) -> Step[Model, Msg]:
        nonlocal silent
        silent = bool(replaying())
        return without_commands_if_silent(wrapped(model, message, *turn), "update")

    def view(model: Model) -> None:
        if not silent and program.view is not None:
            program.view(model)

    def subscriptions(model: Model) -> Any:
        return () if silent or program.subscriptions is None else program.subscriptions(model)

    def without_commands_if_silent(step: Step[Model, Msg], role: str) -> Step[Model, Msg]:
        model, commands = read_step(step, role)
        return model, () if silent else commands

    return replace(
        program,
        init=init,
        update=update,
        view=None if program.view is None else view,
        subscriptions=None if program.subscriptions is None else subscriptions,
    )
