"""What a journal has on disk, as messages: their type, and reading them without being a reader.

Nothing here writes, takes the lease, or takes part in retention.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from go_state.buffer.log import Log
from go_state.core.errors import Corrupt, Lagged
from go_state.storage.journal.commit.in_hand import InHand
from go_state.storage.journal.message_type import MessageType
from go_state.storage.journal.tail import Tail
from go_state.storage.records.layout import Block
from go_state.storage.records.records import Records

Msg = TypeVar("Msg")
Held = TypeVar("Held", covariant=True)


class Recorded(NamedTuple, Generic[Held]):
    """A message of a journal: its position, when it entered (seconds since 1970, UTC), and itself."""

    position: int
    at: float
    message: Held


Rewrite: TypeAlias = Callable[[Recorded[Any]], object]
"""Returns what a message is from now on: itself, another, or None. Any: of one that cannot be read it is given the JSON."""


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
        """Read the beginning and the end of the journal, unless they are known."""
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
        """Give the blocks on disk that hold the positions from `start` to before `end`, if they exist, with both bounds."""
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
            schema, types = self._kind.written_as.schema, self._kind.written_as.types
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
