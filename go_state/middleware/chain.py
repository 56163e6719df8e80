"""Middleware: functions folded around update, that look at what it proposes before it is committed, and at what became of it.

A *generator* is called with each `Proposal`. Up to its `yield` it is part of the program: it decides, changes nothing and waits for
nothing, and is replayed. It yields nothing to agree, another model to change what is proposed, `Final(model)` to pass over the
middleware after it, or raises `Denied`. The `yield` returns what became of it: the committed model, or the denial. What comes after is
an effect: it is not replayed, and what the generator returns is awaited if it can be. A *wrapper* is given an update and returns
another.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar, cast

from go_state.core.commands import Command
from go_state.core.errors import Denied, ProgramError
from go_state.core.program import Program, Step, read_step
from go_state.core.turn import Turn
from go_state.runtime.flow.waits import Answer, Wait
from go_state.runtime.inside import Part, in_turn, parts
from go_state.runtime.steps import Steps

Model = TypeVar("Model")
Msg = TypeVar("Msg")


Asked: TypeAlias = Generator[Any, object, object]  # Any: it may yield a model, of whichever program
"""A middleware that was called with a proposal, up to its yield."""

Layer: TypeAlias = Callable[[Model, Msg, Turn], Step[Model, Msg]]
"""An update with middleware around it; what it returns is a step only once it was looked at."""

_NO_PART = Part(None, is_turn=True)  # of a run that nobody waits for from within


class Proposal(NamedTuple, Generic[Model, Msg]):
    """A turn that is not committed: the message, the model as it is, the one that is proposed, its commands, and the turn.

    A middleware is a generator that is called with it. Up to its `yield` it is part of the program: it decides, changes nothing and
    waits for nothing, and is replayed. It yields nothing to agree, another model to change what is proposed, `Final(model)` to pass
    over the middleware after it, or raises `gs.Denied`. The `yield` returns what became of it: the committed model, or the denial.
    What comes after is an effect: it is not replayed, and what the generator returns is awaited if it can be. A middleware may also be
    a function that is given an update and returns another.
    """

    message: Msg
    model: Model
    proposed: Model
    commands: Sequence[Command[Msg]]
    turn: Turn


class Final(NamedTuple, Generic[Model]):
    """The model to commit without asking the middleware that comes after."""

    model: Model


class Chain(Generic[Model, Msg]):
    """The middleware of one run, around its update."""

    def __init__(self, program: Program[Model, Msg]) -> None:
        self.denied: Denied | None = None  #: what the turn that is being taken was denied with
        self.message: object = None  #: of that turn
        self.run: object = None  #: what the turns are of, if tasks that are begun after one may wait for it
        self._final: Step[Model, Msg] | None = None
        self._open: list[Asked] = []  # of the turn that is being taken: suspended at their yield
        self._due: list[tuple[list[Asked], object]] = []  # of turns that are committed and not shown, with the outcome of each
        own = program.update
        layer: Layer[Model, Msg] = own if program.takes_turn else lambda model, message, _turn: own(model, message)
        for middleware in program.middleware:
            asks = inspect.isgeneratorfunction(_function(middleware))
            layer = self._asking(cast("Callable[..., Asked]", middleware), layer) if asks else self._wrapping(middleware(layer))
        self._outermost = layer

    def _wrapping(self, wrapped: object) -> Layer[Model, Msg]:
        if not callable(wrapped):
            raise ProgramError(
                f"a middleware is a generator function of a proposal, or takes an update and returns one, and not a {type(wrapped).__qualname__}"
            )

        update: Callable[..., Any] = wrapped  # what it returns is a step only once it was looked at

        def layer(model: Model, message: Msg, turn: Turn) -> Step[Model, Msg]:
            step = update(model, message, turn)
            return step if self._final is None else self._final

        return layer

    def _asking(self, middleware: Callable[..., Asked], inner: Layer[Model, Msg]) -> Layer[Model, Msg]:
        def layer(model: Model, message: Msg, turn: Turn) -> Step[Model, Msg]:
            step = inner(model, message, turn)
            if self._final is not None:
                return self._final
            proposed, commands = read_step(step, "update")
            asked = middleware(Proposal(message, model, proposed, () if commands is None else commands, turn))
            try:
                answer = next(asked)
            except StopIteration:
                return step  # it has looked, and does not care what becomes of it
            self._open.append(asked)
            if isinstance(answer, Final):
                self._final = answer.model, commands
                return self._final
            return step if answer is None else (answer, commands)

        return layer

    def update(self, model: Model, message: Msg, turn: Turn) -> Step[Model, Msg]:
        """Return the step that update and the middleware make; if it is denied, the model as it is."""
        self.forget()
        self.message = message
        try:
            return self._outermost(model, message, turn)
        except Denied as denied:
            self.denied = denied
            return model, ()

    def forget(self) -> None:
        """Close what is left of a turn that was rolled back, or replayed."""
        self.denied = self._final = None
        left, self._open = self._open, []
        for asked in left:
            asked.close()

    def roll_back(self, error: Exception) -> None:
        """Close what the turn that has failed with the error has left, before the next one begins, which has nothing to do with it."""
        self.denied = self._final = None
        left, self._open = self._open, []
        for asked in left:
            try:
                asked.close()
            except Exception as second:
                error.add_note(f"a middleware has failed as well when it was closed: {type(second).__qualname__}")

    def steps(self, program: Program[Model, Msg]) -> Steps[Model, Msg]:
        """Return the program's steps with the middleware folded around update."""
        return Steps(program.init, self.update, takes_turn=True, roll_back=self.roll_back)

    # ------------------------------------------------------------------ after the commit

    def committed(self, model: Model) -> Wait | None:
        """Resume the turn's middleware with what became of it; return what is to be waited for."""
        self.turned(model)
        return self.shown()

    def turned(self, model: Model) -> None:
        """Called when the turn is committed, with its model, which may not be shown yet."""
        if self._open:
            self._due.append((self._open, model if self.denied is None else self.denied))
            self._open = []

    def shown(self) -> Wait | None:
        """Resume the middleware of the turns that may be shown, in order; return what is to be waited for."""
        due, self._due = self._due, []
        waits: list[Awaitable[object]] = []
        if not due or self.run is None:
            _resume(due, waits)
            return Answer(_OneAfterAnother(waits, _NO_PART), "a middleware") if waits else None
        with in_turn(self.run) as part:
            _resume(due, waits)
        part.over = not waits  # it goes on, with what is waited for
        return Answer(_OneAfterAnother(waits, part), "a middleware") if waits else None


