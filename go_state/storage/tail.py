"""What a journal retains: every message on disk, the newest of them in memory as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from go_state.buffer.retained import Retained
from go_state.core.errors import Incompatible, UsageError
from go_state.storage.records import Block, Records
from go_state.storage.times import Times, after

Msg = TypeVar("Msg")

_DECODED = 4  # blocks kept decoded: readers that read one message at a time stand in few places
_IN_MEMORY = 16 * 1024  # messages; a reader further behind reads them from disk


class Tail(Retained[Msg]):
    """A `Retained` whose messages up to `durable` are on disk; those after it are `pending`. The journal's lock guards it."""

    __slots__ = ("_dated", "_decode", "_decoded", "_records", "durable", "pending", "times")

    def __init__(self, records: Records, decode: Callable[[Block], tuple[list[Msg], Incompatible | None]]) -> None:
        super().__init__()
        self._records = records
        self._decode = decode
        self._dated: tuple[Block, list[Times]] | None = None  # the block whose times were last asked for
        self._decoded: dict[int, tuple[Block, list[Msg]]] = {}
        self.pending: list[bytes] = []  # the JSON of the messages that are not on disk
        self.times: list[Times] = []  # when those entered
        self.start = records.start
        self.end = self.durable = self._base = records.end

    def enter(self, messages: Iterable[Msg], encoded: Iterable[bytes], times: Iterable[Times]) -> None:
        """Append messages that are not on disk yet."""
        messages = list(messages)
        number = len(messages)
        # No call from here on: see Buffer._absorb.
        self.pending += encoded
        self.times += times
        self._items += messages
        self.end += number

    def written(self, position: int) -> None:
        """Hear that the messages before the position are on disk. Done twice it is done once, whatever came between."""
        self.durable = max(position, self.durable)
        left = self.end - self.durable
        del self.pending[: len(self.pending) - left]
        over = sum(run.number for run in self.times) - left
        self.times = self.times if over <= 0 else after(self.times, over)

    def read(self, position: int, limit: int) -> list[Msg]:
        """Return up to `limit` messages from the position on: from memory, or those of one block on disk."""
        limit = min(limit, self.durable - position)
        if limit <= 0:
            return []
        if position >= self._base:
            return super().read(position, limit)
        block, messages = next((b for b in self._decoded.values() if b[0].holds(position)), (None, None))
        if block is None or messages is None:
            block = self._records.block(position)
            if block is None:
                return []
            messages, error = self._decode(block)
            if error is not None:  # those before it are given first, so that it is known which one it is
                if position >= block.first + len(messages):
                    raise error
                return messages[position - block.first : position - block.first + limit]
            while len(self._decoded) >= _DECODED:
                self._decoded.pop(next(iter(self._decoded)))
            self._decoded[block.first] = block, messages
        return messages[position - block.first : position - block.first + limit]

    def entered(self, position: int) -> float:
        """Return when the message at the position entered, in seconds since 1970."""
        if position >= self.durable:
            times, first = self.times, self.durable
        else:
            block = (
                self._records.block(position) if self._dated is None or not self._dated[0].holds(position) else self._dated[0]
            )
            if block is None:
                raise UsageError(f"there is no message at position {position}")
            if self._dated is None or self._dated[0] is not block:
                self._dated = block, block.times()
            times, first = self._dated[1], block.first
        for run in times:
            first += run.number
            if position < first:
                return run.at / 1e6
        raise UsageError(f"there is no message at position {position}")

    def trim(self, start: int) -> None:
        """Forget in memory what is before `start` and on disk."""
        dead = min(start, self.durable) - self._base
        if dead > 0 and dead * 2 >= len(self._items):  # amortised, as of any Retained
            del self._items[:dead]
            self._base += dead

    def catch_up(self) -> None:
        """Hear that the records may begin later, or have grown by what was not entered here: then nothing is pending."""
        self.start = self._records.start
        if self._records.end > self.end:
            self._items = []
            self._decoded = {}
            self.end = self.durable = self._base = self._records.end

    def bound(self) -> None:
        """Keep no more in memory than a reader that keeps up needs."""
        if self.durable - self._base > _IN_MEMORY:
            self.trim(self.durable)
