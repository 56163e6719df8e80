"""Replay: the model at any position of a history."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, Unpack

from go_state.core.errors import Conflict, Lagged, UsageError
from go_state.core.program import Program, read_step
from go_state.history.reading.folding import Fold, check_start, checked_end, entries_of, exhaust, with_progress
from go_state.history.reading.histories import Given, JournalHistory
from go_state.history.reading.opened import HistoryOptions, Opened, opened
from go_state.history.reading.starts import Start, start_of

if TYPE_CHECKING:
    from go_state.storage.journal.journal import Journal

_TRIES = 3  # to get to the end of a history whose program, which runs, goes on to newer snapshots and truncates before them

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def replay(
    program: Program[Model, Msg],
    history: Given[Msg],
    *,
    until: int | None = None,
    start: int | None = None,
    progress: Callable[[int], object] | None = None,
    **options: Unpack[HistoryOptions],
) -> Model:
    """Return the model before the message at position `until`, or after the last one; no command is performed and no view shown.

    `history` is a journal, a source that can be read again, such as a file, or a `gs.abc.History`. It starts at the nearest
    keyframe (see `Snapshots(keep=)`), or with `store=` at the model that an aggregate has saved, or else at the beginning with
    what init returns; with `start` at the last of these that is not after that position: 0 folds everything. Messages that were set
    aside are passed over; of an aggregate over a source, `on_error=gs.SetAside()` passes over what `update` fails on.
    Of a keyed aggregate, `key` and `key_of` say which model. `progress` is called with the position now and
    then.

    Raises `UsageError` for a position that the history does not have, `Lagged` for one that was truncated, `Corrupt` with the
    position of what is damaged, `Incompatible`, `NotRepeatable` for a source whose messages have led to commands that bring others,
    and what `update` raises.
    """
    return replay_of(opened("replay", program, history, **options), until, start, progress)


def replay_of(
    work: Opened[Model, Msg], until: int | None, start: int | None, progress: Callable[[int], object] | None
) -> Model:
    """Return the model that what was opened comes to; see `replay`."""
    check_start(work.history, start)
    if work.key_of is not None and work.key is None:
        raise UsageError("replay returns one model, and key_of= says that there is one for each key: say which with key=")
    raised: Lagged | Conflict | None = None
    for _ in range(_TRIES):
        try:
            return _replayed(work, until, start, progress)
        except Lagged as error:  # its program, which runs, has truncated some of the messages meanwhile
            raised = error
            if until is not None:
                break
        except Conflict as error:  # or it has saved newer models
            raised = error
    assert raised is not None  # each try has returned or set it
    raise raised


def _replayed(work: Opened[Model, Msg], until: int | None, at: int | None, progress: Callable[[int], object] | None) -> Model:
    end = checked_end(work.history, until)
    start = start_of(work, end, at)
    if isinstance(work.history, JournalHistory) and not work.is_aggregate and not work.passed.may_pass:
        return _by_blocks(work.program, work.history.journal, start, end or 0, progress)
    fold = Fold(work, start)
    exhaust(fold.begin())
    exhaust(fold.steps(with_progress(entries_of(work.history, start.position, end), progress)))
    return fold.model(work.key)


def _by_blocks(
    program: Program[Model, Msg],
    journal: Journal[Msg],
    start: Start[Model],
    end: int,
    progress: Callable[[int], object] | None,
) -> Model:
    """Fold a journalled program's messages block by block, which is several times as fast as step by step."""
    from go_state.modes.keeping.folding import chunks, folded

    model = start.models[None] if None in start.models else read_step(program.init(), "init")[0]
    done = start.position
    for chunk in chunks(program, journal, start.position, end):
        model = folded(program, model, chunk.steps())
        done += len(chunk.messages)
        if progress is not None:
            progress(done)
    return model
