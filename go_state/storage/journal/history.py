"""What a journal has on disk, as messages: their type, and reading them without being a reader.

Nothing here writes, takes the lease, or takes part in retention.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar

from go_state.buffer.log import Log
from go_state.core.errors import Corrupt, Incompatible, Lagged, UsageError
from go_state.core.migrations import Migration
from go_state.storage.codec.codec import MessageCodec
from go_state.storage.codec.codecs import message_codec
from go_state.storage.journal.group_commit import InHand
from go_state.storage.journal.tail import Tail
from go_state.storage.records.records import Block, Records

if TYPE_CHECKING:
    from go_state.storage.types.description import Description

Msg = TypeVar("Msg")


class Recorded(NamedTuple, Generic[Msg]):
    """A message of a journal: its position, when it entered (seconds since 1970, UTC), and itself."""

    position: int
    at: float
    message: Msg


class MessageType(Generic[Msg]):
    """The type of a journal's messages: how they are encoded, and decoded. Without one they can be read as JSON, and not written."""

    def __init__(self, records: Records, aside: Mapping[int, str]) -> None:
        self._records = records
        self._aside = aside  # what was set aside and is not on disk yet; see `RunRecord`
        self._codec: MessageCodec[Msg] | None = None
        self.encode_one: Callable[[Msg], bytes] = self._untyped  #: returns the JSON of one message

    def set(self, kind: Any, schema: int | None = None, migrations: Mapping[int, Migration] = MappingProxyType({})) -> None:
        """Say of what type the messages are, and of which schema; `UsageError` if they have another already."""
        if schema is None:
            schema = 1 if self._codec is None else self._codec.schema
        if self._codec is not None and self._codec.is_for(kind, schema, migrations):
            return
        codec: MessageCodec[Msg] = message_codec(kind, schema, migrations)
        if self._codec is not None and self._codec.kind != codec.kind:
            raise UsageError(f"the journal {self._records.name!r} is open with messages of another type: {self._codec.kind!r}")
        self._codec = codec
        self.encode_one = codec.encode

    def _untyped(self, message: object) -> NoReturn:
        raise UsageError(f"say what the messages are to put some: store.journal({self._records.name!r}, of=Msg)")

    def warn_of_changes(self) -> None:
        """Warn with `TypesChanged` if the messages that were written last may be read as something else today.

        Raises `Incompatible` if they cannot be read.
        """
        from go_state.storage.types.compatibility import check_changes

        last, name = self._records.last_block(), self._records.name
        if last is not None and self._codec is not None and last.schema == self._codec.schema:
            check_changes(self._records.store, last.types, self._codec.types, name, f"the journal {name!r}")

    def written_as(self) -> tuple[int, Description | None]:
        """Return the schema that messages are written in today, and the description of their type."""
        return (1, None) if self._codec is None else (self._codec.schema, self._codec.types)

    def encode(self, messages: Sequence[Msg]) -> list[bytes]:
        """Return the JSON of each message; `NotStorable` for one that would not read back equal."""
        if self._codec is None:
            self._untyped(messages)
        return list(map(self.encode_one, messages))

    def decode(self, data: bytes) -> Msg:
        """Return the message of a record's JSON; `ValueError` if it is none of the journal's."""
        if self._codec is None:
            raise UsageError(f"say what the messages are: store.journal({self._records.name!r}, of=Msg)")
        return self._codec.decode(data)

    def decode_block(self, block: Block) -> list[Msg]:
        """Return the block's messages; `Incompatible` for one that cannot be read."""
        messages, error = self.decode_as_far(block)
        if error is not None:
            raise error
        return messages

    def decode_as_far(self, block: Block) -> tuple[list[Msg], Incompatible | None]:
        """Return the block's messages, or those before the first that cannot be read, and why; None for what was set aside so.

        What was set aside is looked up only if a message cannot be read: a message is rarely set aside, and blocks are many.
        """
        if self._codec is None:
            from msgspec import json

            return list(map(json.decode, block.records())), None
        name = self._records.name
        try:
            return self._codec.decode_block(name, block), None
        except Incompatible:
            aside = dict(self._aside)  # first: what is written meanwhile is found on disk
            aside |= self._records.set_aside()
        messages: list[Any] = []
        for one in block.each():
            try:
                messages += self._codec.decode_block(name, one)
            except Incompatible as error:
                if one.first not in aside:
                    return messages, error
                messages.append(None)
        return messages, None


