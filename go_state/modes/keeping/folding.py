"""The plain fold: the model after some messages of a journal, without commands, views or subscriptions.

It is written once. `replay` folds everything at once, a durable run some messages at a time (on an event loop the loop goes on
between them), a recorded test the messages that it was written with.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, NamedTuple, TypeVar

from go_state.core.program import Program, not_a_step
from go_state.core.turn import Turn
from go_state.storage.journal.journal import Journal
from go_state.storage.records.layout import BLOCK

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class Chunk(NamedTuple, Generic[Msg]):
    """Messages of a journal that are not passed over, and their turns if the program's update asks for them."""

    messages: Sequence[Msg | None]
    turns: Sequence[Turn] | None

    def steps(self) -> Iterable[Msg | None] | Iterable[tuple[Msg | None, Turn]]:
        """Return what `folded` takes: messages, or pairs of a message and its turn."""
        return self.messages if self.turns is None else zip(self.messages, self.turns, strict=True)


def chunks(program: Program[Model, Msg], journal: Journal[Msg], start: int, end: int) -> Iterator[Chunk[Msg]]:
    """Give exactly the messages from the position `start` to before `end`, but for those that were set aside.

    Each chunk is read when it is asked for. Raises `Lagged` or `Corrupt` if a message is not in the journal any more.
    """
    aside = journal.set_aside()
    if program.takes_turn:
        recorded = journal.history.exactly(start, end)
        while some := list(islice(recorded, BLOCK)):
            kept = [each for each in some if each.position not in aside and each.message is not None]
            turns = [Turn(each.at, each.position, f"{journal.journal_id}/{each.position}") for each in kept]
            yield Chunk([each.message for each in kept], turns)
        return
    for first, messages in journal.history.chunks(start, end):
        if not aside.keys().isdisjoint(range(first, first + len(messages))):
            messages = [each for position, each in enumerate(messages, first) if position not in aside]
        yield Chunk(messages, None)


def folded(program: Program[Model, Msg], model: Model, steps: Iterable[Any]) -> Model:
    """Return the model after the steps: messages, or pairs of a message and its turn if the program's update takes turns.

    Messages that are None are passed over. Raises what `update` raises, and `ProgramError` if it returns something else than a step.
    """
    update: Any = program.update
    if program.takes_turn:
        for message, turn in steps:
            taken = update(model, message, turn)
            if taken.__class__ is not tuple or len(taken) != 2:
                raise not_a_step(taken, "update")
            model = taken[0]
        return model
    for message in steps:
        if message is None:
            continue
        taken = update(model, message)
        if taken.__class__ is not tuple:
            raise not_a_step(taken, "update")
        try:  # unpacking and catching costs less for each message than looking at the length
            model, _ = taken
        except ValueError:
            raise not_a_step(taken, "update") from None
    return model


def fold(program: Program[Model, Msg], journal: Journal[Msg], model: Model, start: int, end: int) -> Model:
    """Return the model after exactly the messages from `start` to before `end`; those that were set aside are passed over."""
    for chunk in chunks(program, journal, start, end):
        model = folded(program, model, chunk.steps())
    return model
