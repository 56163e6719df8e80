"""A program: `init`, a pure `update`, and what belongs to it. It is a value and runs nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Never, TypeAlias, TypeVar, Union

from go_state.core.commands import Command
from go_state.core.errors import ProgramError, UsageError
from go_state.core.migrations import Convert, Migration, checked_migrations
from go_state.core.subscriptions import Sub
from go_state.core.turn import Turn

Model = TypeVar("Model")
Msg = TypeVar("Msg")
Made = TypeVar("Made")

Commands: TypeAlias = Sequence[Command[Msg]] | None
Step: TypeAlias = tuple[Model, Sequence[Command[Msg]] | None]
"""What `init` and `update` return: the model, and a list or tuple of commands (`()` for none)."""

Init: TypeAlias = Callable[..., Step[Model, Msg]]  # () or, for one model per key, (key)
Update: TypeAlias = Union[Callable[[Model, Msg], Step[Model, Msg]], Callable[[Model, Msg, Turn], Step[Model, Msg]]]
View: TypeAlias = Callable[[Model], object]


@dataclass(frozen=True)  # without slots, of which Python 3.11 cannot call Program[Model, Msg](...)
class Program(Generic[Model, Msg]):
    """What to start with and how each message changes it.

    `init()` gives the first model and commands; in a keyed aggregate it may take the key. `update(model, msg)` gives the next
    model and commands; it changes nothing and waits for nothing, and may take a third argument, the `Turn`. `view(model)` is
    called with each committed model. `subscriptions(model)` says which inputs the program wants while its model is this one.
    `on_restore(model)` gives the commands of a program that continues from a snapshot, which runs no `init`. `name` and
    `schema` are stored with each snapshot and message; what has another name or a newer schema raises `Incompatible`, and what has
    an older one goes through `migrations`, by the schema number they lead away from: `{1: f, 2: Migration(...)}`. `revision`
    grows when update is to make something else of the same messages: `verify` then checks from its first snapshot on. A `strict`
    program raises `ProgramError` when update changes the model that it is given; a turn costs what it builds more,
    because new lists, dicts and sets become read-only ones.

    `middleware` is folded around update, in order; see `gs.middleware.Proposal` for how one is written.

    Raises `ProgramError` when one of them cannot be called as it will be.
    """

    if TYPE_CHECKING:  # what a checker sees: `update` may be given with two parameters or three, and is called with either

        def __init__(
            self,
            init: Init[Model, Msg],
            update: Update[Model, Msg],
            *,
            view: View[Model] | None = None,
            subscriptions: Callable[[Model], Iterable[Sub[Msg]] | None] | None = None,
            on_restore: Callable[[Model], Commands[Msg]] | None = None,
            name: str = "",
            schema: int = 1,
            migrations: Mapping[int, Migration | Convert] = {},
            revision: int = 1,
            strict: bool = False,
            middleware: Sequence[Callable[..., object]] = (),
        ) -> None: ...

    init: Init[Model, Msg]
    update: Callable[..., Step[Model, Msg]]
    view: View[Model] | None = field(default=None, kw_only=True)
    subscriptions: Callable[[Model], Iterable[Sub[Msg]] | None] | None = field(default=None, kw_only=True)
    on_restore: Callable[[Model], Commands[Msg]] | None = field(default=None, kw_only=True)
    name: str = field(default="", kw_only=True)
    schema: int = field(default=1, kw_only=True)
    migrations: Mapping[int, Migration | Convert] = field(default_factory=dict, kw_only=True, hash=False)
    revision: int = field(default=1, kw_only=True)
    strict: bool = field(default=False, kw_only=True)
    middleware: Sequence[Callable[..., object]] = field(default=(), kw_only=True)
    takes_turn: bool = field(init=False, repr=False, compare=False)  # decided once, here

    def __post_init__(self) -> None:
        _check("init", self.init, "() or (key)", 0, 1)
        object.__setattr__(self, "takes_turn", _check("update", self.update, "(model, msg) or (model, msg, turn)", 2, 3) == 3)
        for word, number, of in (
            ("schema", self.schema, "of the model"),
            ("revision", self.revision, "of what update makes of it"),
        ):
            if type(number) is not int or number < 1:
                raise UsageError(f"{word} is a whole number from 1 that grows with each change {of}, not {number!r}")
        object.__setattr__(self, "migrations", checked_migrations(self.schema, self.migrations))
        if self.view is not None:
            _check("view", self.view, "(model)", 1)
        if self.subscriptions is not None:
            _check("subscriptions", self.subscriptions, "(model)", 1)
        if self.on_restore is not None:
            _check("on_restore", self.on_restore, "(model)", 1)
        object.__setattr__(self, "middleware", tuple(self.middleware))
        for each in self.middleware:
            if not callable(each) or inspect.isasyncgenfunction(each):
                raise ProgramError(
                    "a middleware is a generator function, which decides before its yield and does not wait: make it a plain def, and "
                    "return what is to be awaited after the yield"
                )
        if self.strict:
            from go_state.core.strict.guard import guarded  # here: the guard is for tests and for programs that ask for it

            object.__setattr__(self, "update", guarded(self.update))


SomeProgram: TypeAlias = Program[Any, Any]
"""A program of which it does not matter here what its models and messages are: what is given by name, listed or described."""


def reducer(
    init: Callable[..., Model],
    update: Union[Callable[[Model, Msg], Model], Callable[[Model, Msg, Turn], Model]],
    *,
    view: View[Model] | None = None,
    name: str = "",
    schema: int = 1,
) -> Program[Model, Msg]:
    """Make a program without commands: `init()` is the first model, and `update(model, msg)` returns the next one.

    `view`, `schema` and what else it takes by name are those of `Program`.

    >>> counter = reducer(int, lambda count, by: count + by)
    >>> counter.update(1, 2)
    (3, ())
    """
    _check("init", init, "() or (key)", 0, 1)
    _check("update", update, "(model, msg) or (model, msg, turn)", 2, 3)
    return Program(_WithoutCommands(init), _WithoutCommands(update), view=view, name=name, schema=schema)


class _WithoutCommands(Generic[Made]):
    """A function that returns a model alone, as one that returns a step."""

    __slots__ = ("__wrapped__",)

    def __init__(self, fn: Callable[..., Made]) -> None:
        self.__wrapped__ = fn  # the name by which inspect and typing find the annotations of the user's function

    def __call__(self, *args: object) -> Step[Made, Never]:
        return self.__wrapped__(*args), ()

    def __repr__(self) -> str:
        return f"reducer({self.__wrapped__!r})"


def is_without_commands(program: Program[Model, Msg]) -> bool:
    """Return whether `reducer` has made the program: its init and update return a model alone."""
    return isinstance(program.init, _WithoutCommands)


def _check(role: str, fn: object, shape: str, *counts: int) -> int:
    """Return the first of the counts of arguments that the function takes; `ProgramError` when it takes none of them."""
    if not callable(fn):
        raise ProgramError(f"{role} is a function {role}{shape}, not {type(fn).__name__}: pass the function itself")
    if inspect.iscoroutinefunction(fn):
        raise ProgramError(
            f"{role} is a coroutine function; it decides and does not wait: make it a plain def and return the waiting as a command"
        )
    try:
        signature = inspect.signature(fn)
    except (ValueError, TypeError):  # some builtins have none; then only a call can tell
        return counts[0]
    for count in counts:
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count
    raise ProgramError(
        f"{role} is called as {role}{shape}, and {getattr(fn, '__qualname__', fn)!s}{signature} does not take that"
    )


def takes_key(program: Program[Model, Msg]) -> bool:
    """Return whether `init` asks for the key of the model that it starts."""
    fn = inspect.unwrap(program.init)
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (ValueError, TypeError):
        return False
    return any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters)


def read_step(step: Step[Model, Msg], role: str) -> Step[Model, Msg]:
    """Return the step's model and commands, or raise a `ProgramError` that says how a step is written."""
    if type(step) is tuple and len(step) == 2:
        return step
    raise not_a_step(step, role)


def not_a_step(step: object, role: str) -> ProgramError:
    """Return the error for a return value that is not a step: it says what was returned, and how a step is written."""
    if step is None:
        found = f"{role} returned None: a branch without a return?"
    elif isinstance(step, tuple) and len(step) != 2:
        found = f"{role} returned a tuple of {len(step)}"
    elif inspect.isawaitable(step):
        found = f"{role} returned an awaitable; it decides and does not wait"
    else:
        found = f"{role} returned a {type(step).__qualname__}"
    return ProgramError(
        f"{found}; it returns the model and its commands, `return model, ()` (or use gs.reducer for a program without commands)"
    )
