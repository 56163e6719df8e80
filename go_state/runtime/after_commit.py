"""What follows a commit, in one order, and how a run is asked to end between two turns.

    commit ──▶ subscriptions ──▶ middleware ──▶ observers ──▶ pending replies ──▶ the user's view ──▶ (waits) ──▶ next turn

Subscriptions come first, so that the inputs belong to the model that the others are shown. A sender who waits for its turn wakes after
the model is published, and so finds it. The view comes last, because it is the user's own and may take time or fail. All of them run
in the run's own thread or task; what they return to be waited for is waited for when all were called. An exception of one of them ends
the run and not the turn, which is committed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from go_state.runtime.flow.waits import Wait

Model_contra = TypeVar("Model_contra", contravariant=True)
Model = TypeVar("Model")
Part = TypeVar("Part")
Whole = TypeVar("Whole")


LoopHooks: TypeAlias = "list[Callable[[Any], Wait | None]]"
"""What a loop calls after a commit, before the view, of whatever model it has. It may be added to from any thread."""


class AfterCommit(Protocol[Model_contra]):
    """Something that is called after each commit."""

    def committed(self, model: Model_contra, /) -> Wait | None:
        """Called with the committed model; returns what the run waits for before its next turn, or None."""
        ...


class FollowsModels(AfterCommit[Model_contra], Protocol[Model_contra]):
    """The subscriptions of a run."""

    def follow(self, model: Model_contra, /) -> None:
        """Begin and end what the model asks for; it may be a model that no turn has made."""
        ...


class AfterRollback(Protocol):
    """Something that is called after a turn was rolled back."""

    def rolled_back(self, error: BaseException, /, *, ends: bool) -> None:
        """Called with what the turn failed with, while its position is the feed's last; `ends` says whether the run ends by it."""
        ...


class Hooks(NamedTuple, Generic[Model]):
    """What is called after a commit, in the order of the fields; the models are those of one run."""

    subscriptions: FollowsModels[Model] | None = None
    middleware: AfterCommit[Model] | None = None
    observers: AfterCommit[Model] | None = None
    view: Callable[[Model], object] | None = None  # what it returns is ignored

    def in_order(self) -> LoopHooks:
        """Return what is called before the view, without what there is not."""
        return [hook.committed for hook in (self.subscriptions, self.middleware, self.observers) if hook is not None]

    def of_part(self, part: Callable[[Whole], Model]) -> Hooks[Whole | None]:
        """Return hooks that are called with a part of each model, and not at all if the model is None and so has no part."""
        view = self.view
        return Hooks(
            None,
            None if self.middleware is None else _OfPart(self.middleware, part),
            None if self.observers is None else _OfPart(self.observers, part),
            None if view is None else lambda model: None if model is None else view(part(model)),
        )

    def muted(self, is_muted: Callable[[], bool]) -> Hooks[Model]:
        """Return hooks of which only the subscriptions are called while `is_muted()` is true."""
        view = self.view
        return Hooks(
            self.subscriptions,
            None if self.middleware is None else _Muted(self.middleware, is_muted),
            None if self.observers is None else _Muted(self.observers, is_muted),
            None if view is None else lambda model: None if is_muted() else view(model),
        )


class _Muted(Generic[Model]):
    """A hook that is left out at times."""

    def __init__(self, hook: AfterCommit[Model], is_muted: Callable[[], bool]) -> None:
        self._hook = hook
        self._is_muted = is_muted

    def committed(self, model: Model) -> Wait | None:
        return None if self._is_muted() else self._hook.committed(model)


class _OfPart(Generic[Model, Part]):
    """A hook that is called with a part of the model."""

    def __init__(self, hook: AfterCommit[Part], part: Callable[[Model], Part]) -> None:
        self._hook = hook
        self._part = part

    def committed(self, model: Model | None) -> Wait | None:
        return None if model is None else self._hook.committed(self._part(model))


class StopRequest:
    """Asks a run to end after the turn that is being taken. The loop looks at it after each commit."""

    __slots__ = ("_hooks", "is_made")

    def __init__(self) -> None:
        self.is_made = False  #: whether the run is to end; never taken back
        self._hooks: LoopHooks = []

    def connect(self, hooks: LoopHooks) -> None:
        """Connect the loop that calls these hooks: it looks at the request after each turn, once it is made."""
        self._hooks = hooks

    def make(self) -> None:
        """Ask the run to end; from any thread."""
        self.is_made = True
        self._hooks.append(_do_nothing)  # a loop that has no hook looks at nothing after a turn


def _do_nothing(_: object) -> None:
    """Follow no model."""
