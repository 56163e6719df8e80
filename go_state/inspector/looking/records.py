"""The messages of a subject as they are stored: their types, times and texts, without decoding more than is shown."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from go_state.core.ports import Entry, History, Span
from go_state.inspector.looking.stored import StoredHistory
from go_state.inspector.values.redaction import HIDDEN, Redaction
from go_state.inspector.values.summary import summary
from go_state.inspector.values.text import shown
from go_state.storage.records.layout import EMPTIED, Block

Model = TypeVar("Model")
Msg = TypeVar("Msg")

EMPTY = "(emptied)"
"""What takes the place of the type of a message that was emptied, or cannot be read."""
UNREADABLE = "(unreadable)"
"""What takes the place of the type of a record that is no message."""
_CHUNK = 4096  # messages of a history that is no journal, looked at together
_BLOCKS = 16  # blocks that are kept
_LARGE = 1 << 16  # bytes of a record from which on only its beginning is shown in a row
_TYPE = 80  # characters of a type's name


class Chunk(NamedTuple):
    """Messages one after the other: the position of the first, their types, when each entered if that is known, and their bytes."""

    first: int
    types: Sequence[str]
    times: Sequence[float] | None
    bytes: int


class Line(NamedTuple):
    """One message in a line."""

    position: int
    at: float | None
    kind: str
    text: str


class Records(Protocol):
    """The messages of a subject."""

    def span(self) -> Span:
        """Return which positions there are now; the end is None if only reading all can tell."""
        ...

    def chunks(self, start: int) -> Iterator[Chunk]:
        """Give the types and times of all messages from a position on."""
        ...

    def lines(self, start: int, end: int) -> Iterator[Line]:
        """Give the messages from `start` to before `end`, as lines."""
        ...

    def with_text(self, text: str, start: int, end: int) -> Iterator[tuple[int, bool]]:
        """Give each position, or only some of them, and whether its message has the text in it."""
        ...


class JournalRecords(Generic[Model, Msg]):
    """The messages of a journal, as JSON."""

    def __init__(self, stored: StoredHistory[Model, Msg], redaction: Redaction) -> None:
        self._stored = stored
        self._redaction = redaction
        self._read: OrderedDict[int, tuple[Block, list[bytes], list[float]]] = OrderedDict()  # by the first position

    def span(self) -> Span:
        """Return which positions are on disk now."""
        return self._stored.span()

    def chunks(self, start: int) -> Iterator[Chunk]:
        """Give the types and times, block by block."""
        for block, first, last in self._stored.raw(start):
            skipped = first - block.first if first > block.first else 0
            types, times = _types(block), _times(block)
            end = last - block.first
            yield Chunk(block.first + skipped, types[skipped:end], times[skipped:end], len(block.data))

    def lines(self, start: int, end: int) -> Iterator[Line]:
        """Give the messages as lines."""
        position = start
        while position < end and (found := self._block(position)) is not None:
            block, records, times = found
            for index in range(position - block.first, min(block.number, end - block.first)):
                kind, text = self._line(records[index], block.schema)
                yield Line(block.first + index, times[index], kind, text)
            position = block.end

    def _block(self, position: int) -> tuple[Block, list[bytes], list[float]] | None:
        for found in list(self._read.values()):
            if found[0].holds(position):
                return found
        block = self._stored.records.block(position)
        if block is None:
            return None
        self._read[block.first] = found = block, block.records(), _times(block)
        while len(self._read) > _BLOCKS:
            self._read.popitem(last=False)
        return found

    def _line(self, record: bytes, schema: int) -> tuple[str, str]:
        kind = type_of(record)
        if kind == EMPTY:
            return kind, ""
        return kind, _text(record) if self._redaction.is_empty else self._redacted(record, schema)

    def _redacted(self, record: bytes, schema: int) -> str:
        """Return the text of a message without what is hidden, which its own class has to say."""
        codec = self._stored.codec
        try:
            return HIDDEN if codec is None else summary(codec.decode_stored("", record, schema), self._redaction)
        except Exception:  # whatever cannot be read may hold what is hidden
            return HIDDEN

    def with_text(self, text: str, start: int, end: int) -> Iterator[tuple[int, bool]]:
        """Give positions whose message has the text, in lower or upper case; a block without it is passed over at once."""
        import json

        if not self._redaction.is_empty:
            yield from _lines_with(self.lines(start, end), text)
            return
        wanted = json.dumps(text, ensure_ascii=False)[1:-1].lower().encode(errors="replace")
        for block, first, last in self._stored.raw(start, end):
            if wanted in block.data.lower():
                for position, record in enumerate(block.records(), block.first):
                    if first <= position < last and wanted in record.lower():
                        yield position, True
            yield min(block.end, last) - 1, False


class HistoryRecords(Generic[Msg]):
    """The messages of any other history, as objects."""

    def __init__(self, history: History[Msg], redaction: Redaction) -> None:
        self._history = history
        self._redaction = redaction

    def span(self) -> Span:
        """Return which positions the history says it has."""
        return self._history.span()

    def chunks(self, start: int) -> Iterator[Chunk]:
        """Give the types and times, some thousand messages at a time."""
        entries = iter(self._history.entries(start, None))
        while some := list(islice(entries, _CHUNK)):
            times = [each.at for each in some if each.at is not None]
            types = [type_of_entry(each) for each in some]
            yield Chunk(some[0].position, types, times if len(times) == len(some) else None, 0)

    def lines(self, start: int, end: int) -> Iterator[Line]:
        """Give the messages as lines."""
        for each in self._history.entries(start, end):
            message = each.message
            if message is None:
                raw = None if each.undecoded is None else each.undecoded.raw
                text = "" if raw is None else shown(str(raw)[:400], 199) if self._redaction.is_empty else HIDDEN
                yield Line(each.position, each.at, type_of_entry(each), text)
            else:
                yield Line(each.position, each.at, type_name(message), summary(message, self._redaction))

    def with_text(self, text: str, start: int, end: int) -> Iterator[tuple[int, bool]]:
        """Give each position, and whether the line of its message has the text."""
        return _lines_with(self.lines(start, end), text)


def _lines_with(lines: Iterator[Line], text: str) -> Iterator[tuple[int, bool]]:
    wanted = text.casefold()
    for line in lines:
        yield line.position, wanted in line.kind.casefold() or wanted in line.text.casefold()


def type_of_entry(entry: Entry[object]) -> str:
    """Return the type of a message as it is shown, or what is said in its place."""
    if entry.message is not None:
        return type_name(entry.message)
    return EMPTY if entry.undecoded is None else UNREADABLE


def type_name(message: object) -> str:
    """Return the name of a message's class, as it is shown."""
    return shown(type(message).__qualname__, _TYPE)


