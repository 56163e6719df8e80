"""What a journal has on disk, as messages: their type, and reading them without being a reader that anybody waits for."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from go_state.core.errors import Corrupt, Incompatible, Lagged, UsageError
from go_state.core.migrations import Migration
from go_state.storage.codec.codecs import message_codec
from go_state.storage.codec.message_codec import MessageCodec
from go_state.storage.records.backend import JournalStore
from go_state.storage.records.block import Block
from go_state.storage.records.records import Records

Msg = TypeVar("Msg")


class Recorded(NamedTuple, Generic[Msg]):
    """A message of a journal: its position, when it entered (seconds since 1970, UTC), and itself."""

    position: int
    at: float
    message: Msg


class History(Generic[Msg]):
    """The records of a journal and the type of its messages; the half of `Journal` that only reads."""

    def __init__(self, records: Records) -> None:
        self.name = records.name
        self._records = records
        self._codec: MessageCodec[Msg] | None = None
        self._aside: dict[int, str] = {}  # what was set aside since the last flush; guarded by the buffer's lock
        # Whether the lease is ours, so that nobody else writes, and what others had written before is known.
        self._has_lease = False

    def set_message_type(
        self, kind: Any, schema: int | None = None, migrations: Mapping[int, Migration] = MappingProxyType({})
    ) -> None:
        """Say of what type the messages are, and of which schema; `UsageError` when they have another."""
        if schema is None:
            schema = 1 if self._codec is None else self._codec.schema
        if self._codec is not None and self._codec.is_for(kind, schema, migrations):
            return
        codec: MessageCodec[Msg] = message_codec(kind, schema, migrations)
        if self._codec is not None and self._codec.kind != codec.kind:
            raise UsageError(f"the journal {self.name!r} is open with messages of another type: {self._codec.kind!r}")
        self._codec = codec
        self._encode_one = codec.encode

    def warn_of_changes(self) -> None:
        """Warn with `TypesChanged` where the messages that were written last may be read as something else today; raise
        `Incompatible` where they cannot be read.
        """
        from go_state.storage.types.compatibility import check_changes

        last = self._records.last_block()
        if last is not None and self._codec is not None and last.schema == self._codec.schema:
            check_changes(self.store, last.types, self._codec.types, self.name, f"the journal {self.name!r}")

    def _encode(self, messages: Sequence[Msg]) -> list[bytes]:
        if self._codec is None:
            raise UsageError(f"say what the messages are to put some: store.journal({self.name!r}, of=Msg)")
        return list(map(self._codec.encode, messages))

    def _decode(self, block: Block) -> list[Msg]:
        messages, error = self._decode_as_far(block)
        if error is not None:
            raise error
        return messages

    def _decode_as_far(self, block: Block) -> tuple[list[Msg], Incompatible | None]:
        """Return the block's messages, or those before the first that cannot be read, and why; None for what was set aside so.

        What was set aside is looked for only where a message cannot be read: a message is rarely set aside, and blocks are many.
        """
        if self._codec is None:
            from msgspec import json

            return list(map(json.decode, block.records())), None
        try:
            return self._codec.decode_block(self.name, block), None
        except Incompatible:
            aside = dict(self._aside)  # first: what is written meanwhile is found on disk
            aside |= self._records.set_aside()
        messages: list[Any] = []
        for one in block.each():
            try:
                messages += self._codec.decode_block(self.name, one)
            except Incompatible as error:
                if one.first not in aside:
                    return messages, error
                messages.append(None)
        return messages, None

    @property
    def store(self) -> JournalStore:
        """The store that it lies in."""
        return self._records.store

    @property
    def journal_id(self) -> str:
        """What tells this journal from every other; empty before the first write."""
        return self._records.journal_id

    def read(self, start: int | None = None, end: int | None = None) -> Iterator[Recorded[Msg]]:
        """Give what is on disk from the position `start` to before `end`, with positions and times of entry.

        It takes no part in retention, and begins later where the first ones were forgotten. What was set aside because it cannot
        be read is None. Raises `Lagged` when others are forgotten while they are read, and `Corrupt` with the position of what is
        damaged.
        """
        for block, first, last in self.raw(start, end):
            for recorded in self._recorded(block):
                if first <= recorded.position < last:
                    yield recorded

    def exactly(self, start: int, end: int) -> Iterator[Recorded[Msg]]:
        """Give the messages from `start` to before `end`, every one of them: what is folded has no gap.

        Raises `Lagged` when one was forgotten, and `Corrupt` when the journal ends before `end`.
        """
        for block, first, last in self._blocks(start, end):
            for recorded in self._recorded(block):
                if first <= recorded.position < last:
                    yield recorded

    def chunks(self, start: int, end: int) -> Iterator[tuple[int, list[Msg]]]:
        """Give exactly these without times, block by block: the position of the first message, and the messages."""
        for block, first, last in self._blocks(start, end):
            yield first, self._decode(block)[first - block.first : last - block.first]

    def _blocks(self, start: int, end: int) -> Iterator[tuple[Block, int, int]]:
        """Give each block that holds some of these positions, with the first of them that it holds, and the one after the last."""
        if not self._has_lease:
            self._records.refresh()
        position, begin = start, self._records.start
        if position < begin:
            raise Lagged(begin - position, begin)
        for block in self._records.blocks(position) if position < end else ():
            last = min(block.end, end)
            yield block, position, last
            position = last
            if position == end:
                return
        if position < end:
            what = f"it ends at position {position}, and a program was at {end} already"
            raise Corrupt(self.name, what, position=position)

    def raw(self, start: int | None = None, end: int | None = None) -> Iterator[tuple[Block, int, int]]:
        """Give the blocks on disk that hold the positions from `start` to before `end`, as far as they are there, with both bounds."""
        if not self._has_lease:
            self._records.refresh()
        first = self._records.start if start is None else max(start, self._records.start)
        last = self._records.end if end is None else min(end, self._records.end)
        for block in self._records.blocks(first):
            if block.first >= last:
                return
            yield block, first, last

    def undecoded(self, position: int) -> Any:
        """Return the message at the position as JSON that is of no type, such as ["Add", {"by": 1}]."""
        from msgspec import json

        block, _, _ = next(self._blocks(position, position + 1))
        return json.decode(block.records()[position - block.first])

    def decode(self, data: bytes) -> Msg:
        """Return the message of a record's JSON; `ValueError` when it is none of the journal's."""
        if self._codec is None:
            raise UsageError(f"say what the messages are: store.journal({self.name!r}, of=Msg)")
        return self._codec.decode(data)

    def _recorded(self, block: Block) -> Iterator[Recorded[Msg]]:
        messages, error = self._decode_as_far(block)
        position = block.first
        for count, at in block.times():
            for _ in range(count):
                if position - block.first == len(messages) and error is not None:
                    raise error
                yield Recorded(position, at / 1e6, messages[position - block.first])
                position += 1

    def entered_by(self, seconds: float) -> int:
        """Return the position of the first block whose last message entered less than so many seconds ago."""
        since = (time.time() - seconds) * 1e6
        for block, _, _ in self.raw():
            if block.times()[-1].at > since:
                return block.first
        return self._records.end
