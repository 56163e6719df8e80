"""What a journal's log retains: messages on disk, and the newest in memory, the last of them not written yet; and its readers.

start ........ base ........ durable ........ end
on disk only | on disk and   | in memory only:
| in memory     | `pending`, until a flush
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from go_state.buffer.retained import Place, Retained
from go_state.core.errors import Incompatible, UsageError
from go_state.storage.records.layout import Block, Times, after, merged, split
from go_state.storage.records.records import Records

Msg = TypeVar("Msg")

_DECODED = 4  # blocks kept decoded: readers that read one message at a time stand in few places
_IN_MEMORY = 16 * 1024  # messages; a reader further behind reads them from disk


Entry: TypeAlias = tuple[Msg, bytes, int]
"""An entry of a journal's inbox: a message, its JSON, and when it was put, in nanoseconds since 1970."""


class Decoded(NamedTuple, Generic[Msg]):
    """A block, its messages as far as they can be read, and why not further."""

    block: Block
    messages: list[Msg]
    error: Incompatible | None


class Tail(Retained[Msg]):
    """A `Retained` whose messages up to `durable` are on disk; those after it are `pending`. The log's lock guards it.

    Only what is durable is read from it.
    """

    __slots__ = ("_dated", "_decode", "_decoded", "_records", "_runs", "durable", "pending", "times")

    def __init__(self, records: Records, decode: Callable[[Block], tuple[list[Msg], Incompatible | None]]) -> None:
        super().__init__()
        self._records = records
        self._decode = decode
        self._dated: tuple[int, int, list[Times]] | None = None  # what times were last asked for, and of which positions
        self._runs: dict[int, list[Times]] = {}  # of what was written and is in memory, by the position after the last of them
        self._decoded: dict[int, Decoded[Msg]] = {}
        self.pending: list[bytes] = []  # the JSON of the messages that are not on disk
        self.times: list[Times] = []  # when those entered
        self.start = records.start
        self.end = self.durable = self.base = records.end

    def take_in(self, inbox: list[Entry[Msg]], count: int) -> None:
        """Move the first `count` entries of the inbox here, not on disk yet."""
        messages, encoded, times = zip(*inbox[:count], strict=True)
        runs, items, pending, all_runs = merged(times), self.items, self.pending, self.times
        # No call from here on: see `Retained`.
        items += messages
        pending += encoded
        all_runs += runs
        self.end += count
        del inbox[:count]

    def enter(self, messages: Sequence[Msg], encoded: Sequence[bytes], times: Sequence[Times]) -> None:
        """Append messages that are not on disk yet."""
        number = len(messages)
        # No call from here on.
        self.pending += encoded
        self.times += times
        self.items += messages
        self.end += number

    def take_out(self, first: int, number: int) -> None:
        """Take out `number` messages from `first` on, none of which is on disk; those behind them move up."""
        times, place, item = self._times_without(first, number), first - self.durable, first - self.base
        # No call from here on.
        self.times = times
        del self.pending[place : place + number]
        del self.items[item : item + number]
        self.end -= number

    def _times_without(self, first: int, number: int) -> list[Times]:
        """Return when the messages that are not on disk entered, without `number` of them from `first` on."""
        kept, rest = split(self.times, first - self.durable)
        return kept + after(rest, number)

    def written(self, position: int, times: Sequence[Times] = ()) -> None:
        """Called when the messages before the position are on disk; `times` is when those written last entered.

        Calling it twice has the effect of once, whatever came between.
        """
        if times:
            self._runs[position] = list(times)
        self.durable = max(position, self.durable)
        if self.durable - self.base > _IN_MEMORY:  # no more than a reader that keeps up needs
            self.trim(self.durable)
        left = self.end - self.durable
        if not left:
            self.pending.clear()
            self.times = []
            return
        del self.pending[: len(self.pending) - left]
        over = sum(run.number for run in self.times) - left
        self.times = self.times if over <= 0 else after(self.times, over)

    def read(self, position: int, limit: int) -> list[Msg]:
        """Return up to `limit` messages from the position on: from memory, or those of one block on disk."""
        limit = min(limit, self.durable - position)
        if limit <= 0:
            return []
        if position >= self.base:
            index = position - self.base
            return self.items[index : index + limit]
        found = self._in_memory(position)
        if found is None:
            found = self.fetch(position)
            if found is None:
                return []
            self.keep(found)
        block, messages, error = found
        if error is not None and position >= block.first + len(messages):
            # Those before it were given, so it is known which one it is.
            self._decoded.pop(block.first, None)  # to be read anew once this one is set aside
            raise error
        return messages[position - block.first : position - block.first + limit]

    def _in_memory(self, position: int) -> Decoded[Msg] | None:
        return next((each for each in self._decoded.values() if each[0].holds(position)), None)

    def is_in_memory(self, position: int) -> bool:
        """Return whether the message at the position can be read without the disk, or is not on it."""
        return position >= min(self.base, self.durable) or self._in_memory(position) is not None

    def fetch(self, position: int) -> Decoded[Msg] | None:
        """Read the block that holds the position from disk, None if there is none; the lock need not be held."""
        block = self._records.block(position)
        return None if block is None else Decoded(block, *self._decode(block))

    def keep(self, found: Decoded[Msg]) -> None:
        """Keep a block that was fetched, for a while."""
        while len(self._decoded) >= _DECODED:
            self._decoded.pop(next(iter(self._decoded)))
        self._decoded[found.block.first] = found

    def forget(self, position: int) -> None:
        """Forget the decoded block that holds the position, so that it is read anew: a message in it was set aside."""
        if (found := self._in_memory(position)) is not None:
            del self._decoded[found.block.first]

    def forget_all(self) -> None:
        """Forget what is in memory and on disk, so that it is read anew: it was rewritten there."""
        self._decoded, self._runs, self._dated = {}, {}, None
        dead = self.durable - self.base
        # No call from here on: see `Retained`.
        del self.items[:dead]
        self.base += dead

    def entered(self, position: int) -> float:
        """Return when the message at the position entered, in seconds since 1970."""
        found = self.entered_in_memory(position)
        if found is None and (block := self._records.block(position)) is not None:
            self._dated = block.first, block.end, block.times()
            found = self.entered_in_memory(position)
        if found is None:
            raise UsageError(f"there is no message at position {position}")
        return found

    def entered_in_memory(self, position: int) -> float | None:
        """Return the same, or None if the disk would have to be asked."""
        if position >= self.durable:
            times, first = self.times, self.durable
        else:
            if self._dated is None or not self._dated[0] <= position < self._dated[1]:
                self._dated = self._dates_of(position)
            first, _, times = self._dated or (0, 0, [])
        for run in times:
            first += run.number
            if position < first:
                return run.at / 1e6
        return None

    def _dates_of(self, position: int) -> tuple[int, int, list[Times]] | None:
        """Return the first position, the one after the last, and the times of messages that were written together."""
        ends = list(self._runs)
        index = bisect_right(ends, position)
        if index < len(ends):
            times = self._runs[ends[index]]
            first = ends[index] - sum(run.number for run in times)
            if first <= position:
                return first, ends[index], times
        found = self._in_memory(position)
        return None if found is None else (found[0].first, found[0].end, found[0].times())

    def trim(self, start: int) -> None:
        """Forget in memory what is before `start` and on disk."""
        dead = min(start, self.durable) - self.base
        if dead > 0 and dead * 2 >= len(self.items):  # amortised, as of any Retained
            del self.items[:dead]
            self.base += dead
            self._runs = {end: times for end, times in self._runs.items() if end > self.base}

    def catch_up(self) -> None:
        """Called when the records may begin later, or have grown by what was not entered here: then nothing is pending."""
        self.start = self._records.start
        if self._records.end > self.end:
            self.items = []
            self._decoded, self._runs = {}, {}
            self.end = self.durable = self.base = self._records.end


