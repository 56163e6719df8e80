"""A journal and a source as a history: messages by position, that can be read any number of times."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar, Union

from go_state.core.errors import SourceChanged, UsageError
from go_state.core.ports import Entry, History, Openable, Reading, Source, Span, Undecoded
from go_state.sources.files import FileSource, OpenedFile

if TYPE_CHECKING:
    from go_state.storage.journal.journal import Journal
    from go_state.storage.snapshots.snapshot import Mark

Msg = TypeVar("Msg")

Given: TypeAlias = Union["Journal[Msg]", Source[Msg], History[Msg]]
"""What the tools take: a journal, a source that can be read again, such as a file, or a `History` of your own."""


def history_of(given: Given[Msg]) -> History[Msg]:
    """Return what was given as a history; `UsageError` for what can be read only once, or is none of them."""
    from go_state.storage.journal.journal import Journal

    if isinstance(given, Journal):
        return JournalHistory(given)
    if isinstance(given, type):
        raise UsageError(f"a history is a journal, a source or a gs.abc.History, not the class {given.__qualname__} itself")
    if isinstance(given, History):
        return given
    if isinstance(given, Source):
        return SourceHistory(given)
    raise UsageError(
        f"a history is a journal, a source that can be read again, such as gs.sources.CSV(...), or a gs.abc.History, "
        f"not a {type(given).__qualname__}"
    )


class JournalHistory(Generic[Msg]):
    """A journal as a history. Unless it `flushes`, what was put in this process and is not on disk yet is not looked at."""

    has_sent = True

    def __init__(self, journal: Journal[Msg], *, flushes: bool = True) -> None:
        self._flushes = flushes
        self.journal = journal
        self.name = journal.name

    @property
    def identity(self) -> str:
        """The journal's id."""
        return self.journal.journal_id

    @property
    def source_name(self) -> str:
        """The name under which an aggregate that reads the journal stores how far it was."""
        return f"journal {self.name}"

    def span(self) -> Span:
        """Return which positions are on disk now, those that another process has written included."""
        records = self.journal.parts.records
        self.journal.lease.refresh()
        if not self._flushes:
            self.journal.history.refresh()
        end = self.journal.flush() if self._flushes else records.end
        return Span(self.journal.statistics().start, end)

    def entries(self, start: int, end: int | None = None) -> Iterator[Entry[Msg]]:
        """Give exactly these; `Lagged` if the first was forgotten, `Corrupt` with the position of what is damaged."""
        for recorded in self.journal.history.exactly(start, self.span().end or 0 if end is None else end):
            yield Entry(*recorded)

    def set_aside(self) -> Mapping[int, str]:
        """Return the positions that runs pass over, and why."""
        return self.journal.set_aside()

    def number_of(self, mark: Mark) -> int:
        """Return the position that an aggregate has stored; `SourceChanged` if it was of another journal."""
        if mark.fingerprint not in ("", self.identity):
            raise SourceChanged(self.source_name, "it is another journal of the same name, or it was begun anew")
        return int(mark.position)


class SourceHistory(Generic[Msg]):
    """A source as a history: positions are numbers of records, from 0.

    A pass begins at any record of a file at once; other sources, whose positions may be anything, are read from their beginning.
    """

    has_sent = False
    identity = ""

    def __init__(self, source: Source[Msg]) -> None:
        self._source = source
        self.name = source.name

    @property
    def source_name(self) -> str:
        """The name under which an aggregate stores how far it was read."""
        return self.name

    def span(self) -> Span:
        """Return that it begins at 0; where it ends only reading it can tell."""
        return Span(0, None)

    def entries(self, start: int, end: int | None = None) -> Iterator[Entry[Msg]]:
        """Give the records from the number `start` to before `end`, or those that there are; it ends where an endless source is idle."""
        if end is not None and end <= start:
            return
        source = _opened(self._source)
        counts = isinstance(source, OpenedFile)
        with closing(source.read(start if counts and start else None)) as reading:
            for number, message in enumerate(_until_idle(reading), start if counts else 0):
                if number >= start:
                    if isinstance(message, Undecoded):
                        yield Entry(number, None, None, reading.position, message)
                    else:
                        yield Entry(number, None, message, reading.position)
                if end is not None and number + 1 >= end:
                    return

    def is_file(self, path: str | os.PathLike[str]) -> bool:
        """Return whether the source is the file that the path names."""
        source = self._source
        return isinstance(source, FileSource) and os.path.exists(path) and os.path.samefile(source.location, path)

    def set_aside(self) -> Mapping[int, str]:
        """Return that nothing was: what an aggregate sets aside it does not store with its source."""
        return {}

    def number_of(self, mark: Mark) -> int:
        """Return how many records come before a position that an aggregate has stored; `SourceChanged` for another stream's."""
        source = _opened(self._source)
        if isinstance(source, OpenedFile):
            with source:
                source.recognise(mark.fingerprint)
            return int(mark.position)
        source.recognise(mark.fingerprint)
        with closing(source.read(None)) as reading:
            for number, _ in enumerate(_until_idle(reading), 1):
                if reading.position == mark.position:
                    return number
        raise SourceChanged(self.name, "it does not come to the position that was stored")


def _opened(source: Source[Msg]) -> Source[Msg]:
    return source.open_once() if isinstance(source, Openable) else source


def _until_idle(reading: Reading[Msg]) -> Iterator[Msg | Undecoded | None]:
    """Give what the records are, up to the end, or to where there is none for now: a pass that goes on has another position."""
    before: object = None
    for message in reading:
        if message is None and reading.position == before:
            return
        before = reading.position
        yield message


def is_file_of(history: object, path: str | os.PathLike[str]) -> bool:
    """Return whether the path is that of the file that the history is read from."""
    return isinstance(history, SourceHistory) and history.is_file(path)
