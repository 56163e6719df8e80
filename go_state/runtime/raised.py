"""What users' functions may raise, and what becomes of it; the same in a thread and on an event loop.

An ordinary exception is a failure. Two exceptions ask for the end of the process, and four belong to Python itself, which uses them to
cancel a task and to end an iterator; none of the six may end a program in silence.

    raised by                              ordinary          KeyboardInterrupt,      CancelledError, StopIteration,
                                           exception         SystemExit              StopAsyncIteration, GeneratorExit
    update, inline commands, their ok=     rolled back;      rolled back, the run    rolled back, as a ProgramError
    and err=, middleware before its yield  err=, or else     ends and raises it      on_error decides
                                           on_error decides
    commands in tasks and threads, and     err=, or else     the run ends and        as a ProgramError on_error decides
    their ok= and err=                     on_error decides  raises it
    streams and messages of subscriptions  on_error decides  the run ends and        as a ProgramError on_error decides
                                                             raises it
    view, subscriptions(), middleware      the run ends and  the run ends and        the run ends and raises a
    after its yield, init, on_restore,     raises it         raises it               ProgramError
    on_error, sources, queues of your own

The `ProgramError` has the exception as its `__cause__`. An iterator or an async iterator ends by its Stop exception as everywhere, and
where Python has made a RuntimeError of one, as it does in generators and coroutines, that counts as the exception itself. A run *raises*
what ends it in whoever called `run`, `batch` or `aggregate`, or leaves the `with` block of an app. A cancel of ours (`Cmd.cancel`, a
timeout, the end of the run), or of the task that a run is part of, is a cancel and no failure.
"""

from __future__ import annotations

import sys

from go_state.core.errors import ProgramError

_ENDS_OF_ITERATORS = (StopIteration, StopAsyncIteration)


def as_failure(error: BaseException, raiser: str = "a function of the program") -> BaseException:
    """Return what an exception of a user's function counts as: itself, or a `ProgramError` for one that belongs to Python."""
    leaked = _leaked(error)
    if leaked is None:
        return error
    failure = ProgramError(
        f"{raiser} raised {type(leaked).__name__}, although nobody had cancelled it and no iterator ends there: catch it where it "
        f"arises, and raise an error that says what has failed"
    )
    failure.__cause__ = error
    return failure.with_traceback(error.__traceback__)


def is_cancellation(error: BaseException) -> bool:
    """Return whether it is asyncio's CancelledError; without asyncio nobody can have raised that."""
    asyncio = sys.modules.get("asyncio.exceptions")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


def _leaked(error: BaseException) -> BaseException | None:
    """Return the exception that belongs to Python, if it is one or what Python has made of one."""
    if isinstance(error, (*_ENDS_OF_ITERATORS, GeneratorExit)) or is_cancellation(error):
        return error
    made_by_python = type(error) is RuntimeError and str(error).endswith(("raised StopIteration", "raised StopAsyncIteration"))
    return error.__cause__ if made_by_python and isinstance(error.__cause__, _ENDS_OF_ITERATORS) else None


def text_of(error: BaseException) -> str:
    """Return the text of a user's exception; of one that raises when it is asked for that, its kind."""
    try:
        return str(error)
    except Exception as second:
        return f"a {type(error).__qualname__}, whose text raises a {type(second).__qualname__}"
