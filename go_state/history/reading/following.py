"""What the commands of a turn send, of a program whose history does not have it.

The messages of a source lead to others: those of `Cmd.send` are data and followed exactly. What a command would have to be performed
for is not known any more, and `NotRepeatable` says at which message; unless nothing of it can come to the model.
"""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Iterable

from go_state.core.commands import Call
from go_state.core.errors import NotRepeatable
from go_state.core.subscriptions import Scope
from go_state.runtime.effects.interpreter import Interpreter
from go_state.runtime.effects.place import Group, Messages, TurnNames
from go_state.runtime.effects.scheduler import Effect

_ADVICE = (
    "keep the program in a journal, which has what commands have sent, or give the function of a command without ok= and err= "
    "the annotation `-> None`"
)


class Following:
    """Finds what the turns of one fold have sent."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._interpreter = Interpreter(_NoKeys(), TurnNames(), inline=False)

    def sent(self, commands: object, position: int | None, message: object = None) -> Messages:
        """Return the messages that the turn's commands send, in order; `NotRepeatable` if others may have come of them."""
        if commands is None or commands == ():
            return ()
        interpreter = self._interpreter
        try:
            messages = interpreter.perform(commands, message)
        finally:
            held = interpreter.drop()
        for effect in held:
            if (why := _may_bring(effect)) is not None:
                raise NotRepeatable(self._name, position, why, _ADVICE)
        return messages


def _may_bring(effect: Effect) -> str | None:
    """Return what of the effect may have come to the model; None if nothing can."""
    command = effect.command
    if not isinstance(command, Call):
        return "its turn has sent messages for later, by Cmd.after, and when they came is not known"
    if _in_order(effect.group):
        return "its turn has sent commands one after the other, by Cmd.seq, and what came of the first is not known"
    brings_result = not _returns_none(command.fn if command.ok is None else command.ok)
    if brings_result or (command.err is not None and not _returns_none(command.err)):
        return "what a command of its turn has brought is not known"
    return None


def _in_order(group: Group | None) -> bool:
    while group is not None:
        if group.in_order:
            return True
        group = group.parent
    return False


def _returns_none(fn: object) -> bool:
    """Return whether the function says that it returns None, which is not a message."""
    says = getattr(inspect.unwrap(fn), "__annotations__", {}) if callable(fn) else {}
    return says.get("return", says) in (None, type(None), "None")


class _NoKeys:
    """No command is running in a fold, so no key is taken."""

    def is_taken(self, key: Hashable) -> bool:
        """Return that it is not."""
        return False

    def keys_in(self, scope: Scope) -> Iterable[Hashable]:
        """Return none."""
        return ()
