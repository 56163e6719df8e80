"""What is running at one moment: the effects of a run as values, for an operator who asks what it waits for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, TypeVar

from go_state.core.commands import After, Call, name_of
from go_state.system.timers import Clock, Timer

EffectState: TypeAlias = Literal["running", "waiting", "retrying", "scheduled"]
"""It runs in a task or thread, waits for its key or for room, waits for its next try, or is a timer."""


@dataclass(frozen=True, slots=True)
class RunningEffect:
    """A command that goes on after its turn, at one moment.

    `id` is its effect id, `function` what it calls ("after" for a timer), `key` its own key, and `group` the id of the `seq` or `all`
    that it is a part of. `state` says whether it runs, waits or is scheduled. `since` is when it was begun, or, if it waits for
    its key or for room, since when it does; `due` when a timer is due, a call times out, or its next try begins, None if there
    is no such moment; both in seconds since 1970. `tries` is how many tries were begun.
    """

    id: str
    function: str
    key: Hashable
    group: str | None
    state: EffectState
    since: float | None
    tries: int
    due: float | None


class OfGroup(Protocol):
    """A `seq` or `all`."""

    @property
    def name(self) -> str:
        """Its id."""
        ...


class Looked(Protocol):
    """An effect, as far as it is looked at here; what each is, `Effect` says."""

    @property
    def name(self) -> str: ...
    @property
    def command(self) -> Call[object] | After[object]: ...
    @property
    def group(self) -> OfGroup | None: ...
    @property
    def since(self) -> float | None: ...
    @property
    def parked(self) -> bool: ...
    @property
    def tries(self) -> int: ...
    @property
    def next_due(self) -> float | None: ...
    @property
    def try_timer(self) -> Timer | None: ...


E = TypeVar("E", bound=Looked)


def running_effects(effects: Iterable[E], is_launched: Callable[[E], bool], clock: Clock) -> list[RunningEffect]:
    """Return the effects as they are now. The run goes on meanwhile, so each is as it was at some moment of the call."""
    offset = clock.time() - clock.monotonic()
    return [_as_it_is(effect, is_launched(effect), offset) for effect in effects]


def _as_it_is(effect: Looked, launched: bool, offset: float) -> RunningEffect:
    command, due = effect.command, effect.next_due
    state: EffectState
    if isinstance(command, After):
        state = "waiting" if due is None else "scheduled"
    elif effect.parked:
        state, due = "retrying", None if (timer := effect.try_timer) is None else timer.due
    else:
        state = "running" if launched else "waiting"
    begun = 0 if state in ("waiting", "scheduled") else effect.tries + (state == "running")
    return RunningEffect(
        effect.name,
        name_of(command.fn) if isinstance(command, Call) else "after",
        command.key,
        None if effect.group is None else effect.group.name,
        state,
        None if effect.since is None else effect.since + offset,
        begun,
        None if due is None else due + offset,
    )
