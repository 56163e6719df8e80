"""The place of a command: the turn it comes from, where it stands there, the `seq` or `all` it is a part of, and its child's scope."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from enum import Enum
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from go_state.core.commands import All, Map, Seq
from go_state.core.errors import ProgramError
from go_state.core.subscriptions import Scope

Path: TypeAlias = "tuple[int] | tuple[Path, int]"
"""Where a command stands in its turn: `(number,)`, and of one in a `seq` or `all` `(path, number)`."""


Messages: TypeAlias = Sequence[Any]
"""Messages of the program's type, which nothing here looks at."""


class Outcome(Enum):
    """What has become of a command that was performed."""

    DONE = "done"
    FAILED = "failed"  # or cancelled: what follows in its sequence is left out
    RUNNING = "running"  # or waiting to be started


class TurnNames:
    """How one run names its turns: by position, after a random id unless the run has a name of its own."""

    def __init__(self) -> None:
        self.where: Callable[[], object] = _nowhere  #: returns the position of the message in its turn
        self.name: Callable[[], str] | None = None  #: returns the name of a turn, of those that are not named by their position
        self._run_id = ""

    def connect(self, where: Callable[[], object]) -> None:
        """Take positions from `where`, which returns that of the message in its turn."""
        self.where = where

    def name_run(self, run_id: str) -> None:
        """Begin the turns' names with the id; with `""`, or without a call, with a random one."""
        self._run_id = run_id

    def name_turns(self, name: Callable[[], str] | None) -> None:
        """Name turns by the function from now on, or again by their position."""
        self.name = name

    @property
    def run_id(self) -> str:
        """What the names of this run's turns begin with."""
        if not self._run_id:  # another thread may ask at this moment: one of the two ids counts, for both
            self._run_id = vars(self).setdefault("_random_id", os.urandom(8).hex())
        return self._run_id


class TurnPlace(NamedTuple):
    """What an origin is made of: a message of the program's type, its position, and what its name is made of when it is asked for."""

    message: Any  # of the program's type, which nothing here looks at
    position: object
    given_name: str | None = None
    names: TurnNames | None = None
    number: int = 0  # of turns at the position that were named before it, one after the other


class Origin(TurnPlace):
    """The turn that a command comes from: what `on_error` is told of it, and the name that effect ids begin with."""

    traces: Any  # what tracers have begun for the turn; not there without them: see `runtime/observing/commands.py`

    @property
    def name(self) -> str:
        """The turn's name, such as `orders.csv/17+0`: the run, the position, and how many named turns there were at it before."""
        if self.given_name is not None:
            return self.given_name
        position = "" if self.position is None else self.position
        return f"{self.names.run_id if self.names else ''}/{position}+{self.number}"

    def __str__(self) -> str:
        if self.message is None:
            return "the beginning"
        at = "" if self.position is None else f" at position {self.position}"
        return f"a message of type {type(self.message).__qualname__}{at}"


origin: Final[Callable[[tuple[object, object, str | None, TurnNames | None, int]], Origin]] = partial(tuple.__new__, Origin)
"""Make an `Origin` of its fields, in half the time that a call of the class takes."""


class Group:
    """A `seq` or `all` of which something is running, or waits to be."""

    __slots__ = ("_origin", "begun", "failed", "in_order", "open", "parent", "path", "rest", "scope")

    def __init__(
        self, command: Seq[object] | All[object], scope: Scope, parent: Group | None, path: Path, origin: Origin
    ) -> None:
        self.in_order = type(command) is Seq
        self.scope = scope
        self.parent = parent
        self.path = path
        self.rest: Iterator[tuple[int, object]] = enumerate(command.commands)
        self.open = 0  # how many parts of an `all` are running
        self.begun = False  # whether all parts of an `all` were begun
        self.failed = False
        self._origin = origin

    @property
    def name(self) -> str:
        """Its id, of the same form as an effect's."""
        return f"{self._origin.name}/{written(self.path)}"

    @property
    def mark(self) -> str:
        """The name under which a durable run notes that an `all` has failed while parts of it are running."""
        return f"{self.name}!"

    @property
    def is_over(self) -> bool:
        """Whether every part of an `all` was begun and has ended."""
        return self.begun and not self.open

    def outcome(self) -> Outcome:
        """Return what has become of an `all`."""
        if not self.is_over:
            return Outcome.RUNNING
        return Outcome.FAILED if self.failed else Outcome.DONE


def unmapped(command: object, scope: Scope) -> tuple[object, Scope]:
    """Return a child's command, and its scope: what its messages are wrapped by, the outermost first."""
    while isinstance(command, Map):
        scope = (*scope, (command.wrap, *command.leading))
        command = command.command
    return command, scope


def wrapped(message: object, scope: Scope) -> object:
    """Return a child's message as its parents see it."""
    for wrap, *leading in reversed(scope):
        message = wrap(*leading, message)
    return message


def keyed(scope: Scope, key: Hashable) -> Hashable:
    """Return a child's key as one of the whole program; `ProgramError` if its scope cannot be hashed."""
    found = scope, key
    try:
        hash(found)
    except TypeError:
        raise ProgramError(
            "what Cmd.map puts before a child's messages is a part of its keys, and has to be a value that can be hashed, such as "
            "a number or a string"
        ) from None
    return found


def is_in(key: Hashable, scope: Scope) -> bool:
    """Return whether a key, as `keyed` makes it, belongs to the scope or to a child's within it."""
    return isinstance(key, tuple) and key[0][: len(scope)] == scope


def written(path: Path) -> str:
    """Return a path as text: `2.0.1`."""
    numbers: list[str] = []
    while len(path) == 2:
        numbers.append(str(path[1]))
        path = path[0]
    return ".".join([str(path[0]), *reversed(numbers)])


def marks_of(group: Group | None) -> list[str]:
    """Return the marks of the groups that something is a part of."""
    marks = []
    while group is not None:
        marks.append(group.mark)
        group = group.parent
    return marks


def _nowhere() -> object:
    """Return no position: no feed is connected."""
    return None