class History(Generic[Msg]):
    """Reads a journal: what is on disk, and what waits in memory to be written."""

    def __init__(
        self,
        records: Records,
        log: Log[Msg],
        tail: Tail[Msg],
        kind: MessageType[Msg],
        in_hand: InHand[Msg],
        knows_disk: Callable[[], bool],
    ) -> None:
        self._records = records
        self._log = log
        self._tail = tail
        self._kind = kind
        self._in_hand = in_hand
        self._knows_disk = knows_disk

    def refresh(self) -> None:
        """Look where the journal begins and ends, unless that is known."""
        if not self._knows_disk():
            self._records.refresh()

    def read(self, start: int | None = None, end: int | None = None) -> Iterator[Recorded[Msg]]:
        """Give what is on disk from the position `start` to before `end`, with positions and times of entry.

        It begins later if the first ones were forgotten. What was set aside because it cannot be read is None. Raises `Lagged` if
        others are forgotten while they are read, and `Corrupt` with the position of what is damaged.
        """
        for block, first, last in self.raw(start, end):
            yield from self._recorded(block, first, last)

    def exactly(self, start: int, end: int) -> Iterator[Recorded[Msg]]:
        """Give the messages from `start` to before `end`, every one of them: what is folded has no gap.

        Raises `Lagged` when one was forgotten, and `Corrupt` when the journal ends before `end`.
        """
        for block, first, last in self._blocks(start, end):
            yield from self._recorded(block, first, last)

    def chunks(self, start: int, end: int) -> Iterator[tuple[int, list[Msg]]]:
        """Give exactly these without times, block by block: the position of the first message, and the messages."""
        for block, first, last in self._blocks(start, end):
            yield first, self._kind.decode_block(block)[first - block.first : last - block.first]

    def _blocks(self, start: int, end: int) -> Iterator[tuple[Block, int, int]]:
        """Give each block that holds some of these positions, with the first of them that it holds, and the one after the last."""
        self.refresh()
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
            raise Corrupt(self._records.name, what, position=position)

    def raw(self, start: int | None = None, end: int | None = None) -> Iterator[tuple[Block, int, int]]:
        """Give the blocks on disk that hold the positions from `start` to before `end`, as far as they are there, with both bounds."""
        self.refresh()
        first = self._records.start if start is None else max(start, self._records.start)
        last = self._records.end if end is None else min(end, self._records.end)
        for block in self._records.blocks(first):
            if block.first >= last:
                return
            yield block, first, last

    def all_blocks(self) -> Iterator[tuple[Block, int, int]]:
        """Give the blocks as `raw` does, and as one more those messages that have entered and are not on disk yet."""
        self.refresh()
        waiting = self._waiting()  # first: what is written meanwhile is found on disk, and must not be given twice
        yield from self.raw(end=None if waiting is None else waiting.first)
        if waiting is not None:
            yield waiting, waiting.first, waiting.end

    def _waiting(self) -> Block | None:
        """Return the messages that have entered and are not on disk, as if they were; None if there are none.

        Those that are just being written, and enter only if that succeeds, are left out, and the ones behind them move up.
        """
        with self._log.lock:
            self._log.absorb()
            tail = self._tail
            first = max(tail.durable, self._records.end)  # where an interrupted write has come to
            number = max(tail.end - first, 0)
            records = tail.pending[len(tail.pending) - number :]
            dates = [at for count, at in tail.times for _ in range(count)]
            dates = dates[len(dates) - number :]
            for places in reversed(self._in_hand.places()):
                left_out = slice(max(places.start - first, 0), max(places.stop - first, 0))
                del records[left_out], dates[left_out]
            schema, types = self._kind.written_as()
        if not records:
            return None
        at = b",".join(b"[1,%d]" % each for each in dates)
        data = b'{"at":[%b],"records":[%b]}' % (at, b",".join(records))
        return Block(self._records.name, first, len(records), schema, "" if types is None else types.digest, data)

    def slice(self) -> list[Msg]:
        """Return all messages that have entered, oldest first, those that are not on disk yet included."""
        return [each.message for block, first, last in self.all_blocks() for each in self._recorded(block, first, last)]

    def undecoded(self, position: int) -> object:
        """Return the message at the position as JSON that is of no type, such as ["Add", {"by": 1}]."""
        from msgspec import json

        block, _, _ = next(self._blocks(position, position + 1))
        found: object = json.decode(block.records()[position - block.first])
        return found

    def _recorded(self, block: Block, first: int, last: int) -> Iterator[Recorded[Msg]]:
        """Give the block's messages from the position `first` to before `last`."""
        messages, error = self._kind.decode_as_far(block)
        position = block.first
        for count, at in block.times():
            for _ in range(count):
                if position - block.first == len(messages) and error is not None:
                    raise error
                if first <= position < last:
                    yield Recorded(position, at / 1e6, messages[position - block.first])
                position += 1

    def entered_by(self, seconds: float) -> int:
        """Return the position of the first block whose last message entered less than `seconds` ago."""
        since = (time.time() - seconds) * 1e6
        for block, _, _ in self.raw():
            if block.times()[-1].at > since:
                return block.first
        return self._records.end
