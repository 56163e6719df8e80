"""Steps: a history turn by turn, and the first turn of which something is true."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar, Unpack

from go_state.core.program import Program
from go_state.history.reading.folding import Fold, Step, check_start, checked_end, entries_of, exhaust, with_progress
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
    return steps_of(opened("steps", program, history, **options), start, until, progress)


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
    return first_of(opened("first", program, history, **options), where, start, until, progress)


def first_of(
    work: Opened[Model, Msg],
    where: Callable[[Model, Msg, Model], bool],
    start: int | None,
    until: int | None,
    progress: Callable[[int], object] | None,
) -> Step[Model, Msg] | None:
    """Return the first turn of what was opened of which `where` is true; see `first`."""
    checked_function("where", where, "(model before, message, model after)")
    for step in steps_of(work, start, until, progress):
        if _is_so(where, step):
            return step
    return None


def _is_so(where: Callable[[Model, Msg, Model], bool], step: Step[Model, Msg]) -> bool:
    try:
        return where(step.before, step.message, step.after)
    except Exception as error:
        error.add_note(f"where was asked about position {step.position}, a message of type {type(step.message).__qualname__}")
        raise


def steps_of(
    work: Opened[Model, Msg], start: int | None, until: int | None, progress: Callable[[int], object] | None = None
) -> Iterator[Step[Model, Msg]]:
    """Give each turn of what was opened; see `steps`."""
    end = checked_end(work.history, until)
    check_start(work.history, start)
    begin = earliest_of(work, end) if start is None else start_of(work, end, start)
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
