"""Commands: what a program wants done, as values.

A turn returns commands beside its model. They are equal when they ask for the same, print what they ask for, and do nothing by
themselves: `loop.effects` performs them. A bare callable without arguments is a command too, and `None` is none.

>>> Cmd.send("tick")
Send(messages=('tick',))
>>> Cmd.call(len, "four", ok=str)
Call(fn=<built-in function len>, args=('four',), ok=<class 'str'>, err=None)
>>> Cmd.map([Cmd.send("tick"), None], dict.fromkeys)
[Map(command=Send(messages=('tick',)), wrap=<built-in method fromkeys of type object at 0x...>, leading=()), None]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar, Union, overload

from go_state.core.errors import ProgramError

Msg = TypeVar("Msg", covariant=True)
Child = TypeVar("Child")
Result = TypeVar("Result")
Sent = TypeVar("Sent")


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failed call says, as a value that a message can carry: the exception's class name and its text."""

    kind: str
    text: str


class Cmd(Generic[Msg]):
    """A command whose messages are `Msg`; made by the functions below, matched by the classes under them."""

    __slots__ = ()

    @staticmethod
    def send(*messages: Sent) -> Cmd[Sent]:
        """Send the messages, in order, to the program itself: they enter the queue after all that is already there."""
        return Send(messages)

    @staticmethod
    def reply(value: object) -> Cmd[Any]:
        """Answer whoever sent this turn's message by `app.ask`, once the turn is committed; nobody, where it was not asked."""
        return Reply(value)

    @overload
    @staticmethod
    def call(
        fn: Callable[..., Sent | None], *args: object, err: Callable[[Failure], Sent | None] | None = ...
    ) -> Cmd[Sent]: ...
    @overload
    @staticmethod
    def call(
        fn: Callable[..., Result],
        *args: object,
        ok: Callable[[Result], Sent | None],
        err: Callable[[Failure], Sent | None] | None = ...,
    ) -> Cmd[Sent]: ...
    @staticmethod
    def call(
        fn: Callable[..., Any],
        *args: object,
        ok: Callable[[Any], Any] | None = None,
        err: Callable[[Failure], Any] | None = None,
    ) -> Cmd[Any]:
        """Call `fn(*args)` inside the turn; `ok(result)` is the message, or without `ok` the result itself.

        An exception of `fn` becomes the message `err(Failure(kind, text))`; without `err` it rolls the turn back.
        """
        for role, given in (("fn", fn), ("ok", ok), ("err", err)):
            if not callable(given) and (given is not None or role == "fn"):
                hint = ": pass the function itself, and its arguments after it" if role == "fn" else ""
                raise ProgramError(f"{role} of Cmd.call is a function, not a {type(given).__qualname__}{hint}")
        return Call(fn, args, ok, err)

    @staticmethod
    def map(commands: Iterable[Command[Child]] | None, wrap: Callable[..., Sent], *leading: object) -> list[Command[Sent]]:
        """Make a child's commands the parent's: each message `m` becomes `wrap(*leading, m)`.

        The list has the length of the child's, `None` stays `None`, and a child that sends nothing still sends nothing.
        """
        if not callable(wrap):
            raise ProgramError(f"Cmd.map wraps each message by a function or class, not by a {type(wrap).__qualname__}")
        return [None if command is None else Map(command, wrap, leading) for command in checked_commands(commands)]


Command: TypeAlias = Union[Cmd[Msg], Callable[[], Union[Msg, None]], None]
"""What a turn may return: a command value, a callable that returns a message or `None`, or `None`."""


@dataclass(frozen=True, slots=True)
class Send(Cmd[Msg]):
    """Messages to the program itself."""

    messages: tuple[Msg, ...]


@dataclass(frozen=True, slots=True)
class Reply(Cmd[Any]):
    """An answer to whoever asks."""

    value: object


@dataclass(frozen=True, slots=True)
class Call(Cmd[Msg]):
    """A function to call inside the turn."""

    fn: Callable[..., Any]  # any result: what it gives is the business of ok
    args: tuple[object, ...]
    ok: Callable[[Any], Msg | None] | None
    err: Callable[[Failure], Msg | None] | None


@dataclass(frozen=True, slots=True)
class Map(Cmd[Msg]):
    """A child's command, whose messages are wrapped for the parent."""

    command: Cmd[Any] | Callable[[], Any]  # the child's message type is gone once wrapped
    wrap: Callable[..., Msg]
    leading: tuple[object, ...]


def not_a_command(found: object) -> ProgramError:
    """Return the error that says what is among the commands and is none, and how a command is made."""
    kind = type(found).__qualname__
    if isinstance(found, Cmd):
        return ProgramError(f"{kind} is not one of go_state's commands: use Cmd.call for your own effects")
    return ProgramError(
        f"a {kind} is among the commands: a command is made by gs.Cmd, or is a callable without arguments, or None (to send a "
        f"message to the program itself, return gs.Cmd.send(message))"
    )


def checked_commands(commands: object) -> Sequence[Any]:
    """Return the commands of a step as they are, `None` as none, or raise a `ProgramError` that says how they are written."""
    if isinstance(commands, (list, tuple)):
        return commands
    if commands is None:
        return ()
    kind = type(commands).__qualname__
    if callable(commands) or isinstance(commands, Cmd):
        raise ProgramError(f"one command was returned alone, a {kind}: return a list of them, `return model, [command]`")
    raise ProgramError(
        f"the second part of a step is a list or tuple of commands, not a {kind}: `return model, [command]`, or ()"
    )
