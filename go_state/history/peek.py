"""Peek: the model as of now, from another process, read only."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from go_state.core.errors import Lagged, UsageError
from go_state.core.ports import Store
from go_state.core.program import Program
from go_state.history.reading.histories import JournalHistory
from go_state.history.reading.opened import with_key
from go_state.history.replay import replay
from go_state.modes.keeping.keyframes import MARK, position_of
from go_state.modes.keeping.schema import load_model
from go_state.modes.settings import checked_program
from go_state.runtime.on_error import OnError, Raise
from go_state.storage.backends.record_store import RecordStore
from go_state.storage.snapshots.snapshot import is_envelope, read_envelope

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_TRIES = 3  # to fold up to an end, while a program that runs truncates


class Peeked(NamedTuple, Generic[Model]):
    """A model as of now, and how old the stored one is.

    `position` is that in the journal up to which it has all messages, None without a journal. `behind` is how many of them the stored
    model, which `load_model` returns, has not; `since` is when the first of those entered (seconds since 1970), None if there is none.
    """

    model: Model
    position: int | None
    behind: int
    since: float | None


def peek(
    program: Program[Model, Msg], store: Store, key: str, *, prefix: str = "", on_error: OnError = Raise()
) -> Peeked[Model] | None:
    """Return the model under `prefix` and `key` as of now, or None if nothing is kept there; nothing is written.

    Of a journalled program it is the newest snapshot and every message that is on disk after it, also one that the program has yet to
    come to; it may run, in this process or another. Of an aggregate it is the model that was saved last. For a program whose init
    takes a key, such as one of `start_keyed`, `key` is that. With `on_error=gs.SetAside()` a message that update fails on,
    which the program is about to fail on as well, is passed over. Raises what `replay` raises.
    """
    if isinstance(store, type) or not isinstance(store, Store):
        raise UsageError(f"peek looks into an open store, such as a gs.LMDBStore, not a {type(store).__qualname__}")
    own, name = with_key(checked_program(program), key), prefix + key
    if isinstance(store, RecordStore) and _is_journalled(store, name):
        was_open = store.journals.is_open(name)
        journal = store.journal(name)
        try:
            return _of_journal(own, JournalHistory(journal, flushes=False), on_error)
        finally:
            if not was_open:
                journal.close()
    model = load_model(own, store=store, key=name)
    return None if model is None else Peeked(model, None, 0, None)


def _is_journalled(store: RecordStore, name: str) -> bool:
    """Return whether there is a journal of the name, and what is stored under it, if anything is, was made of it."""
    stored = store.load(name)
    if stored is not None:
        return is_envelope(stored.data) and MARK in read_envelope(name, stored.data).marks
    return name in store.journal_names()


def _of_journal(
    program: Program[Model, Msg], history: JournalHistory[Msg], on_error: OnError, tries: int = _TRIES
) -> Peeked[Model]:
    journal = history.journal
    start, end = history.span()
    try:
        model: Model = replay(program, history, until=end, on_error=on_error)
    except Lagged:  # its program, which runs, has gone on to a newer snapshot and truncated before it
        if tries == 1:
            raise
        return _of_journal(program, history, on_error, tries - 1)
    stored = journal.store.load(journal.name)
    saved = start if stored is None else min(position_of(journal, stored), end or 0)
    first = next(iter(journal.read(saved, saved + 1)), None) if end is not None and saved < end else None
    return Peeked(model, end, (end or 0) - saved, None if first is None else first.at)
