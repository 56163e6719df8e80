"""A file of records as a history that is asked again and again.

To find a record, all before it in the file are read: of what was read last some is kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

from go_state.core.ports import Entry, Span
from go_state.history.reading.histories import SourceHistory

Msg = TypeVar("Msg")

_CHUNK = 2048  # records that are read together
_CHUNKS = 16  # that are kept


class FileHistory(Generic[Msg]):
    """A source as a history, the last records of which that were read are kept."""

    has_sent = False

    def __init__(self, history: SourceHistory[Msg]) -> None:
        self.name = history.name
        self.identity = history.identity
        self._history = history
        self._lock = threading.Lock()  # guards the chunks
        self._chunks: OrderedDict[int, Sequence[Entry[Msg]]] = OrderedDict()  # by their number, the least recently used first

    def span(self) -> Span:
        """Return that it begins at 0; where it ends only reading it can tell."""
        return self._history.span()

    def set_aside(self) -> Mapping[int, str]:
        """Return that nothing was."""
        return self._history.set_aside()

    def entries(self, start: int, end: int | None = None) -> Iterator[Entry[Msg]]:
        """Give the records from the number `start` to before `end`, or those that there are."""
        position, reading = start, None
        while end is None or position < end:
            number = position // _CHUNK
            chunk = self._kept(number) if reading is None else None
            if chunk is None:
                if reading is None:
                    reading = self._history.entries(number * _CHUNK, None if end is None else -(-end // _CHUNK) * _CHUNK)
                chunk = list(islice(reading, _CHUNK))
                self._keep(number, chunk)
            first = number * _CHUNK
            yield from chunk[position - first : None if end is None else end - first]
            if len(chunk) < _CHUNK:
                return
            position = first + _CHUNK

    def _kept(self, number: int) -> Sequence[Entry[Msg]] | None:
        with self._lock:
            chunk = self._chunks.get(number)
            if chunk is not None:
                self._chunks.move_to_end(number)
            return chunk

    def _keep(self, number: int, chunk: Sequence[Entry[Msg]]) -> None:
        with self._lock:
            self._chunks[number] = chunk
            self._chunks.move_to_end(number)
            while len(self._chunks) > _CHUNKS:
                self._chunks.popitem(last=False)
