"""What the parts of this folder hand to each other: an effect, its turn, the `seq` or `all` it is a part of, and what a turn holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from enum import Enum
from typing import Any, NamedTuple, Protocol, TypeAlias

from go_state.core.commands import After, All, Call, Map, Seq
from go_state.core.errors import ProgramError
from go_state.core.subscriptions import Scope
from go_state.system.timers import Timer

Path: TypeAlias = "tuple[int] | tuple[Path, int]"
"""Where a command stands in its turn: `(number,)`, and of one in a `seq` or `all` `(path, number)`."""


Messages: TypeAlias = Sequence[Any]
"""Messages of the program's type, which nothing here looks at."""


class Outcome(Enum):
    """What has become of a command that was performed."""

    DONE = "done"
    FAILED = "failed"  # or cancelled: what follows in its sequence is left out
    RUNNING = "running"  # or waiting to be started


class Origin:
    """The turn that a command comes from: what `on_error` is told of it, and the name that effect ids begin with.

    The name is made when it is asked for: most turns' effects never need one.
    """

    __slots__ = ("_name", "_names", "_number", "message", "position", "traces")

    traces: Any  # what tracers have begun for the turn; not there without them: see `runtime/observing/commands.py`

    def __init__(
        self, message: object, position: object, name: str | None = None, names: TurnNames | None = None, number: int = 0
    ) -> None:
        self.message: Any = message  # of the program's type, which nothing here looks at
        self.position = position
        self._name = name
        self._names = names
        self._number = number  # of turns at the position that were named before it, one after the other

    @property
    def name(self) -> str:
        """The turn's name, such as `orders.csv/17+0`: the run, the position, and how many named turns there were at it before."""
        if self._name is None:
            position = "" if self.position is None else self.position
            self._name = f"{self._names.run_id if self._names else ''}/{position}+{self._number}"
        return self._name

    def __str__(self) -> str:
        if self.message is None:
            return "the beginning"
        at = "" if self.position is None else f" at position {self.position}"
        return f"a message of type {type(self.message).__qualname__}{at}"


class TurnNames:
    """How one run names its turns: by position, after a random id unless the run has a name of its own."""

    def __init__(self) -> None:
        self._run_id = ""
        self._where: Callable[[], object] = _nowhere
        self._name: Callable[[], str] | None = None
        self._last: tuple[object, int] = (None, -1)

    def connect(self, where: Callable[[], object]) -> None:
        """Take positions from `where`, which returns that of the message in its turn."""
        self._where = where

    def name_run(self, run_id: str) -> None:
        """Begin the turns' names with the id; with `""`, or without a call, with a random one."""
        self._run_id = run_id

    def name_turns(self, name: Callable[[], str] | None) -> None:
        """Name turns by the function from now on, or again by their position."""
        self._name = name

    @property
    def run_id(self) -> str:
        """What the names of this run's turns begin with."""
        if not self._run_id:  # another thread may ask at this moment: one of the two ids counts, for both
            self._run_id = vars(self).setdefault("_random_id", os.urandom(8).hex())
        return self._run_id

    def where(self) -> object:
        """Return the position of the message in its turn."""
        return self._where()

    def origin(self, message: object) -> Origin:
        """Return the turn of the message."""
        if self._name is not None:
            return Origin(message, self._where(), self._name())
        position = self._where()
        number = self._last[1] + 1 if position == self._last[0] else 0
        self._last = (position, number)
        return Origin(message, position, None, self, number)


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


