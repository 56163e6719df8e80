"""The types of a program: what the annotations of its update and init say that the model and the messages are."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeVar

from go_state.core.errors import NotStorable
from go_state.core.migrations import Migration
from go_state.core.program import Program, is_without_commands
from go_state.storage.types.annotations import TypeForm, origin_of

Model = TypeVar("Model")
Msg = TypeVar("Msg")
Function: TypeAlias = Callable[..., object]


def model_type(program: Program[Model, Msg]) -> TypeForm:
    """Return the type of the model: what update's first parameter says, or else what init returns or is."""
    update = _written(program.update)
    parameters = _given_at_a_call(program.update)
    hints = _hints(update)
    if parameters and parameters[0] in hints:
        return hints[parameters[0]]
    init = _written(program.init)
    if isinstance(init, type):
        return init
    returned = _hints(init).get("return")
    if origin_of(returned) is tuple:  # what Step[Model, Msg] stands for
        return typing.get_args(returned)[0]
    if returned is not None and is_without_commands(program):  # init of a reducer returns the model alone
        return returned
    raise NotStorable(
        getattr(update, "__qualname__", "update"),
        "its first parameter has no annotation that says what the model is: write update(model: Model, msg: Msg), or give codec=gs.JsonCodec(Model)",
    )


def message_type(program: Program[Model, Msg]) -> TypeForm:
    """Return the type of the messages: what update's second parameter says."""
    update = _written(program.update)
    parameters = _given_at_a_call(program.update)
    hints = _hints(update)
    if len(parameters) > 1 and parameters[1] in hints:
        return hints[parameters[1]]
    raise NotStorable(
        getattr(update, "__qualname__", "update"),
        "its second parameter has no annotation that says what the messages are: write update(model: Model, msg: Msg)",
    )


def migrations_of(program: Program[Model, Msg]) -> Mapping[int, Migration]:
    """Return the program's migrations, each of which its constructor has made a `Migration`."""
    return {number: each for number, each in program.migrations.items() if isinstance(each, Migration)}


def _written(fn: Function) -> Function:
    """Return the function as it was written, without decorators and without `functools.partial` around it."""
    while True:
        inner = inspect.unwrap(fn)
        inner = inner.func if isinstance(inner, functools.partial) else inner
        if inner is fn:
            return fn
        fn = inner


def _given_at_a_call(fn: Function) -> list[str]:
    """Return the names of the parameters that a call by position fills, in order; a partial has filled the others."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [name for name, each in inspect.signature(inspect.unwrap(fn)).parameters.items() if each.kind in positional]


def _hints(fn: Function) -> dict[str, TypeForm]:
    target = fn if inspect.isroutine(fn) else getattr(type(fn), "__call__", fn)  # noqa: B004  - its annotations, not whether it is callable
    try:
        return typing.get_type_hints(target)
    except NameError as error:
        raise NotStorable(
            getattr(fn, "__qualname__", repr(fn)),
            f"its annotations name {error.name!r}, which its module does not define: define it there, or give codec=gs.JsonCodec(...)",
        ) from error
    except (AttributeError, SyntaxError) as error:
        raise NotStorable(
            getattr(fn, "__qualname__", repr(fn)),
            f"one of its annotations cannot be evaluated ({type(error).__name__}): mend it, or give codec=gs.JsonCodec(...)",
        ) from error
    except TypeError:
        return {}
