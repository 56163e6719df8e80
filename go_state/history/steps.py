"""Steps: a history turn by turn, and the first turn of which something is true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar, Unpack

from go_state.core.program import Program
from go_state.history.reading.folding import Fold, Step, checked_end, entries_of, exhaust, with_progress
from go_state.history.reading.histories import Given
from go_state.history.reading.opened import HistoryOptions, Opened, opened
from go_state.history.reading.starts import earliest_of, start_of
from go_state.modes.settings import checked_function

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def steps(
    program: Program[Model, Msg],
    history: Given[Msg],
    *,
    start: int | None = None,
    until: int | None = None,
    progress: Callable[[int], object] | None = None,
    **options: Unpack[HistoryOptions],
) -> Iterator[Step[Model, Msg]]:
    """Give each turn from the position `start` to before `until`: the model before, the message, its commands, the model after.

    Messages that commands have sent are turns of their own, after that of the message that led to them, if the history does not
    have them itself. With `key` and `key_of` only the turns of that key's model are given. It begins to fold where `replay` would, and
    without `start` at the earliest position from which today's update can. The other arguments are those of `replay`. Raises
    what `replay` raises.
    """
    return _steps(opened("steps", program, history, **options), start, until, progress)


def first(
    program: Program[Model, Msg],
    history: Given[Msg],
    where: Callable[[Model, Msg, Model], bool],
    *,
    start: int | None = None,
    until: int | None = None,
    progress: Callable[[int], object] | None = None,
    **options: Unpack[HistoryOptions],
) -> Step[Model, Msg] | None:
    """Return the first turn of the `history` of which `where(before, message, after)` is true, or None: the message that made
    it so.

    The other arguments are those of `steps`. Raises what `replay` and `where` raise.
    """
    checked_function("where", where, "(model before, message, model after)")
    work = opened("first", program, history, **options)
    for step in _steps(work, start, until, progress):
        if where(step.before, step.message, step.after):
            return step
    return None


def _steps(
    work: Opened[Model, Msg], start: int | None, until: int | None, progress: Callable[[int], object] | None
) -> Iterator[Step[Model, Msg]]:
    end = checked_end(work.history, until)
    begin = earliest_of(work) if start is None else start_of(work, end, start)
    fold = Fold(work, begin)
    first = begin.position if start is None else max(start, begin.position)
    beginning = fold.begin()
    if start is None:
        yield from _of_key(work, beginning)
    else:
        exhaust(beginning)
        exhaust(fold.steps(with_progress(entries_of(work.history, begin.position, first), progress)))
    yield from _of_key(work, fold.steps(with_progress(entries_of(work.history, first, end), progress)))


def _of_key(work: Opened[Model, Msg], found: Iterator[Step[Model, Msg]]) -> Iterator[Step[Model, Msg]]:
    if work.key_of is None or work.key is None:
        return found
    return (step for step in found if step.key == work.key)
