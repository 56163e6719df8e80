"""Depth: what could be written can be read, however deep the stack of the caller is.

Values that may be nested to any depth are turned into JSON and back by functions that call themselves, and Python bounds how
deep a stack may be, for each thread. So what does not fit into the rest of the caller's stack is done on an empty one.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")

_RESERVE = 24  # frames that reading must leave free when it is tried at writing: more than stand above it in any other place


def with_room(call: Callable[..., Result], *args: Any) -> Result:
    """Call the function here, or where the stack has no room for it, on that of a new thread, waiting for its end."""
    try:
        return call(*args)
    except RecursionError:
        pass
    return on_empty_stack(call, *args)


def on_empty_stack(call: Callable[..., Result], *args: Any) -> Result:
    """Call the function in a new thread and the caller's context, and return its result or raise its error."""
    results: list[Result] = []
    errors: list[BaseException] = []
    context = contextvars.copy_context()

    def work() -> None:
        try:
            results.append(context.run(call, *args))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="go_state room", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def with_reserve(call: Callable[[Any], Result], arg: Any, frames: int = _RESERVE) -> Result:
    """Call the function with so many frames less of the stack than there are."""
    return call(arg) if frames == 0 else with_reserve(call, arg, frames - 1)
