"""Commands that have effects and bring no messages: what is asked of a program whose model has to follow from its stream alone.

A command that is sure to bring one is refused when update returns it, and one whose function may, when that has returned something.
`Cmd.send` follows from the message of its turn, and comes again with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from go_state.core.call_options import PLAIN
from go_state.core.commands import After, All, Call, Cmd, Command, Map, Seq
from go_state.modes.aggregate.partitions.places import refused

Msg = TypeVar("Msg")


def only_effects(commands: Iterable[Command[Msg]]) -> tuple[Command[Msg], ...]:
    """Return the commands, each such that what it brings is refused; `UsageError` for one that is made to bring something."""
    return tuple(None if command is None else _only_effect(command) for command in commands)


def _only_effect(command: Cmd[Msg] | Callable[[], Msg | None]) -> Cmd[Msg] | Callable[[], Msg | None]:
    match command:
        case Call(fn, args, None, None, how):
            return Call((fn, args, _nothing, None, how))
        case Call():
            raise refused("a command has ok= or err=, whose message may be another when the command is performed again")
        case After():
            raise refused("Cmd.after brings a message at some time between those of the stream")
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


def _nothing(result: object) -> None:
    if result is not None:
        raise refused("a command has returned something, which is a message, and may be another when it is performed again")
