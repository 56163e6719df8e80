"""Depth: what could be written can be read, however deep the stack of the caller is.

Values that may be nested to any depth are turned into JSON and back by functions that call themselves, and Python limits the depth
of each thread's stack. So a call that does not fit into the rest of the caller's stack is made again on an empty one.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
Argument = TypeVar("Argument")
Result = TypeVar("Result")

_RESERVE = 24  # frames that reading must leave free when it is tried at writing: more than are above it in any other place


def with_room(call: Callable[P, Result], *args: P.args, **named: P.kwargs) -> Result:
    """Call the function here, or, if the stack has no room for it, in a new thread, and wait for it."""
    try:
        return call(*args, **named)
    except RecursionError:
        pass
    return on_empty_stack(call, *args, **named)


def on_empty_stack(call: Callable[P, Result], *args: P.args, **named: P.kwargs) -> Result:
    """Call the function in a new thread and the caller's context, and return its result or raise its error."""
    results: list[Result] = []
    errors: list[BaseException] = []
    context = contextvars.copy_context()

    def work() -> None:
        try:
            results.append(context.run(call, *args, **named))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="go_state room", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def with_reserve(call: Callable[[Argument], Result], arg: Argument, frames: int = _RESERVE) -> Result:
    """Call the function with `frames` frames less of the stack than there are."""
    return call(arg) if frames == 0 else with_reserve(call, arg, frames - 1)
