"""The silent replay with which a durable run begins: its disk's part apart from its updates, which belong to the run's own thread or task.

On an event loop blocks are read in a thread, and between the updates the loop is given back every few milliseconds. Between two
blocks the replay can be ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from go_state.core.program import Program, not_a_step
from go_state.core.turn import Turn
from go_state.runtime.flow.waits import CHECKPOINT_SECONDS, Blocking, Checkpoint, Flow
from go_state.storage.journal.journal import Journal
from go_state.storage.records.records import BLOCK
from go_state.system.own_thread import OwnThread

_LOOKS = 16  # messages between two looks at the clock


class Chunk(NamedTuple):
    """Messages of a journal that are not passed over, and their turns where update asks for them."""

    messages: Sequence[Any]
    turns: Sequence[Turn] | None


def chunks(program: Program[Any, Any], journal: Journal[Any], start: int, end: int) -> Iterator[Chunk]:
    """Give what is to be replayed from the position `start` to before `end`; each chunk is read when it is asked for."""
    aside = journal.set_aside()
    if program.takes_turn:
        recorded = journal.exactly(start, end)
        while some := list(islice(recorded, BLOCK)):
            kept = [each for each in some if each.position not in aside and each.message is not None]
            turns = [Turn(each.at, each.position, f"{journal.journal_id}/{each.position}") for each in kept]
            yield Chunk([each.message for each in kept], turns)
        return
    for first, messages in journal.chunks(start, end):
        if not aside.keys().isdisjoint(range(first, first + len(messages))):
            messages = [each for position, each in enumerate(messages, first) if position not in aside]
        yield Chunk(messages, None)


def replay_flow(
    program: Program[Any, Any],
    journal: Journal[Any],
    model: Any,
    start: int,
    end: int,
    *,
    thread: OwnThread | None,
    is_stopping: Callable[[], bool],
) -> Flow[Any]:
    """Return the model after the messages from `start` to before `end`, or before if `is_stopping()`, which is asked between chunks.

    `thread` is where the disk is read on behalf of an event loop; None in a thread.
    """
    found = chunks(program, journal, start, end)
    breath_at = time.monotonic() + CHECKPOINT_SECONDS
    while True:
        if is_stopping():
            return model
        chunk = next(found, None) if thread is None else (yield Blocking(lambda: next(found, None), thread))
        if chunk is None:
            return model
        steps = iter(chunk.messages if chunk.turns is None else zip(chunk.messages, chunk.turns, strict=True))
        if thread is None:
            model = _folded(program, model, steps)
            continue
        while some := list(islice(steps, _LOOKS)):
            model = _folded(program, model, some)
            if time.monotonic() >= breath_at:
                yield Checkpoint()
                if is_stopping():
                    return model
                breath_at = time.monotonic() + CHECKPOINT_SECONDS


def _folded(program: Program[Any, Any], model: Any, steps: Any) -> Any:
    update: Any = program.update
    if program.takes_turn:
        for message, turn in steps:
            model = _model_of(update(model, message, turn))
        return model
    for message in steps:
        if message is None:
            continue
        taken = update(model, message)
        if taken.__class__ is not tuple:
            raise not_a_step(taken, "update")
        try:
            model, _ = taken
        except ValueError:
            raise not_a_step(taken, "update") from None
    return model


def _model_of(taken: Any) -> Any:
    if taken.__class__ is not tuple or len(taken) != 2:
        raise not_a_step(taken, "update")
    return taken[0]