def _types(block: Block) -> list[str]:
    """Return the type of each message; its name is what its JSON begins with, and nothing more of it is decoded."""
    if not block.emptied:
        from msgspec import DecodeError, Raw, json

        try:
            found: Any = json.decode(block.data, type=_pairs(Raw)).records
            return [_shown_type(name) for name, _ in found]
        except (DecodeError, RecursionError):
            pass
    return [type_of(record) for record in block.records()]


@functools.lru_cache(1024)
def _shown_type(name: str) -> str:
    return shown(name, _TYPE)


def _pairs(raw: type) -> type:
    from msgspec import defstruct

    if "made" not in _PAIRS:
        _PAIRS["made"] = defstruct("Records", [("records", list[tuple[str, raw]])])  # type: ignore[valid-type]
    return _PAIRS["made"]


_PAIRS: dict[str, type] = {}  # made when it is first used: msgspec is not imported before


def type_of(record: bytes) -> str:
    """Return the type of a message by its JSON."""
    from msgspec import DecodeError, json

    if record == EMPTIED:
        return EMPTY
    try:
        if record[:2] == b'["':
            return shown(json.decode(record[1 : record.index(b'"', 2) + 1], type=str), _TYPE)
    except (DecodeError, ValueError):
        pass
    return EMPTY


def _times(block: Block) -> list[float]:
    found: list[float] = []
    for number, at in block.times():
        found += [at / 1e6] * number
    return found


def _text(record: bytes) -> str:
    """Return what a message holds, of its JSON."""
    from msgspec import DecodeError, json

    begin = record.find(b",")
    if len(record) > _LARGE or begin < 0:
        return shown(record[begin + 1 : begin + 400].decode(errors="replace"), 199)
    try:
        found: object = json.decode(record)  # anything
    except (DecodeError, RecursionError):
        return shown(record[begin + 1 : begin + 400].decode(errors="replace"), 199)
    return summary(found[1] if isinstance(found, list) and len(found) > 1 else found, is_stored=True)
