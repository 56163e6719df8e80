"""The silent replay with which a durable run begins: reading is apart from the updates, which belong to the run's own thread or task.

On an event loop blocks are read in a thread, and between the updates the loop is given back every few milliseconds. Between two
blocks the replay can be ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import islice
from typing import TypeVar

from go_state.core.program import Program
from go_state.modes.keeping.folding import chunks, folded
from go_state.runtime.flow.waits import CHECKPOINT_SECONDS, Blocking, Checkpoint, Flow
from go_state.storage.journal.journal import Journal
from go_state.system.own_thread import OwnThread

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_LOOKS = 16  # messages between two looks at the clock


def replay_flow(
    program: Program[Model, Msg],
    journal: Journal[Msg],
    model: Model,
    start: int,
    end: int,
    *,
    thread: OwnThread | None,
    is_stopping: Callable[[], bool],
) -> Flow[Model]:
    """Return the model after the messages from `start` to before `end`, or before if `is_stopping()`, which is asked between chunks.

    `thread` is where the disk is read on behalf of an event loop; None in a thread.
    """
    if start == end:
        return model
    found = chunks(program, journal, start, end)
    checkpoint_at = time.monotonic() + CHECKPOINT_SECONDS
    while True:
        if is_stopping():
            return model
        chunk = next(found, None) if thread is None else (yield Blocking(lambda: next(found, None), thread))
        if chunk is None:
            return model
        steps = iter(chunk.steps())
        if thread is None:
            model = folded(program, model, steps)
            continue
        while some := list(islice(steps, _LOOKS)):
            model = folded(program, model, some)
            if time.monotonic() >= checkpoint_at:
                yield Checkpoint()
                if is_stopping():
                    return model
                checkpoint_at = time.monotonic() + CHECKPOINT_SECONDS
