"""What a running command can ask for: its effect id, and the environment, which the run was given and not the program.

A program without resources of its own is a value that can be imported, replayed and tested without any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol, TypeVar

from go_state.core.errors import UsageError
from go_state.runtime.resources import NOTHING

Env = TypeVar("Env")

_OUTSIDE = "effect_id() is known inside a command alone: what Cmd.call calls, or a bare callable"


class Named(Protocol):
    """Something with an effect id."""

    @property
    def name(self) -> str:
        """Return the effect id; raise `UsageError` when no command is running."""
        ...


current: ContextVar[Named | None] = ContextVar("go_state_effect", default=None)  # the running command
environment: ContextVar[object] = ContextVar("go_state_environment", default=NOTHING)  # of its run


def effect_id() -> str:
    """Return a name for what the running command does, the same at every repetition of it, for others to know it again by.

    Give it as the idempotency key of a payment, or the id of a mail. It is the same at every try of a `retry=`; in a durable run when
    the command is performed again after a crash, and in a batch of a source with positions when its message comes again.
    Raises `UsageError` outside a command.
    """
    command = current.get()
    if command is None:
        raise outside_a_command()
    return command.name


def outside_a_command() -> UsageError:
    """Return the error of an `effect_id()` that no command asks for."""
    return UsageError(_OUTSIDE)


def env(kind: Callable[..., Env]) -> Env:
    """Return what the run was given as `env=`, inside a command, a subscription's stream or what middleware does after its yield.

    `kind` is its class, or a protocol that it follows; type checkers refuse a protocol as `type[Env]`, and take it as what it is
    called like. Raises `UsageError` if nothing, or something else, was given.
    """
    if not isinstance(kind, type):
        raise UsageError(f"env() takes the class of the environment, or a protocol, not a {type(kind).__qualname__}")
    given = environment.get()
    if given is NOTHING:
        raise UsageError(
            f"there is no environment here: give the run one, gs.run(program, ..., env={kind.__name__}(...)), and ask for it inside a "
            f"command, not in update"
        )
    try:
        fits = isinstance(given, kind)
    except TypeError:  # a protocol that cannot be checked while running
        fits = True
    if not fits:
        raise UsageError(
            f"the run was given a {type(given).__qualname__} as env=, and the command asks for a {kind.__qualname__}"
        )
    return given  # type: ignore[return-value]  # a protocol that cannot be checked
