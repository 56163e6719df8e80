"""What one partition was given, as the reader of a batch: it parks whenever it has nothing, or has had its slice of the time.

    give ──▶ records that wait ──▶ a chunk, decoded at once ──▶ messages ──▶ turns
                                   └ its size is such that its turns take a few milliseconds

A chunk is a list, and what is given of it its own iterator, so that a message costs nothing here. Which record the last message
came from is worked out when somebody asks: at saves and at failures.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import length_hint
from typing import Any, Final, Protocol, TypeVar

from go_state.core.errors import BadRecord
from go_state.core.ports import Position, Undecoded
from go_state.modes.batch.source_reader import SourceReader
from go_state.runtime.flow.waits import Flow

Msg = TypeVar("Msg")
Read = TypeVar("Read", contravariant=True)
Got = TypeVar("Got", covariant=True)

_MOST = 10_000  # records of a chunk, and those that wait before the partition is paused
_FIRST = 16  # records of the first chunk, whose update may be slow


class Records(Protocol[Read, Got]):
    """What a reading knows of a record that it has given."""

    def message(self, record: Read, /) -> Got:
        """Return the message of a record."""
        ...

    def raw(self, record: Read, /) -> bytes:
        """Return the bytes of a record."""
        ...

    def position(self, record: Read, /) -> Position:
        """Return the position of a record."""
        ...

    def time(self, record: Read, /) -> float | None:
        """Return when the record was written."""
        ...


class Parked:
    """A wait for whoever runs several flows in turn: this one has nothing to do, or has had its slice of the time."""

    __slots__ = ()

    def in_thread(self) -> None:
        raise AssertionError("a partition is run by its holder, which knows how to wait for it")

    async def on_loop(self) -> None:
        self.in_thread()


PARKED: Final = Parked()


class Slices:
    """How many messages a partition is given at once, and how many may be given at all.

    `seconds` is what the turns of one chunk may take, so that the others are not held.
    """

    def __init__(self, seconds: float, limit: int | None) -> None:
        self.left = limit  #: how many messages may still be taken; None for any number
        self._seconds = seconds
        self._size = _FIRST

    @property
    def size(self) -> int:
        """How many records the next chunk may have."""
        return self._size if self.left is None else min(self._size, self.left)

    def took(self, count: int, seconds: float) -> None:
        """Called with how long a chunk took."""
        if seconds > self._seconds:
            self._size = max(self._size // 2, 1)
        elif count >= self._size and seconds < self._seconds / 3:
            self._size = min(self._size * 2, _MOST)

    def taken(self, count: int) -> None:
        """Called with how many records were taken."""
        if self.left is not None:
            self.left -= count


class ShareReader(SourceReader[Msg]):
    """The records of one partition."""

    has_positions = True

    def __init__(self, name: str, records: Records[object, Msg], after: Position, slices: Slices) -> None:
        super().__init__(())
        self.name = name
        self.waiting = 0  #: records that were given and not taken into a chunk yet
        self.is_paused = False  #: whether the reading was asked to give no more for now
        self.has_slice = False  #: whether the next chunk may have messages; without, the batch only looks up
        self._records = records
        self._slices = slices
        self._start = after  # the position to begin after
        self._given: deque[Sequence[object]] = deque()  # what a record is only its reading knows
        self._chunk: Sequence[object] = ()
        self._found: list[Any] = []  # of the chunk: messages, and records that are none, which the feed looks for
        self._iterator = iter(self._found)
        self._last: tuple[object, ...] = ()  # the last record of the chunks before this one, if there were any
        self.is_cut = False  #: whether it ended before everything had its turn
        self._ends = False

    # ------------------------------------------------------------------ what the holder calls

    def give(self, records: Sequence[object]) -> None:
        """Take records that follow those given last."""
        if not self.is_cut and records:
            self._given.append(records)
            self.waiting += len(records)

    def finish(self) -> None:
        """End when everything that was given had its turn."""
        self._ends = True

    def cut(self) -> None:
        """End now: what had no turn yet is forgotten."""
        self.is_cut = True
        self._given.clear()
        self.waiting = 0
        del self._found[self._taken() :]

    @property
    def is_complete(self) -> bool:
        """Whether everything that was given had its turn, and nothing follows."""
        return self._ends and not self.is_cut and not self.waiting

    @property
    def is_over(self) -> bool:
        """Whether no message is left, and none will come."""
        return (self.is_cut or self._ends) and not self.waiting

    @property
    def is_in_chunk(self) -> bool:
        """Whether messages were taken that have had no turn yet."""
        return length_hint(self._iterator) > 0

    @property
    def is_full(self) -> bool:
        """Whether so much waits that no more should be given for now."""
        return self.waiting > _MOST

    @property
    def has_room(self) -> bool:
        """Whether so little waits that more may be given."""
        return self.waiting <= _MOST // 2

    def time(self) -> float | None:
        """Return when the record of the message last given was written; None if that is not known."""
        last = self._last_record()
        return self._records.time(last[0]) if last else None

    # ------------------------------------------------------------------ what the batch calls

    def more(self) -> Flow[Iterator[Msg | None] | None]:
        if not self.is_over:
            yield PARKED
        if self.is_over:
            return None
        return self._next_chunk() if self.has_slice else iter(())

    def _next_chunk(self) -> Iterator[Msg | None]:
        self.has_slice = False
        self._last = self._last_record()
        self._chunk = chunk = self._take(self._slices.size)
        decode = self._records.message
        self.has_records = False
        try:
            self._found = [decode(record) for record in chunk]
        except Exception:  # one of them is no message
            self.has_records = True
            self._found = [self._decoded(record) for record in chunk]
        self._iterator = iter(self._found)
        return self._iterator

    def _take(self, size: int) -> list[object]:
        taken: list[object] = []
        while self._given and len(taken) < size:
            records = self._given.popleft()
            left = size - len(taken)
            taken += records[:left]
            if len(records) > left:
                self._given.appendleft(records[left:])
        self.waiting -= len(taken)
        self._slices.taken(len(taken))
        return taken

    def _decoded(self, record: object) -> Msg | Undecoded:
        """Return the message of a record, or the record as one that cannot be decoded."""
        try:
            return self._records.message(record)
        except MemoryError:
            raise
        except BadRecord as error:
            bad = error
        except Exception as error:  # whose words may quote the record
            bad = BadRecord(self.name, self._records.position(record), f"decoding it raised {type(error).__qualname__}")
        return Undecoded(self._records.raw(record), bad)

    def left_in_run(self) -> int:
        return length_hint(self._iterator)

    def position_before(self) -> Position:
        taken = self._taken()
        before = (self._chunk[taken - 2],) if taken > 1 else self._last
        return self._records.position(before[0]) if before else self._start

    def split(self) -> Iterator[Msg | None]:
        taken, self._last = self._taken(), self._last_record()
        left = self._found[taken:]
        del self._found[taken:]
        self._chunk, self._found = self._chunk[taken:], left
        self._iterator = iter(left)
        return self._iterator

    def _taken(self) -> int:
        """Return how many messages of the chunk were given."""
        return len(self._found) - length_hint(self._iterator)

    def _last_record(self) -> tuple[object, ...]:
        taken = self._taken()
        return (self._chunk[taken - 1],) if taken else self._last

    def position(self) -> Position:
        last = self._last_record()
        return self._records.position(last[0]) if last else self._start

    def upcoming(self) -> Iterable[Msg | None]:
        """Return the messages of the chunk that were not given yet."""
        following = islice(self._found, self._taken(), None)
        return (None if message.__class__ is Undecoded else message for message in following)
