"""Replay by predicate: while it is true, turns change the model and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from go_state.core.program import Step, read_step
from go_state.core.subscriptions import Sub
from go_state.runtime.steps import Steps

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class Replaying:
    """Asks `replaying()` once a turn; while it is true no command is performed, no subscription runs and no view is called."""

    def __init__(self, replaying: Callable[[], bool]) -> None:
        self._replaying = replaying
        self._is_muted = False  # what was answered for the turn that is being taken: its commands and its view go together

    def is_muted(self) -> bool:
        """Return whether the turn that is being taken is a replayed one."""
        return self._is_muted

    def steps(self, steps: Steps[Model, Msg]) -> Steps[Model, Msg]:
        """Return the steps without commands while replaying."""

        def init() -> Step[Model, Msg]:
            self._is_muted = bool(self._replaying())
            return self._without_commands(steps.init(), "init")

        def update(model: Model, message: Msg, *turn: object) -> Step[Model, Msg]:
            self._is_muted = bool(self._replaying())
            return self._without_commands(steps.update(model, message, *turn), "update")

        return replace(steps, init=init, update=update)

    def subscriptions(
        self, subscriptions: Callable[[Model], Iterable[Sub[Msg]] | None]
    ) -> Callable[[Model], Iterable[Sub[Msg]] | None]:
        """Return the function that says which subscriptions a model asks for: none while replaying."""
        return lambda model: () if self._is_muted else subscriptions(model)

    def _without_commands(self, step: Step[Model, Msg], role: str) -> Step[Model, Msg]:
        model, commands = read_step(step, role)
        return model, () if self._is_muted else commands
