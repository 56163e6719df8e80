"""The environment: what commands need of the outside world, given to the run and not to the program.

A program is then a value that can be imported, replayed and tested without any of it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from go_state.core.errors import UsageError

Env = TypeVar("Env")

NOTHING: Any = object()
environment: ContextVar[Any] = ContextVar("go_state_environment", default=NOTHING)  # of the run whose command is under way


def env(kind: Callable[..., Env]) -> Env:
    """Return what the run was given as `env=`, inside a command, a subscription's stream or what middleware does after its yield.

    `kind` is its class, or a protocol that it follows; type checkers refuse a protocol as `type[Env]`, and take it as what it is
    called like. Raises `UsageError` where nothing, or something else, was given.
    """
    given = environment.get()
    if given is NOTHING:
        raise UsageError(
            f"there is no environment here: give the run one, gs.run(program, ..., env={kind.__name__}(...)), and ask for it inside a "
            f"command, not in update"
        )
    if not isinstance(kind, type):
        raise UsageError(f"env() takes the class of the environment, or a protocol, not a {type(kind).__qualname__}")
    try:
        fits = isinstance(given, kind)
    except TypeError:  # a protocol that cannot be checked while running
        fits = True
    if not fits:
        raise UsageError(
            f"the run was given a {type(given).__qualname__} as env=, and the command asks for a {kind.__qualname__}"
        )
    return given  # type: ignore[no-any-return]
