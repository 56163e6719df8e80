"""A journal as it is stored: read without its lease, and unnoticed by whoever writes it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from go_state.core.errors import Corrupt, Lagged
from go_state.core.ports import Entry, Span, Stored
from go_state.core.program import Program
from go_state.history.reading.starts import Start
from go_state.modes.keeping.keyframes import MARK
from go_state.modes.keeping.schema import schema_of
from go_state.storage.codec.codecs import message_codec
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.codec.program_types import message_type, migrations_of
from go_state.storage.records.backend import JournalStore
from go_state.storage.records.layout import Block
from go_state.storage.records.records import PROGRAM, Records
from go_state.storage.snapshots.snapshot import Schema, read_envelope

Model = TypeVar("Model")
Msg = TypeVar("Msg")


_FRESH = 1.0  # seconds for which the positions of keyframes are taken as they were


class StoredHistory(Generic[Model, Msg]):
    """A journal in a store as a history. Without a program its messages are what their JSON is."""

    has_sent = True

    def __init__(self, store: JournalStore, name: str, program: Program[Model, Msg] | None) -> None:
        self.name = name
        self.records = Records(store, name)
        self._store = store
        self.codec: MessageCodec[Msg] | None = None
        self._schema: Schema[Model] | None = None
        self._keyframes: tuple[float, list[int]] = (-_FRESH - 1, [])  # when they were read, and which there were
        if program is not None:
            self.codec = message_codec(message_type(program), program.schema, migrations_of(program))
            self._schema = schema_of(program, None)

    @property
    def identity(self) -> str:
        """The journal's id."""
        return self.records.journal_id

    def span(self) -> Span:
        """Return which positions are on disk now."""
        self.records.refresh()
        return Span(self.records.start, self.records.end)

    def raw(self, start: int | None = None, end: int | None = None) -> Iterator[tuple[Block, int, int]]:
        """Give the blocks that hold the positions from `start` to before `end`, if they exist, with both bounds."""
        self.records.refresh()
        first = self.records.start if start is None else max(start, self.records.start)
        last = self.records.end if end is None else min(end, self.records.end)
        for block in self.records.blocks(first):
            if block.first >= last:
                return
            yield block, first, last

    def entries(self, start: int, end: int | None = None) -> Iterator[Entry[Msg]]:
        """Give exactly these messages, None for one that cannot be read and was set aside. Raises `Lagged` and `Corrupt`."""
        begin, there = self.span()
        if start < begin:
            raise Lagged(begin - start, begin)
        last = there if end is None else min(end, there or 0)
        for block, _, _ in self.raw(start, last):
            yield from self._of_block(block, start, last or 0)

    def _of_block(self, block: Block, start: int, end: int) -> Iterator[Entry[Msg]]:
        messages = self._decoded(block)
        position = block.first
        for number, at in block.times():
            for _ in range(number):
                if start <= position < end:
                    yield Entry(position, at / 1e6, messages[position - block.first])
                position += 1

    def _decoded(self, block: Block) -> list[Msg | None]:
        if self.codec is None:
            from msgspec import json

            return [json.decode(record) for record in block.records()]
        try:
            return list(self.codec.decode_block(self.name, block))
        except Corrupt:
            raise
        except Exception:
            aside = self.set_aside()
            return [
                None if one.first in aside else message
                for one in block.each()
                for message in ([None] if one.first in aside else self.codec.decode_block(self.name, one))
            ]

    def lists(self, start: int, end: int) -> Iterator[list[Msg | None]]:
        """Give exactly the messages from `start` to before `end`, a block at a time, None for those that runs pass over."""
        aside = self.set_aside()
        position = start
        for block, _, _ in self.raw(start, end):
            messages = self._decoded(block)[position - block.first : min(block.end, end) - block.first]
            if not aside.keys().isdisjoint(range(position, position + len(messages))):
                messages = [None if number in aside else message for number, message in enumerate(messages, position)]
            yield messages
            position += len(messages)
        if position < end:
            raise Lagged(end - position, position)

    def set_aside(self) -> Mapping[int, str]:
        """Return the positions that runs pass over, and why."""
        return self.records.set_aside()

    def applied(self) -> int | None:
        """Return how far the program has come, as the store has it; None if no program has read it."""
        return self.records.reached.get(PROGRAM)

    # ------------------------------------------------------------------ keyframes

    def keyframes(self) -> list[int]:
        """Return the positions of the models that were kept, as they were within the last second."""
        read, found = self._keyframes
        if time.monotonic() - read > _FRESH:
            newest = self._position(self._store.load(self.name))
            kept = self._store.keyframes(self.name)
            found = sorted({*kept, newest}) if newest is not None else kept
            self._keyframes = time.monotonic(), found
        return found

    def _position(self, stored: Stored | None) -> int | None:
        """Return the position at which a model stands; None for one that is not of this journal."""
        mark = None if stored is None else read_envelope(self.name, stored.data).marks.get(MARK)
        return mark.position if mark is not None and type(mark.position) is int and mark.fingerprint == self.identity else None

    def start(self, position: int) -> Start[Model]:
        """Return the nearest there is to fold from on the way to the position: a model that was kept, or the beginning."""
        begin, kept = self.span().start, self.keyframes()
        for each in reversed(kept):
            if not begin <= each <= position or self._schema is None:
                continue
            stored = self._store.load_keyframe(self.name, each) or (self._store.load(self.name) if each == kept[-1] else None)
            found = self._position(stored)  # which may be another by now: the program saves while this is looked at
            if stored is not None and found is not None and begin <= found <= position:
                return Start(found, {None: self._schema.loaded(self._store, self.name, stored).model})
        if begin:
            raise Lagged(begin - position if position < begin else begin, begin)
        return Start(0)
