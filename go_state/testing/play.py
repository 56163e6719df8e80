"""Playing messages through a program: every model and command, without a loop, a clock or a mock."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from go_state.core.commands import Cmd, Command, checked_commands, not_a_command
from go_state.core.errors import UsageError
from go_state.core.program import Commands, Program, read_step, takes_key
from go_state.core.turn import Turn
from go_state.middleware.chain import replayed

Model = TypeVar("Model")
Msg = TypeVar("Msg")


@dataclass(frozen=True, slots=True)
class Played(Generic[Model, Msg]):
    """What init and each message led to: `models[0]` and `commands[0]` are init's, `models[n]` and `commands[n]` the nth message's."""

    models: tuple[Model, ...]
    commands: tuple[tuple[Command[Msg], ...], ...]

    @property
    def model(self) -> Model:
        """The last model."""
        return self.models[-1]


def play(program: Program[Model, Msg], *messages: Msg, key: str | None = None) -> Played[Model, Msg]:
    """Return the models and commands of the messages, performing nothing; `key` is for an init that takes one, and without it such a
    program raises `UsageError`.

    The program is played as a strict one: an update that changes the model it is given raises `ProgramError`.

    An update that asks for the turn gets one that entered at second n since 1970, n being its position, and the same chance in
    every play.

    >>> from go_state import reducer
    >>> play(reducer(int, lambda total, n: total + n), 1, 2).models
    (0, 1, 3)
    """
    if takes_key(program) and key is None:
        raise UsageError('the program\'s init takes a key: give play(program, *messages, key="...") one')
    program = replayed(replace(program, strict=True))
    model, commands = read_step(program.init(key) if takes_key(program) else program.init(), "init")
    models = [model]
    issued: list[tuple[Command[Msg], ...]] = [_checked(commands)]
    for position, message in enumerate(messages):
        if message is None:
            continue  # ignored, as everywhere
        turn = (Turn(float(position), position, f"play/{position}"),) if program.takes_turn else ()
        model, commands = read_step(program.update(model, message, *turn), "update")
        models.append(model)
        issued.append(_checked(commands))
    return Played(tuple(models), tuple(issued))


def _checked(commands: Commands[Msg]) -> tuple[Command[Msg], ...]:
    """Return the commands, each of which could be performed as far as its kind tells."""
    for command in (checked := tuple(checked_commands(commands))):
        if not (command is None or isinstance(command, Cmd) or callable(command)):
            raise not_a_command(command)
    return checked
