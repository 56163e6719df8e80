"""Replay: the model at any position of a journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from go_state.core.errors import Lagged, UsageError
from go_state.core.program import Program
from go_state.middleware.chain import replayed
from go_state.modes.run import without_key

if TYPE_CHECKING:
    from go_state.storage.journal.journal import Journal

# What reads a journal is imported in the function: a program that keeps none need not wait for it.

_TRIES = 3  # to get to the end of a journal whose program, which runs, goes on to newer snapshots and truncates before them

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def replay(program: Program[Model, Msg], journal: Journal[Msg], *, until: int | None = None) -> Model:
    """Return the model before the message at position `until`, or after the last one; no command is performed and no view shown.

    It starts at the nearest keyframe (see `Snapshots(keep=)`), or at the beginning of the journal with what init returns. Messages
    that were set aside are passed over. Raises `UsageError` for a position that the journal does not have, `Lagged` for one that
    was truncated, `Corrupt` with the position of what is damaged, and `Incompatible`.
    """
    from go_state.modes.keeping.folding import fold
    from go_state.modes.keeping.keyframes import nearest, set_message_type

    program = replayed(without_key(program, "replay"))
    set_message_type(journal, program)
    lagged: Lagged | None = None
    for _ in range(_TRIES):
        journal.refresh()
        durable = journal.flush()  # what is put from now on is not on disk
        start = journal.statistics().start
        end = durable if until is None else until
        if not isinstance(end, int) or not 0 <= end <= durable:
            raise UsageError(f"the journal {journal.name!r} has the positions {start} to {durable}, not {until!r}")
        try:
            frame = nearest(program, journal, end)
            if frame is None:
                raise Lagged(start, start)  # a fold without a keyframe needs all messages
            return fold(program, journal, frame.model, frame.position, end)
        except Lagged as error:  # its program, which runs, has truncated some of the messages meanwhile
            lagged = error
            if until is not None:
                break
    assert lagged is not None  # each try has returned or set it
    raise lagged
