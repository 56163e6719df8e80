"""A retry into the journals of programs: a letter is removed in the transaction that puts its message at the end of its journal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby, islice
from typing import TypeVar

from go_state.core.errors import UsageError
from go_state.core.migrations import checked_migrations
from go_state.core.program import Program
from go_state.dead_letters.again import Reading, Tally
from go_state.storage.backends.record_store import RecordStore
from go_state.storage.journal.journal import Journal
from go_state.storage.letters.box import LetterBox
from go_state.storage.letters.letter import Letter, encode

Model = TypeVar("Model")
Msg = TypeVar("Msg")

_TOGETHER = 256  # letters in one transaction


def retry_into_journals(
    program: Program[Model, Msg], box: LetterBox, chosen: Iterator[Letter], reading: Reading[Msg], tally: Tally
) -> None:
    """Put the letters' messages at the ends of their journals, in order."""
    while some := list(islice(chosen, _TOGETHER)):
        for name, of_one in groupby(some, lambda letter: letter.journal):
            _put(program, box, name, list(of_one), reading, tally)


def _put(
    program: Program[Model, Msg], box: LetterBox, name: str, letters: list[Letter], reading: Reading[Msg], tally: Tally
) -> None:
    messages: list[Msg] = []
    beside: dict[str, bytes | None] = {}
    failed = 0
    for letter in letters:
        if letter.failed == "command":
            tally.left += 1
            continue
        try:
            messages.append(reading.message(letter))
            beside[box.key(letter.id)] = None
        except Exception as error:
            failed += 1
            beside[box.key(letter.id)] = encode(letter.failed_again(error))
    if beside:
        with _opened(program, box, name) as journal:
            journal.lease.acquire()
            journal.writer.save(None, messages, beside)
    tally.done += len(messages)
    tally.failed += failed


@contextmanager
def _opened(program: Program[Model, Msg], box: LetterBox, name: str) -> Iterator[Journal[Msg]]:
    """Open the journal, unless this process has it open already, as a running program has."""
    store = box.store
    if not name or not isinstance(store, RecordStore) or name not in store.journal_names():
        of = f"the journal {name!r}" if name else "no journal"
        raise UsageError(
            f"a letter is of {of}, which lies not in the store of the letters: give key= to fold it into a model of an aggregate, or "
            f"retry with a function of a letter that puts its message where it belongs"
        )
    was_open = store.journals.is_open(name)
    journal: Journal[Msg] = store.journal(name)
    journal.kind.set(_message_type(program), program.schema, checked_migrations(program.schema, program.migrations))
    try:
        yield journal
    finally:
        if not was_open:
            journal.close()


def _message_type(program: Program[Model, Msg]) -> object:
    from go_state.storage.codec.program_types import message_type

    return message_type(program)
