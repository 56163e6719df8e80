"""Find: the first message of which a condition is true, in the background, with progress."""

from __future__ import annotations

from collections.abc import Callable

from go_state.core.errors import UsageError
from go_state.history.reading.folding import entries_of
from go_state.inspector.looking.moment import Moments, turns_of
from go_state.inspector.looking.subject import Subject
from go_state.inspector.trying.expressions import Condition
from go_state.inspector.trying.pace import paced


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


def first_where(
    subject: Subject[object, object],  # of whichever program
    condition: Condition,
    start: int,
    progress: Callable[[int], object],
) -> int | None:
    """Return the position of the first message from `start` on of which the condition is true, or None.

    `progress` is called now and then with the position, and may raise to end it. Raises `UsageError` if it could be told of no message.
    """
    first, end = subject.span()
    moments: Moments[object, object] = subject.needed()
    fold = moments.fresh(max(start, first), progress)
    for entry in paced(entries_of(subject.history, max(start, first), end), progress):
        for step in turns_of(fold, entry):
            if condition(step.before, step.message, step.after):
                return step.position
    if condition.trouble is not None and not condition.told:
        raise UsageError(f"it could not be told of any message: {condition.trouble}")
    return None