class Effect:
    """One call or timer that goes on after its turn, or waits to be started."""

    __slots__ = (
        "command", "coroutine", "group", "key", "origin", "over", "parked", "path", "run", "scope", "since", "timer", "tries",
        "try_timer",
    )  # fmt: skip
    is_turn = False  # it is something that its run waits for, see `runtime/inside.py`, but not a turn

    def __init__(
        self,
        command: Call[object] | After[object],
        scope: Scope,
        group: Group | None,
        path: Path,
        origin: Origin,
        coroutine: object = None,
    ) -> None:
        self.command = command
        self.scope = scope
        self.group = group
        self.path = path
        self.origin = origin
        key = command.how.key if type(command) is Call else command.key
        self.key: Hashable = None if key is None else keyed(scope, key)
        self.coroutine = coroutine  # of a function that was called in the turn and returned something to await
        self.over = False  # it has ended, or was cancelled: what it still brings is ignored
        self.parked = False  # it waits for its next try
        self.run: object = None  # what runs its function, while that has not returned
        self.tries = 0  # how many of its tries have failed
        self.since: float | None = None  # when it was launched, or has begun to wait, of the monotonic clock
        self.timer: Timer | None = None  # its own, or that of its timeout
        self.try_timer: Timer | None = None  # of the wait for its next try

    def cancel_timers(self) -> None:
        """Make its timers do nothing."""
        if self.timer is not None:
            self.timer.cancel()
        if self.try_timer is not None:
            self.try_timer.cancel()

    def is_of(self, run: object) -> bool:
        """Return whether its function is running for the run, and the calling code so a part of that."""
        return self.run is run

    @property
    def name(self) -> str:
        """Its effect id."""
        return f"{self.origin.name}/{written(self.path)}"

    @property
    def call(self) -> Call[object]:
        """Its command, when it is a call."""
        assert isinstance(self.command, Call)
        return self.command

    def close_coroutine(self) -> None:
        """Close the coroutine of a call that will not be awaited."""
        coroutine, self.coroutine = self.coroutine, None
        close = getattr(coroutine, "close", None)
        if close is not None:
            close()

    def __repr__(self) -> str:
        return f"<Effect {self.name}: {self.command}>"


class Cancelling(NamedTuple):
    """The end of the command with a key, or, if the key is None, of all in a scope."""

    scope: Scope
    key: Hashable


Step: TypeAlias = Effect | Cancelling
"""What a turn's commands begin or end, once the turn is committed."""


class Keys(Protocol):
    """What the interpreter asks the scheduler."""

    def is_taken(self, key: Hashable) -> bool:
        """Return whether an effect with the key is running, or waits to be started."""
        ...

    def keys_in(self, scope: Scope) -> Iterable[Hashable]:
        """Return the keys of a scope that are taken."""
        ...


class Marks(Protocol):
    """Where a durable run notes which effects are running."""

    def opened(self, name: str) -> None:
        """Note an effect, before its turn is committed."""
        ...

    def ended(self, names: Sequence[str]) -> None:
        """Remove the notes of effects, when what they have sent is in the queue."""
        ...


class Held:
    """What a turn begins and ends once it is committed, in order; a turn that is rolled back has begun nothing."""

    def __init__(self, keys: Keys) -> None:
        self.steps: list[Step] = []  #: always the same list
        self.keys: dict[Hashable, bool] = {}  #: whether what is held takes the key, or gives it up
        self.marks: Marks | None = None
        self._keys = keys

    def hold(self, effect: Effect) -> Outcome:
        """Hold what goes on after the turn."""
        self.steps.append(effect)
        if effect.key is not None:
            self.keys[effect.key] = True
        if self.marks is not None:
            self.marks.opened(effect.name)
        return Outcome.RUNNING

    def hold_cancelling(self, cancelling: Cancelling) -> None:
        """Hold the end of the command with a key, or of all in a scope."""
        self.steps.append(cancelling)
        if cancelling.key is not None:
            self.keys[cancelling.key] = False
            return
        scope = cancelling.scope
        given_up = [*self._keys.keys_in(scope), *(key for key in self.keys if is_in(key, scope))]
        self.keys.update(dict.fromkeys(given_up, False))

    def is_taken(self, key: Hashable) -> bool:
        """Return whether an effect has the key, or will have it once the turn is committed."""
        held = self.keys.get(key)
        return self._keys.is_taken(key) if held is None else held

    def clear(self) -> None:
        """Hold nothing any more."""
        self.steps.clear()
        if self.keys:
            self.keys.clear()

    def drop(self) -> list[Effect]:
        """Hold nothing any more, and return the effects that were held; coroutines among them are closed."""
        dropped = [each for each in self.steps if isinstance(each, Effect)]
        self.clear()
        for effect in dropped:
            effect.close_coroutine()
        return dropped


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
