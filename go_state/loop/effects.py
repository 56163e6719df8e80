"""Performing a turn's commands, and collecting the messages they send. `None` is no command and no message."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Any

from go_state.core.commands import Call, Cmd, Failure, Map, Reply, Send, checked_commands, not_a_command
from go_state.core.errors import ProgramError, UsageError


def perform(commands: object) -> Sequence[Any]:
    """Perform the commands in order and return their messages in order, the empty tuple for none.

    An exception of a command passes on: the turn is rolled back and none of its messages enters the queue.
    """
    messages: list[Any] = []
    for command in checked_commands(commands):
        if command is not None:
            for message in command.messages if type(command) is Send else _perform_one(command):
                if message is not None:
                    messages.append(message)  # noqa: PERF401  - a third faster than a comprehension for one message, the usual number
    return messages or ()


_effect: ContextVar[str] = ContextVar("go_state_effect")
replies: ContextVar[list[object] | None] = ContextVar("go_state_replies", default=None)  # of the turn under way, in an app


def perform_known(commands: object, turn: str) -> Sequence[Any]:
    """Perform the commands of a turn that has a name for good, each of which can ask for its `effect_id`."""
    messages: list[Any] = []
    for number, command in enumerate(checked_commands(commands)):
        token = _effect.set(f"{turn}/{number}")
        try:
            messages += perform((command,))
        finally:
            _effect.reset(token)
    return messages or ()


def effect_id() -> str:
    """Return a name for what the command under way does, the same at every repetition of it, for others to know it again by.

    A command of a durable run may be performed again after a crash: give this as the idempotency key of a payment, or the id of a
    mail. Raises `UsageError` outside a command, and in a run that keeps no journal, where nothing is repeated.
    """
    try:
        return _effect.get()
    except LookupError:
        raise UsageError(
            "effect_id() is known inside a command of a durable run: gs.run(program, store=..., key=...)"
        ) from None


def _perform_one(command: object) -> Iterable[Any]:
    match command:
        case Send(messages):
            return messages
        case Call():
            return (_call(command),)
        case Reply(value):
            if (asked := replies.get()) is not None:
                asked.append(value)
            return ()
        case Map(child, wrap, leading):
            return [wrap(*leading, message) for message in perform((child,))]
        case Cmd():
            raise not_a_command(command)
    if not callable(command):
        raise not_a_command(command)
    return (_plain(command(), command),)


def _call(call: Call[Any]) -> Any:
    try:
        result = _plain(call.fn(*call.args), call.fn)
    except Exception as error:
        if call.err is None or isinstance(error, ProgramError):
            raise
        return call.err(Failure(type(error).__name__, str(error)))
    return result if call.ok is None else call.ok(result)


def _plain(result: object, fn: object) -> object:
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise ProgramError(
            f"the command {getattr(fn, '__qualname__', fn)!s} returned an awaitable: commands run inline, in the turn, and give "
            f"their message at once; do the waiting in a task or thread of your own and put its result into the buffer"
        )
    return result
