"""Which turns of a durable run have effects: those are shown only when the disk knows that they are processed.

A replay finds any other turn again, with the same model, so it can be shown as soon as its message is on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from go_state.core.commands import Reply, Send

P = ParamSpec("P")
Returned = TypeVar("Returned")

_WITHOUT_EFFECT = {Send, Reply, type(None)}  # a message is in the journal with its turn; an answer is nothing but told


def noting_effects(update: Callable[P, Returned], note: Callable[[], object]) -> Callable[P, Returned]:
    """Return the update that calls `note()` when it returns a command that does something which a replay would do again."""

    @wraps(update)
    def noted(*args: P.args, **kwargs: P.kwargs) -> Returned:
        step = update(*args, **kwargs)
        if type(step) is tuple and len(step) == 2 and step[1] and have_effects(step[1]):
            note()
        return step

    return noted


def have_effects(commands: object) -> bool:
    """Return whether commands do more than send messages and answer; what is not commands is for the loop to refuse."""
    return isinstance(commands, (list, tuple)) and any(type(each) not in _WITHOUT_EFFECT for each in commands)
