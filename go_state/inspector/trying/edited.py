"""A history with messages edited, left out and put in, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Generic, Literal, NamedTuple, TypeVar, cast

from go_state.core.errors import GoStateError, UsageError
from go_state.core.ports import Entry, History, Span
from go_state.history.reading.folding import entries_of
from go_state.history.reading.opened import Opened
from go_state.inspector.looking.stored import StoredHistory
from go_state.storage.codec.codecs import message_codec
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.codec.program_types import message_type, migrations_of

Msg = TypeVar("Msg")

_MOST = 100  # edits
_LONGEST = 1 << 20  # bytes of a message that is put in


class Edit(NamedTuple, Generic[Msg]):
    """One change: the message is edited or left out, or another one is put in before it."""

    do: Literal["edit", "drop", "insert"]
    position: int
    message: Msg | None


def codec_of(work: Opened[object, Msg]) -> MessageCodec[Msg]:
    """Return what reads and writes the messages of a program."""
    history = work.history
    if isinstance(history, StoredHistory) and history.codec is not None:
        return cast("MessageCodec[Msg]", history.codec)
    return message_codec(message_type(work.program), work.program.schema, migrations_of(work.program))


def edits_of(work: Opened[object, Msg], given: object, first: int, end: int) -> list[Edit[Msg]]:
    """Return the edits as the page says them, by position; `UsageError` says what is wrong with one."""
    if not isinstance(given, list) or len(given) > _MOST:
        raise UsageError(f"edits are a list of at most {_MOST}")
    codec = codec_of(work)
    return sorted((_edit(codec, each, first, end) for each in given), key=lambda edit: edit.position)


def _edit(codec: MessageCodec[Msg], given: object, first: int, end: int) -> Edit[Msg]:
    if not isinstance(given, dict) or given.get("do") not in ("edit", "drop", "insert"):
        raise UsageError('an edit is {"do": "edit" | "drop" | "insert", "position": …, "message": …}')
    do, position, written = given["do"], given.get("position"), given.get("message")
    if type(position) is not int or not first <= position < end:
        raise UsageError(f"an edit is at one of the positions {first} to {end - 1}, not {position!r}"[:200])
    if do == "drop":
        return Edit(do, position, None)
    if not isinstance(written, str) or len(written) > _LONGEST:
        raise UsageError(f"the message at position {position} is given as JSON, of up to a megabyte")
    try:
        return Edit(do, position, codec.decode(written.encode()))
    except (ValueError, GoStateError, RecursionError) as error:
        raise UsageError(f"this is no message of the program: {error}"[:1000]) from None


class EditedHistory(Generic[Msg]):
    """A history as it would be with the edits. A position has one message or several, or none."""

    def __init__(self, history: History[Msg], edits: Sequence[Edit[Msg]]) -> None:
        self.name = history.name
        self.identity = history.identity
        self.has_sent = history.has_sent
        self._history = history
        self._edits: dict[int, list[Edit[Msg]]] = {}
        for edit in edits:
            self._edits.setdefault(edit.position, []).append(edit)

    def span(self) -> Span:
        """Return which positions there are."""
        return self._history.span()

    def set_aside(self) -> Mapping[int, str]:
        """Return what runs have passed over, but for what is edited."""
        return {position: why for position, why in self._history.set_aside().items() if position not in self._edits}

    def entries(self, start: int, end: int | None = None) -> Iterator[Entry[Msg]]:
        """Give the messages as they would be."""
        return self.edited(entries_of(self._history, start, end))

    def edited(self, entries: Iterable[Entry[Msg]]) -> Iterator[Entry[Msg]]:
        """Give these messages as they would be."""
        for entry in entries:
            if entry.position in self._edits:
                yield from self.at(entry)
            else:
                yield entry

    def at(self, entry: Entry[Msg]) -> list[Entry[Msg]]:
        """Return what stands in the place of one message."""
        edits = self._edits.get(entry.position, [])
        before = [entry._replace(message=edit.message) for edit in edits if edit.do == "insert"]
        changed = next((edit for edit in edits if edit.do != "insert"), None)
        own = entry if changed is None else entry._replace(message=changed.message)
        return [*before, own]
