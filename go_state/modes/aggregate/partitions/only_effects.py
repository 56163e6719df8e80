"""Commands that have effects and bring no messages: what is asked of a program whose model has to follow from its stream alone.

A command that is sure to bring one is refused when update returns it, and one whose function may, when that has returned something.
`Cmd.send` follows from the message of its turn, and comes again with it; not so behind a call in a `Cmd.seq`, for which it waits, or of
`on_restore`, which is called wherever a model is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from go_state.core.call_options import PLAIN
from go_state.core.commands import After, All, Call, Cmd, Command, Map, Send, Seq
from go_state.modes.aggregate.partitions.places import refused

Msg = TypeVar("Msg")


def only_effects(commands: Iterable[Command[Msg]], /, *, may_send: bool = True) -> tuple[Command[Msg], ...]:
    """Return the commands, each such that what it brings is refused; `UsageError` for one that is made to bring something."""
    if not may_send and any(map(_sends, commands := tuple(commands))):
        raise refused("on_restore sends a message, which comes as often as the model is loaded")
    return tuple(None if command is None else _only_effect(command) for command in commands)


def _only_effect(command: Cmd[Msg] | Callable[[], Msg | None]) -> Cmd[Msg] | Callable[[], Msg | None]:
    match command:
        case Call(fn, args, None, None, how):
            return Call((fn, args, _nothing, None, how))
        case Call():
            raise refused("a command has ok= or err=, whose message may be another when the command is performed again")
        case After():
            raise refused("Cmd.after brings a message at some time between those of the stream")
        case Seq(commands) if _sends_late(commands):
            raise refused("a Cmd.send follows a call in a Cmd.seq, and so comes when that has ended, or never if it fails")
        case Seq(commands) | All(commands):
            return replace(command, commands=only_effects(commands))
        case Map(inner):
            return replace(command, command=_only_effect(inner))
        case Cmd():
            return command
        case _ if callable(command):
            return Call((command, (), _nothing, None, PLAIN))
        case _:
            return command  # which is no command: whoever performs it says so


def _sends_late(commands: Sequence[Command[Msg]]) -> bool:
    """Return whether one of the commands sends something, and one before it is a call."""
    first = next((n for n, command in enumerate(commands) if _calls(command)), len(commands))
    return any(map(_sends, commands[first + 1 :]))


def _sends(command: object) -> bool:
    match command:
        case Seq(commands) | All(commands):
            return any(map(_sends, commands))
        case Map(inner):
            return _sends(inner)
        case _:
            return isinstance(command, Send)


def _calls(command: object) -> bool:
    match command:
        case Seq(commands) | All(commands):
            return any(map(_calls, commands))
        case Map(inner):
            return _calls(inner)
        case _:
            return isinstance(command, Call) or not isinstance(command, Cmd | None)


def _nothing(result: object) -> None:
    if result is not None:
        raise refused("a command has returned something, which is a message, and may be another when it is performed again")
