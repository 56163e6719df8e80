"""Rebuild: after a fix, the models that were kept, made again from all messages by today's update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, Union, Unpack

from go_state.core.errors import UsageError
from go_state.core.program import Program, takes_key
from go_state.history.reading.histories import Given, JournalHistory
from go_state.history.reading.opened import HistoryOptions, opened, with_key
from go_state.history.rebuilding.aggregated import Aggregated
from go_state.history.rebuilding.changes import Rebuilt
from go_state.history.rebuilding.journalled import Journalled
from go_state.modes.settings import checked_function, checked_program
from go_state.storage.backends.record_store import RecordStore

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def rebuild(
    program: Program[Model, Msg],
    history: Union[Given[Msg], RecordStore, Sequence[Given[Msg]]],
    *,
    dry_run: bool = False,
    prefix: str = "",
    retire: Callable[[Model], bool] | None = None,
    progress: Callable[[int], object] | None = None,
    **options: Unpack[HistoryOptions],
) -> Rebuilt:
    """Fold all messages from the beginning with today's update, write the models that differ from what they were, and say what has changed.

    No command is performed. `history` is a program's journal, or a store: then the program under `prefix` and `key`, or without `key`
    every one of this program's under the prefix. The newest snapshot and the keyframes are made again, each at its position. With
    `store=`, and `key` or `key_of`, it is the source or the journal of an aggregate, whose models are made again up to the position
    that it has come to; one for which `retire(model)` is true is deleted, as the aggregate does it. If it has read several, `history`
    is a list of all of them, in the order in which it has read them: each one to its end, or as far as it came, before the next.

    What the aggregate has set aside into `DeadLetters` of the same store is passed over if update fails on it again. If not, it is in
    the models from here on, and its letter is removed with the same write. With `on_error=gs.SetAside()` whatever else update fails on
    is passed over as well; with `SetAside(letters)` a letter of it is written. Without letters, as of what was set aside into a buffer, or
    was retried with another decoder, nobody knows what became of it: a message that fails, or a record that cannot be decoded, raises
    then, unless `on_error` says to pass over it.

    Everything is written in one transaction at the end: interrupted at any moment, it is the old or the new. The program must not
    run: `LeaseHeld` or `Conflict` if it does, and then nothing was written. `dry_run` writes nothing and may be used beside it. The
    snapshots that are made again, and the models of an aggregate, are in memory until they are written.

    `progress` is called now and then with how many messages were folded. Raises what `replay` raises: among them `Lagged` for a
    journal whose beginning is forgotten, and `NotRepeatable`.
    """
    checked_function("retire", retire, "a model that returns whether to delete it")
    if isinstance(history, RecordStore):
        _check_knows_itself(options)
        return _of_store(checked_program(program), history, prefix, options, progress, dry_run=dry_run)
    if isinstance(history, (list, tuple)):
        return _of_several(program, history, retire, progress, options, dry_run=dry_run)
    one: Given[Msg] = history  # type: ignore[assignment]  # a sequence is none of them
    work = opened("rebuild", program, one, **_without_own_store(one, options))
    if work.store is not None:
        return Aggregated([work], work.store, retire).run(progress, dry_run=dry_run)
    if not isinstance(work.history, JournalHistory) or work.key_of is not None:
        raise UsageError(
            "rebuild makes the models in a store again: give store=, and key= or key_of=, as the aggregate has them"
        )
    _check_knows_itself(options)
    journal = work.history.journal
    store: Any = journal.store  # a RecordStore, which is what journals are made by
    with Journalled(program, store, dry_run=dry_run) as journalled:
        journalled.add_journal(journal, with_key(program, work.key or ""), progress)
        return journalled.finish()


def _check_knows_itself(options: HistoryOptions) -> None:
    if "on_error" in options:
        raise UsageError(
            "on_error= is for an aggregate: a journal knows what was set aside, and journal.skip(position) passes over one more"
        )


def _of_several(
    program: Program[Model, Msg],
    histories: Sequence[Given[Msg]],
    retire: Callable[[Model], bool] | None,
    progress: Callable[[int], object] | None,
    options: HistoryOptions,
    *,
    dry_run: bool,
) -> Rebuilt:
    store = options.get("store")
    if not histories or store is None:
        raise UsageError(
            "a list of histories is what one aggregate has read: give at least one, and store=, with key= or key_of=, as it has them"
        )
    works = [opened("rebuild", program, history, **options) for history in histories]
    return Aggregated(works, store, retire).run(progress, dry_run=dry_run)


def _of_store(
    program: Program[Model, Msg],
    store: RecordStore,
    prefix: str,
    options: HistoryOptions,
    progress: Callable[[int], object] | None,
    *,
    dry_run: bool,
) -> Rebuilt:
    if options.get("key_of") is not None or options.get("store") is not None:
        raise UsageError("key_of= and store= belong to an aggregate: give its source or journal in the place of the store")
    key = options.get("key")
    with Journalled(program, store, dry_run=dry_run) as journalled:
        names = list(journalled.keys_under(prefix)) if key is None else [prefix + key]
        for done, name in enumerate(names):
            own = with_key(program, name.removeprefix(prefix)) if takes_key(program) else program
            journalled.add(name, own, progress if key is not None else None)
            if key is None and progress is not None:
                progress(done + 1)
        return journalled.finish()


def _without_own_store(history: object, options: HistoryOptions) -> HistoryOptions:
    """Return the options; a journal's own store and name say nothing that it does not say itself."""
    from go_state.storage.journal.journal import Journal

    if isinstance(history, Journal) and options.get("store") is history.store and options.get("key") == history.name:
        return {"key": history.name}
    return options