class Positions:
    """How far the named readers of a journal have come, on disk and beyond; the log's lock guards it."""

    def __init__(self, cursors: list[Place]) -> None:
        self.stored: dict[str, int] = {}  #: how far each has come, on disk
        self._cursors = cursors  # of the open readers
        self._left: dict[str, int] = {}  # how far those had come that were closed, until that is on disk

    def has_moved(self, cursor: Place) -> bool:
        """Return whether the reader has a name, and has committed more than is on disk."""
        return bool(cursor.name) and self.stored.get(cursor.name) != cursor.committed

    def moved(self) -> dict[str, int]:
        """Return those that are to be written. Lock held."""
        moved, stored = dict(self._left), self.stored
        for each in self._cursors:
            if each.name and stored.get(each.name) != each.committed:
                moved[each.name] = each.committed
        return moved

    def remember_left(self, cursor: Place) -> None:
        """Keep what a named reader has committed, which is being closed, for the next flush. Lock held."""
        if cursor in self._cursors and self.has_moved(cursor):
            self._left[cursor.name] = cursor.committed  # its own messages may be pending: the two are written together

    def start_of(self, name: str) -> int | None:
        """Return the stored position of the reader of this name, None if it is new. Lock held."""
        return self._left.get(name, self.stored.get(name))

    def written(self, positions: Mapping[str, int]) -> None:
        """Called when they are on disk. Lock held."""
        stored = self.stored
        stored.update(positions)
        if self._left:
            self._left = {name: position for name, position in self._left.items() if stored.get(name) != position}
