"""A effect: one command that is under way after its turn, and the `seq` or `all` that it is a part of."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextvars import ContextVar
from enum import Enum
from typing import Any

from go_state.core.commands import All, Seq
from go_state.core.errors import ProgramError
from go_state.core.subscriptions import Scope
from go_state.runtime.effects.timers import Timer

Path = tuple[Any, ...]
"""Where a command stands in its turn: `(number,)`, and of one in a `seq` or `all` `(path, number)`."""


class Outcome(Enum):
    """How it stands with a command that was begun."""

    DONE = "done"
    FAILED = "failed"  # or cancelled: what follows in its sequence is left out
    UNDER_WAY = "under way"


class Group:
    """A `seq` or `all` of which something is under way."""

    __slots__ = ("_origin", "begun", "failed", "in_order", "open", "parent", "path", "rest", "scope")

    def __init__(self, command: Seq[Any] | All[Any], scope: Scope, parent: Group | None, path: Path, origin: Origin) -> None:
        self.in_order = type(command) is Seq
        self.scope = scope
        self.parent = parent
        self.path = path
        self.rest: Iterator[tuple[int, Any]] = enumerate(command.commands)
        self.open = 0  # how many of an `all` are under way
        self.begun = False  # whether all of an `all` were begun
        self.failed = False
        self._origin = origin

    @property
    def mark(self) -> str:
        """What a durable run notes while something of a failed `all` is under way."""
        return f"{self._origin.name}/{written(self.path)}!"

    def outcome(self) -> Outcome:
        """Return how an `all` has ended."""
        return Outcome.FAILED if self.failed else Outcome.DONE


class Origin:
    """The turn whose command it is: what `on_error` is told, and how the turn is called."""

    __slots__ = ("message", "name", "position")

    def __init__(self, message: Any, position: object, name: str) -> None:
        self.message = message
        self.position = position
        self.name = name

    def __str__(self) -> str:
        if self.message is None:
            return "the beginning"
        at = "" if self.position is None else f" at position {self.position}"
        return f"a message of type {type(self.message).__qualname__}{at}"


class Effect:
    """One call or timer that is under way, or waits to be."""

    __slots__ = (
        "command",
        "coroutine",
        "group",
        "key",
        "name",
        "origin",
        "over",
        "parked",
        "scope",
        "stop",
        "timers",
        "unpark",
    )

    def __init__(self, command: Any, scope: Scope, group: Group | None, path: Path, origin: Origin, coroutine: Any) -> None:
        self.command = command  # a Call or an After
        self.scope = scope
        self.group = group
        self.origin = origin
        self.name = f"{origin.name}/{written(path)}"
        self.key: Hashable = None if command.key is None else keyed(scope, command.key)
        self.coroutine = coroutine  # of a function that was called in the turn and turned out to be one to wait for
        self.over = False
        self.parked = False  # whether it waits for its next try
        self.timers: list[Timer] = []
        self.stop: Callable[[], object] | None = None  # what ends its task or thread
        self.unpark: Callable[[], object] | None = None  # what ends a thread's wait for its next try

    def __repr__(self) -> str:
        return f"<Effect {self.name}: {self.command}>"


under_way: ContextVar[Effect | None] = ContextVar("go_state_under_way", default=None)  # in its task or thread


def keyed(scope: Scope, key: Hashable) -> Hashable:
    """Return a child's key as one of the whole program; `ProgramError` where what stands before its messages cannot be part of it."""
    found = scope, key
    try:
        hash(found)
    except TypeError:
        raise ProgramError(
            "what Cmd.map puts before a child's messages is a part of its keys, and has to be a value that can be hashed, such as "
            "a number or a string"
        ) from None
    return found


def written(path: Path) -> str:
    """Return a path as text: `2.0.1`."""
    numbers: list[str] = []
    rest: Any = path  # a tuple in a tuple, of which no type checker knows the depth
    while len(rest) > 1:
        rest, number = rest
        numbers.append(str(number))
    return ".".join([str(rest[0]), *reversed(numbers)])


def wrapped(message: Any, scope: Scope) -> Any:
    """Return a child's message as its parents see it."""
    for wrap, *leading in reversed(scope):
        message = wrap(*leading, message)
    return message