def _resume(due: list[tuple[list[Asked], object]], waits: list[Awaitable[object]]) -> None:
    """Resume the middleware of each turn with what became of it; add what they return to be waited for."""
    for middleware, outcome in due:
        for asked in middleware:
            try:
                asked.send(outcome)
            except StopIteration as end:
                if end.value is not None and inspect.isawaitable(end.value):
                    waits.append(end.value)
            else:
                asked.close()
                raise ProgramError("a middleware yields once, and this one has yielded again")


class _OneAfterAnother:
    """What several middleware have returned, to be awaited in order; all of it is a part of their turn."""

    def __init__(self, waits: list[Awaitable[object]], part: Part) -> None:
        self._waits = waits
        self._part = part

    def __await__(self) -> Generator[Any, Any, None]:  # as asyncio has it
        before = parts.get()
        parts.set((*before, self._part))
        try:
            for wait in self._waits:
                yield from wait.__await__()
        finally:
            self._part.over = True
            if self._part in parts.get():  # unless somebody else has closed it, in a context of their own
                parts.set(before)

    def close(self) -> None:
        """Give up on those that are coroutines."""
        self._part.over = True
        for wait in self._waits:
            if inspect.iscoroutine(wait):
                wait.close()


def _function(middleware: Callable[..., object]) -> Callable[..., object]:
    """Return what is called, of a function or of an object with `__call__`."""
    middleware = inspect.unwrap(middleware)
    return middleware if inspect.isroutine(middleware) else type(middleware).__call__


def chain_of(program: Program[Model, Msg]) -> Chain[Model, Msg] | None:
    """Return the program's middleware for one run; None for a program that has none."""
    return Chain(program) if program.middleware else None


def replayed(program: Program[Model, Msg]) -> Program[Model, Msg]:
    """Return the program as a replay runs it: what its middleware does after the yield is not done."""
    if not program.middleware:
        return program
    return replace(program, update=Folded(program), middleware=())


class Folded(Generic[Model, Msg]):
    """An update with middleware around it: it takes the turn, and has the annotations of the program's own.

    It is for one thread at a time; `anew` makes one for another.
    """

    __slots__ = ("__wrapped__", "_chain", "_program", "denied")
    __signature__ = inspect.signature(Chain.update).replace(
        parameters=list(inspect.signature(Chain.update).parameters.values())[1:]
    )

    def __init__(self, program: Program[Model, Msg]) -> None:
        self.denied: Denied | None = None  #: what the last message was denied with
        self._program = program
        self._chain: Chain[Model, Msg] = Chain(program)
        self.__wrapped__ = program.update

    def anew(self) -> Folded[Model, Msg]:
        """Return another one of the same program."""
        return Folded(self._program)

    def __call__(self, model: Model, message: Msg, turn: Turn) -> Step[Model, Msg]:
        chain = self._chain
        step = chain.update(model, message, turn)
        self.denied = chain.denied
        chain.forget()
        return step
