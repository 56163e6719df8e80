"""The loop of a program that nobody but its own view looks at: what `run`, `batch` and `aggregate` drive when nothing is journalled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from go_state.core.program import Program
from go_state.middleware.chain import chain_of
from go_state.runtime.after_commit import Hooks
from go_state.runtime.effects.manager import EffectManager
from go_state.runtime.on_error import Failures, Filing, OnError, may_file
from go_state.runtime.replaying import Replaying
from go_state.runtime.steps import Steps
from go_state.runtime.subscriptions.subscribed import subscribed
from go_state.runtime.turn import Loop

Model = TypeVar("Model")
Msg = TypeVar("Msg")
Held = TypeVar("Held")  # the model as the loop has it


class Folding(Protocol[Model, Msg, Held]):
    """Something that loads the models to begin with: it wraps a program's steps, and the hooks that are called after a commit."""

    def steps(self, own: Steps[Model, Msg], /) -> Steps[Held, Msg]:
        """Return the steps to take, made of the program's own."""
        ...

    def hooks(self, own: Hooks[Model], /) -> Hooks[Held]:
        """Return what is called after a commit of those steps, made of what is called with the program's models."""
        ...


class JustStarted(Generic[Model, Msg]):
    """Nothing to begin with but what the program's init gives."""

    def steps(self, own: Steps[Model, Msg]) -> Steps[Model, Msg]:
        """Return the program's own."""
        return own

    def hooks(self, own: Hooks[Model]) -> Hooks[Model]:
        """Return them as they are."""
        return own


def filing_for(program: Program[Model, Msg], on_error: OnError, source: str = "") -> Filing | None:
    """Return what writes letters at once for a run of the program; None if there will be none."""
    if not may_file(on_error):
        return None
    from go_state.modes.keeping.filing import LetterFiling, LetterWriter  # here: a run that files nothing need not wait for it

    return LetterFiling(LetterWriter(program, source=source))


def plain_loop(
    program: Program[Model, Msg],
    manager: EffectManager,
    failures: Failures[Msg],
    replaying: Callable[[], bool] | None,
    kept: Folding[Model, Msg, Held],
) -> Loop[Held, Msg]:
    """Return the loop of the program, from the models of `kept`."""
    chain, subscriptions = chain_of(program), program.subscriptions
    gate = None if replaying is None else Replaying(replaying)
    if gate is not None and subscriptions is not None:
        subscriptions = gate.subscriptions(subscriptions)
    own: Hooks[Model] = Hooks(subscribed(subscriptions, manager), chain, view=program.view)
    steps, hooks = kept.steps(Steps.of(program) if chain is None else chain.steps(program)), kept.hooks(own)
    if gate is not None:
        steps, hooks = gate.steps(steps), hooks.muted(gate.is_muted)
        if manager.observation is not None:
            manager.observation.turns.is_muted = gate.is_muted
    return Loop(steps, manager, hooks=hooks, failures=failures)
