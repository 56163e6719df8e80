"""Middleware that many programs need: a log of changes, authorisation, and the expiry of old entries."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeAlias, TypeVar

from go_state.core.errors import Denied, UsageError
from go_state.core.fields import field_names
from go_state.core.program import Step, read_step
from go_state.core.turn import Turn
from go_state.middleware.chain import Layer, Proposal

Model = TypeVar("Model")
Msg = TypeVar("Msg")

# Any, here and at `at` below: given a lambda, a type variable would have nothing to be inferred from.
Rule: TypeAlias = Callable[[Any, Any], bool | str]
"""What is asked about a model and a message."""


class ChangeLog:
    """Says which fields each committed turn has changed, and what was denied; it can be switched on and off while it runs.

    `write` is given a line, such as a logger's method. With `values` it holds the values before and after as well, which may be
    somebody's data.
    """

    def __init__(self, write: Callable[[str], object], *, on: bool = True, values: bool = False) -> None:
        self._write = write
        self._values = values
        self.on = on  #: whether it writes; any thread may change it

    def __call__(self, proposal: Proposal[Model, Msg]) -> Generator[None, object, None]:
        """Compare the model of one turn with the one before, and write a line."""
        before = proposal.model
        outcome = yield
        if self.on:
            kind = type(proposal.message).__qualname__
            said = f"denied: {outcome.reason}" if isinstance(outcome, Denied) else self._changes(before, outcome)
            if said:
                self._write(f"{kind}: {said}")

    def _changes(self, before: object, after: object) -> str:
        if before is after:
            return ""
        names = field_names(after)
        if type(before) is not type(after) or not names:
            return f"{before!r} -> {after!r}" if self._values else "the model"
        changed = [name for name in names if getattr(before, name) != getattr(after, name)]
        if self._values:
            changed = [f"{name}: {getattr(before, name)!r} -> {getattr(after, name)!r}" for name in changed]
        return ", ".join(changed)


def authorise(rule: Rule) -> Callable[[Proposal[object, object]], Generator[None, object, None]]:
    """Deny, with `Denied`, what `rule(model, message)` does not allow: it returns True, or False, or the reason why not.

    The rule is part of the program: it looks at nothing else, for a replay asks it again.
    """

    def authorised(proposal: Proposal[object, object]) -> Generator[None, object, None]:
        answer = rule(proposal.model, proposal.message)
        if answer is not True:
            raise Denied(answer if isinstance(answer, str) and answer else "not allowed")
        yield

    return authorised


def expire(field: str, older_than: float, *, at: Callable[[Any], float]) -> Callable[[Layer[Model, Msg]], Layer[Model, Msg]]:
    """Drop the entries of a tuple, list or mapping field whose time, `at(entry)`, is more than `older_than` seconds before the message's.

    They are dropped before update, which does not see them, and from what update makes. The clock is the time at which the message
    entered, so a replay drops the same ones; nothing is dropped while no message comes. The model is a dataclass;
    one without the field, and an `older_than` that is no number, raise `UsageError`.
    """
    if not isinstance(older_than, (int, float)) or not older_than >= 0:
        raise UsageError(f"older_than is a number of seconds, not {older_than!r}")

    def fresh(model: Model, oldest: float) -> Model:
        if not is_dataclass(model) or isinstance(model, type) or field not in {each.name for each in fields(model)}:
            raise UsageError(f"expire({field!r}) finds no such field in a {type(model).__qualname__}")
        entries = getattr(model, field)
        if isinstance(entries, Mapping):
            kept: Any = {key: entry for key, entry in entries.items() if at(entry) >= oldest}
            kept = kept if type(entries) is dict else type(entries)(kept)  # type: ignore[call-arg]
        else:
            kept = type(entries)(entry for entry in entries if at(entry) >= oldest)
        return model if len(kept) == len(entries) else replace(model, **{field: kept})

    def around(update: Layer[Model, Msg]) -> Layer[Model, Msg]:
        def expiring(model: Model, message: Msg, turn: Turn) -> Step[Model, Msg]:
            oldest = turn.at - older_than
            proposed, commands = read_step(update(fresh(model, oldest), message, turn), "update")
            return fresh(proposed, oldest), commands

        return expiring

    return around
