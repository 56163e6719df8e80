"""One process's pass through a Kinesis stream: it takes shards as the leases say, asks for their records, and gives these in order.

    poll ──▶ leases: take, give, lost ──▶ ask for the shards that are due ──▶ threads: get_records ──▶ pages ──▶ give, ended

Only `poll` and `close` change anything here. The threads make a call each and put its page into a queue. A page names the turn of its
shard for which it was asked: one that arrives after the shard was taken away, or given from elsewhere again, is dropped.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Generic, NamedTuple, TypeVar

from go_state.core.errors import SourceChanged, SourceError
from go_state.core.ports import Position
from go_state.core.ports.partitions import Holder
from go_state.sources.kinesis.client import Begin, Calls, ExpiredError, Page, Record, Stream, TryAgainError
from go_state.sources.kinesis.cursor import Cursor
from go_state.sources.kinesis.shards import Shards
from go_state.sources.streams.leases import Leases, Sharing
from go_state.sources.streams.records import Decoder
from go_state.waking.condition import Condition

Msg = TypeVar("Msg")

_THREADS = 8  # botocore keeps ten connections
_CLOCKS = 60_000  # milliseconds by which the service's clock may differ from ours
_log = logging.getLogger("go_state")


class _Asked(NamedTuple):
    """What a call has come to: its page, or what it has raised."""

    shard: str
    turn: int
    asked: float
    page: Page | Exception


class KinesisReading(Generic[Msg]):
    """A `PartitionedReading`."""

    def __init__(
        self, name: str, calls: Calls, stream: Stream, leases: Leases, start: int | None, decoder: Decoder[Msg]
    ) -> None:
        self._name, self._calls, self._stream, self._decoder = name, calls, stream, decoder
        self._leases, self._start = leases, start
        self._sharing: Sharing | None = None  # once the store is known
        self._shards = Shards(name)
        self._cursors: dict[str, Cursor] = {}
        self._ending: set[str] = set()  # shards of which all was given, and the end is not known to be stored
        self._is_stale = True  # whether the shards are to be listed anew
        self._turns = count(1)
        self._pages: deque[_Asked | None] = deque()  # what was fetched, and None to wake
        # Not a SimpleQueue: before Python 3.13 a `get` of it may wait forever if its time is over while it begins to wait.
        self._arrived = Condition(lambda: bool(self._pages))
        self._pool = ThreadPoolExecutor(_THREADS, "go_state kinesis")

    # ------------------------------------------------------------------ the poll

    def poll(self, seconds: float, holder: Holder[Record]) -> None:
        """Do a round of the leases if one is due, ask for records, and give what has arrived within the time."""
        sharing = self._agree(holder)
        if self._is_stale or sharing.is_due:
            self._round(sharing, holder)
        now = time.monotonic()
        for cursor in self._cursors.values():
            if cursor.is_due(now):
                self._ask(cursor, now)
        wait = min([seconds, sharing.wait, *(cursor.wait(now) for cursor in self._cursors.values())])
        if any(cursor.page is not None and not cursor.is_paused for cursor in self._cursors.values()):
            wait = 0.0
        self._receive(wait)
        for cursor in list(self._cursors.values()):
            if cursor.page is not None and not cursor.is_paused:
                self._give(cursor, cursor.page, sharing, holder)

    def wake(self) -> None:
        """End the `poll` that is running, or else the next one, soon."""
        self._arrive(None)

    def _agree(self, holder: Holder[Record]) -> Sharing:
        if self._sharing is None:
            self._sharing = Sharing(holder.store, holder.program, self._name, self._leases.seconds)
            if self._start is not None:
                self._start = self._sharing.agree_on_start(self._start)
        return self._sharing

    def _round(self, sharing: Sharing, holder: Holder[Record]) -> None:
        try:
            listed = self._calls.shards()
        except TryAgainError as error:
            _log.warning("the shards of %s cannot be listed, and are as before until they can (%s)", self._name, error)
            self._shards.look(holder.ends)
        else:
            for shard in self._shards.listed(listed, sharing.known, holder.ends):
                self._over(shard, sharing, holder)
        self._is_stale = False
        moves = sharing.step(self._shards.readable())
        if moves.lost:
            self._drop(moves.lost)
            holder.lost(moves.lost)
        if moves.give:
            self._drop(moves.give)
            holder.revoked(moves.give)
            sharing.let_go(moves.give)
        if moves.take:
            for shard, after in holder.assigned(moves.take).items():
                sharing.note(shard, 0)
                self._cursors[shard] = Cursor(shard, next(self._turns), after, self._start)

    def _over(self, shard: str, sharing: Sharing, holder: Holder[Record]) -> None:
        """Forget a shard whose end is stored."""
        sharing.ended(shard)
        if shard in self._cursors and shard not in self._ending:  # somebody else has read it to its end
            holder.lost((shard,))
        self._drop((shard,))

    def _drop(self, shards: Sequence[str]) -> None:
        for shard in shards:
            self._cursors.pop(shard, None)
            self._ending.discard(shard)

    # ------------------------------------------------------------------ calls

    def _ask(self, cursor: Cursor, now: float) -> None:
        cursor.asked()
        self._pool.submit(self._fetch, cursor.shard, cursor.turn, cursor.begin, cursor.iterator, now)

    def _fetch(self, shard: str, turn: int, begin: Begin, iterator: str | None, now: float) -> None:
        """Make the calls for one page, in a thread."""
        try:
            page: Page | Exception = self._calls.records(iterator or self._calls.iterator(shard, begin))
        except Exception as error:  # raised by poll, whatever it is
            page = error
        self._arrive(_Asked(shard, turn, now, page))

    def _arrive(self, asked: _Asked | None) -> None:
        self._pages.append(asked)
        self._arrived.wake()

    def _receive(self, seconds: float) -> None:
        """Wait for a page, and take all that are there."""
        self._arrived.wait(time.monotonic() + seconds)
        while self._pages:
            if (asked := self._pages.popleft()) is not None:
                self._received(asked)

    def _received(self, asked: _Asked) -> None:
        cursor = self._cursors.get(asked.shard)
        if cursor is None or cursor.turn != asked.turn:
            return
        if isinstance(asked.page, TryAgainError):
            if cursor.failed(time.monotonic()):
                _log.warning("shard %s of %s cannot be read, and is tried again (%s)", asked.shard, self._name, asked.page)
        elif isinstance(asked.page, ExpiredError):
            cursor.expired()
        elif isinstance(asked.page, Exception):
            raise self._explained(asked.page) from asked.page
        else:
            cursor.arrived(asked.page, asked.asked)

    def _explained(self, error: Exception) -> Exception:
        """Return the error, or one that says that the stream is another one by now."""
        if isinstance(error, SourceError) and not isinstance(error, SourceChanged):
            try:
                if self._calls.describe().created != self._stream.created:
                    return SourceChanged(self._name, "the stream was deleted and made again")
            except (SourceError, TryAgainError):
                pass
        return error

    # ------------------------------------------------------------------ pages

    def _give(self, cursor: Cursor, page: Page, sharing: Sharing, holder: Holder[Record]) -> None:
        now = time.time() * 1000
        records = page.records
        if (proof := cursor.proves(page)) is not None:
            if not proof and sharing.known.get(cursor.shard, 0) < now - self._stream.retention:
                raise SourceChanged(
                    self._name,
                    f"shard {cursor.shard} has no record with the stored sequence number any more, and may have removed others after it "
                    f"that were not read",
                    "what is lost is lost: set the shard's position if you go on with what is there",
                )
            records = records[1:] if proof else records
        if records:
            holder.give(cursor.shard, records)
        elif page.behind == 0 and cursor.is_saved:
            sharing.note(cursor.shard, round(now) - _CLOCKS)
        cursor.given(page)
        if page.iterator is None:
            self._ending.add(cursor.shard)
            holder.ended(cursor.shard)

    # ------------------------------------------------------------------ what the holder asks

    def message(self, record: Record) -> Msg:
        """Return the message of a record; `BadRecord` if it is not one."""
        return self._decoder.message(record["Data"], record["SequenceNumber"])

    def raw(self, record: Record) -> bytes:
        """Return the bytes of a record."""
        data: bytes = record["Data"]
        return data

    def position(self, record: Record) -> str:
        """Return the sequence number of a record."""
        number: str = record["SequenceNumber"]
        return number

    def time(self, record: Record) -> float | None:
        """Return when the record arrived in the stream."""
        arrived = record.get("ApproximateArrivalTimestamp")
        return None if arrived is None else float(arrived.timestamp())

    def lag(self, partition: str) -> int | None:
        """Return by how many milliseconds what was read last of the shard is older than its newest record."""
        cursor = self._cursors.get(partition)
        return None if cursor is None else cursor.behind

    def holds(self, partition: str) -> bool:
        """Ask the leases whether the shard is still this process's."""
        if self._sharing is not None and self._sharing.holds(partition) and partition in self._cursors:
            return True
        self._drop((partition,))
        return False

    def seek(self, partition: str, after: Position | None) -> None:
        """Give the shard again from the record that follows the position."""
        if partition in self._cursors:
            self._ending.discard(partition)
            self._cursors[partition] = Cursor(partition, next(self._turns), after, self._start)

    def pause(self, partition: str) -> None:
        """Give nothing of the shard until `resume`."""
        if (cursor := self._cursors.get(partition)) is not None:
            cursor.is_paused = True

    def resume(self, partition: str) -> None:
        """Give the shard again."""
        if (cursor := self._cursors.get(partition)) is not None:
            cursor.is_paused = False

    def saved(self, positions: Mapping[str, Position]) -> None:
        """Note what is in the store; if it may be a shard's end, its children may begin."""
        for shard, position in positions.items():
            if (cursor := self._cursors.get(shard)) is not None:
                cursor.saved = position
        if self._ending.intersection(positions):
            self._is_stale = True

    def close(self, holder: Holder[Record]) -> None:
        """Save, give the shards to the others, and then wait for the calls that are on their way, for which boto3 may take minutes."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        try:
            held = list(self._cursors)
            self._drop(held)
            if held:
                holder.revoked(held)
            if self._sharing is not None:
                sharing, self._sharing = self._sharing, None
                sharing.close()
        finally:
            self._pool.shutdown(wait=True)
