"""What a run uses of the world around it: environment, effects' limits, clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from go_state.core.errors import UsageError
from go_state.system.timers import Clock, SystemClock

NOTHING: Final[object] = object()  # env= was not given; None is a value like any other


@dataclass(frozen=True, slots=True)
class Effects:
    """How a run performs commands that go on after their turn: at most `at_once` at a time, the others after them; at its end it waits
    up to `grace` seconds for those that it has cancelled.

    A thread cannot be ended: a call that was cancelled or took too long goes on there, and is counted no more. At most `at_once` such
    threads, and at least 64, are left to themselves; while there are more, further calls in threads wait. None of them keeps the
    process from ending.
    """

    at_once: int = 100
    grace: float = 5.0

    def __post_init__(self) -> None:
        if type(self.at_once) is not int or self.at_once < 1:
            raise UsageError(f"at_once is a number of commands from 1, not {self.at_once!r}")
        if not isinstance(self.grace, (int, float)) or not self.grace >= 0:
            raise UsageError(f"grace is a number of seconds from 0, not {self.grace!r}")


class Resources(NamedTuple):
    """What a run uses of the world around it: the environment of its commands, how they are performed, and the time."""

    env: object = NOTHING
    effects: Effects = Effects()
    clock: Clock = SystemClock()


def resources_of(env: object, effects: Effects | None, clock: Clock | None) -> Resources:
    """Return what a run is given, or raise `UsageError`."""
    if not isinstance(effects, (Effects, type(None))):
        raise UsageError(f"effects= is a gs.Effects(at_once=..., grace=...), not a {type(effects).__qualname__}")
    if clock is not None and not all(hasattr(clock, method) for method in ("time", "monotonic", "left", "leave")):
        raise UsageError(f"clock= is a gs.testing.SimClock, or nothing for the system's, not a {type(clock).__qualname__}")
    return Resources(NOTHING if env is None else env, effects or Effects(), clock or SystemClock())
