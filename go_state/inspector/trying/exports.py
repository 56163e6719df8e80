"""Exports: a run, as it was or with edits, as a test or as JSON Lines."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace

import orjson

from go_state.core.errors import GoStateError, UsageError
from go_state.core.ports import Entry, History
from go_state.core.program import SomeProgram
from go_state.history.reading.folding import entries_of
from go_state.history.reading.opened import Opened
from go_state.history.reading.translation import Translation, translation_between
from go_state.history.to_test import write_test
from go_state.inspector.looking.moment import why
from go_state.inspector.looking.subject import Subject
from go_state.inspector.trying.edited import Edit, EditedHistory, codec_of
from go_state.inspector.values.plain import plain
from go_state.storage.codec.message_codec import MessageCodec

_MOST = 100_000  # messages of a test


def as_test(
    subject: Subject[object, object],
    where: tuple[str, str],
    program: SomeProgram | None,
    edits: list[Edit[object]],
    start: int,
    until: int,
) -> str:
    """Return a test that folds from the nearest model before `start` to before `until`, by today's program or another."""
    if not subject.redaction.is_empty:
        raise UsageError("a test needs every field, and redact= hides some: export it where nothing is hidden")
    moments = subject.needed()
    begin = moments.start(min([start, *(edit.position for edit in edits)]))
    if until - begin.position > _MOST:
        raise UsageError(
            f"a test has at most {_MOST:,} messages, and these are {until - begin.position:,}: keep more snapshots"
        )
    work: Opened[object, object] = moments.opened
    history: History[object] = EditedHistory(work.history, edits) if edits else work.history
    if program is not None and (translation := translation_between(work.program, program)) is not None:
        begin, history = translation.start(begin), _Translated(history, translation)
    work = replace(work, program=program or work.program, history=history)
    handle, path = tempfile.mkstemp(prefix="go_state", suffix=".py")
    try:
        os.close(handle)
        write_test(work, begin, until, path, *where)
        with open(path, encoding="utf-8") as file:
            return file.read()
    finally:
        os.unlink(path)


class _Translated:
    """A history with the messages of another version of its program's module."""

    def __init__(self, history: History[object], translation: Translation[object, object]) -> None:
        self.name, self.identity, self.has_sent = history.name, history.identity, history.has_sent
        self.span, self.set_aside = history.span, history.set_aside
        self._history = history
        self._translation = translation

    def entries(self, start: int, end: int | None = None) -> Iterator[Entry[object]]:
        """Give the messages as the other version has them."""
        return map(self._translation.entry, self._history.entries(start, end))


def as_lines(subject: Subject[object, object], edits: list[Edit[object]], until: int) -> Iterator[bytes]:
    """Give each message as a line of JSON, without what is hidden."""
    first, _ = subject.span()
    aside = subject.set_aside()
    codec = None if subject.opened is None or not subject.redaction.is_empty else codec_of(subject.opened)
    edited: EditedHistory[object] = EditedHistory(subject.history, edits)
    for entry in edited.edited(entries_of(subject.history, first, until)):
        try:
            yield _line(entry, aside.get(entry.position), codec, subject)
        except (GoStateError, ValueError, TypeError) as error:
            raise UsageError(
                f"the message at position {entry.position} cannot be exported: {why(error, hidden=not subject.redaction.is_empty)}"
            ) from error


def _line(
    entry: Entry[object], aside: str | None, codec: MessageCodec[object] | None, subject: Subject[object, object]
) -> bytes:
    head: dict[str, object] = {"position": entry.position, "at": entry.at}
    if aside is not None:
        head["aside"] = aside
    if entry.message is None or codec is None:
        shown = plain(entry.message, subject.redaction)
        named = shown if entry.message is None or subject.opened is None else [type(entry.message).__qualname__, shown]
        return orjson.dumps({**head, "message": named}) + b"\n"
    return orjson.dumps(head)[:-1] + b',"message":' + codec.encode(entry.message) + b"}\n"
