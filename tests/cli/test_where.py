"""The options that say where in a history to look: one definition, in every command that asks a history."""

from __future__ import annotations

import inspect
from dataclasses import fields

from go_state.cli.history.where import Where, takes_where


def asks(target: str, *, where: Where, trace: bool = False) -> None:
    """Remember what it was called with."""
    called.append((target, where, trace))


called: list[tuple[str, Where, bool]] = []


def test_a_command_has_the_fields_as_options() -> None:
    """The signature, from which the command line is read, has the command's own parameters and then every field."""
    parameters = inspect.signature(takes_where()(asks)).parameters
    assert list(parameters) == ["target", "trace", *(field.name for field in fields(Where))]
    assert parameters["schema"].default == "go_state"


def test_a_command_can_do_without_an_option() -> None:
    """An option that makes no sense for a command is left out, and has its default."""
    command = takes_where(without="set_aside")(asks)
    assert "set_aside" not in inspect.signature(command).parameters
    given = {name: each.default for name, each in inspect.signature(command).parameters.items() if name != "target"}
    command(target="bot:program", **{**given, "key": "ann"})
    assert called == [("bot:program", Where(key="ann"), False)]
