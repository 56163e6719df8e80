"""The event that Lambda gives a function, as a source: records of one shard of a Kinesis stream, and what Lambda is answered.

    event ──▶ records ──▶ aggregate ──▶ the store ──▶ answer: the first record that is not in it, with which Lambda goes on

Lambda decides what arrives, and the store what was done already: records at or before the shard's stored position are passed over, as
when an answer was lost and Lambda gives the event again. What of this can go wrong, and is refused, is in `lanes.py`.
"""

from __future__ import annotations

from base64 import b64decode
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypedDict

from go_state.core.errors import SourceChanged, SourceError, UsageError
from go_state.core.ports import Position
from go_state.core.ports.partitions import Holder
from go_state.sources.decoding import Msg, Tags
from go_state.sources.kinesis.lanes import Lanes
from go_state.sources.streams.records import Decoder

_LEAST = 0.001  # seconds


class Failure(TypedDict):
    """One record with which Lambda is to go on."""

    itemIdentifier: str


class LambdaAnswer(TypedDict):
    """What Lambda is answered: no failure if all of the event is in the store."""

    batchItemFailures: list[Failure]


class LambdaContext(Protocol):
    """What Lambda says of an invocation."""

    def get_remaining_time_in_millis(self) -> int:
        """Return how many milliseconds it may still take."""
        ...


class HasPositions(Protocol):
    """What aggregate has returned."""

    @property
    def position(self) -> Position:
        """The positions in the store, by partition."""
        ...


class EventRecord(NamedTuple):
    """One record of an event."""

    number: str
    data: bytes
    time: float | None


class KinesisEvent(Generic[Msg]):
    """The Kinesis event of a Lambda function; a `PartitionedSource` with one partition, its shard.

    `of`, `tag`, `tags` and `parse` make messages of the records' bytes, as in `JSONLines`. Give `aggregate` `on_error=gs.Halt()` and
    return `answer(result)` from the handler: the event source mapping needs `FunctionResponseTypes=["ReportBatchItemFailures"]` and a
    `ParallelizationFactor` of 1. With more, records arrive in an order that no position of a shard describes, and `SourceError` is
    raised as soon as that shows. The same is raised if records were left out; `gaps="pass"` goes on with what follows. Raises
    `SourceError` for what is no Kinesis event.
    """

    def __init__(
        self,
        event: Mapping[str, object],  # what JSON holds
        of: type[Msg] | UnionType | None = None,  # a union is no type to every checker
        *,
        tag: str | None = None,
        tags: Tags | None = None,
        parse: Callable[[bytes], Msg] | None = None,
        gaps: Literal["raise", "pass"] = "raise",
    ) -> None:
        if gaps not in ("raise", "pass"):
            raise UsageError(f'gaps= is "raise" or "pass", not {gaps!r}')
        self.stream, self.name, self.shard, self.records = _records_of(event)
        self.passes_gaps = gaps == "pass"
        self.stored: str | None = None  #: up to which record of the shard the store is known to have it
        self._decoder: Decoder[Msg] = Decoder(self.name, of, tag, tags, parse)

    def fingerprint(self, partition: str) -> str:
        """Return the stream's name in full; whether it was deleted and made again, an event does not say."""
        return self.stream

    def recognise(self, partition: str, fingerprint: str) -> None:
        """Raise `SourceChanged` unless the position is one of this stream."""
        if fingerprint != self.stream:
            raise SourceChanged(self.name, "it was a stream of another account or region, or none of Lambda's")

    def open_partitions(self) -> EventReading[Msg]:
        """Begin to read the event."""
        return EventReading(self, self._decoder)

    def decode(self, raw: bytes) -> Msg:
        """Return the message of `raw`, one record's bytes; `BadRecord` if it is not one."""
        return self._decoder.alone(raw)

    def after(self, position: Position | None) -> Sequence[EventRecord]:
        """Return the records after the position."""
        stored, records = _number(position), self.records
        if int(records[0].number) > stored:
            return records
        return records[bisect_right(records, stored, key=lambda record: int(record.number)) :]

    def seconds_left(self, context: LambdaContext, *, reserve: float = 2.0) -> float:
        """Return how many seconds the invocation of this `context` has left, but for the `reserve` to save and answer in: for
        `budget=`, so never 0.
        """
        return max(_LEAST, context.get_remaining_time_in_millis() / 1000 - reserve)

    def answer(self, result: HasPositions) -> LambdaAnswer:
        """Return what the handler returns to Lambda: the first record that is not in the store, whatever the reason; or none."""
        found = result.position.get(self.shard) if isinstance(result.position, Mapping) else None
        stored = max(_number(self.stored), _number(found))
        return {"batchItemFailures": [{"itemIdentifier": record.number} for record in self.after(str(stored))[:1]]}


class EventReading(Generic[Msg]):
    """A pass through an event; a `PartitionedReading`."""

    def __init__(self, event: KinesisEvent[Msg], decoder: Decoder[Msg]) -> None:
        self._event, self._decoder = event, decoder
        self._left: Sequence[EventRecord] | None = None  # None: the shard is not claimed yet
        self._is_over = False

    def poll(self, seconds: float, holder: Holder[EventRecord]) -> bool:
        """Give what is left; nothing more will come."""
        if self._is_over:
            return False
        if self._left is None:
            self._begin(holder)
        left, self._left = self._left or (), ()
        if left:
            holder.give(self._event.shard, left)
        return False

    def _begin(self, holder: Holder[EventRecord]) -> None:
        event = self._event
        event.stored = holder.assigned((event.shard,))[event.shard]
        lanes = Lanes(holder.store, holder.program, event.stream, event.shard)
        lanes.enter([record.number for record in event.records], event.stored, event.passes_gaps)
        self._left = event.after(event.stored)

    def wake(self) -> None:
        """Do nothing: no poll waits."""

    def message(self, record: EventRecord) -> Msg:
        """Return the message of a record; `BadRecord` if it is not one."""
        return self._decoder.message(record.data, record.number)

    def raw(self, record: EventRecord) -> bytes:
        """Return the bytes of a record."""
        return record.data

    def position(self, record: EventRecord) -> str:
        """Return the sequence number of a record."""
        return record.number

    def time(self, record: EventRecord) -> float | None:
        """Return when the record arrived in the stream."""
        return record.time

    def lag(self, partition: str) -> int | None:
        """Return how many records of the event are left; how many the shard has, an event does not say."""
        return None if self._left is None else len(self._left)

    def holds(self, partition: str) -> bool:
        """Return False: whoever has claimed the shard since was given the event again, because this one took too long."""
        self._is_over = True
        return False

    def seek(self, partition: str, after: Position | None) -> None:
        """Give the records after the position again."""
        self._left = self._event.after(after)

    def pause(self, partition: str) -> None:
        """Do nothing: all was given."""

    def resume(self, partition: str) -> None:
        """Do nothing: all was given."""

    def saved(self, positions: Mapping[str, Position]) -> None:
        """Note what is in the store."""
        self._event.stored = positions.get(self._event.shard, self._event.stored)

    def close(self, holder: Holder[EventRecord]) -> None:
        """Give the shard back."""
        if self._left is not None and not self._is_over:
            self._is_over = True
            self.saved({shard: at for shard, at in holder.revoked((self._event.shard,)).items() if at is not None})


def _number(position: Position | None) -> int:
    return -1 if position is None else int(position)


def _records_of(event: Mapping[str, Any]) -> tuple[str, str, str, Sequence[EventRecord]]:
    """Return the stream's name in full, its name, the shard and the records of an event."""
    try:
        found = [(each["eventSourceARN"], each["eventID"].partition(":")[0], each["kinesis"]) for each in event["Records"]]
        records = [
            EventRecord(k["sequenceNumber"], b64decode(k["data"]), k.get("approximateArrivalTimestamp")) for _, _, k in found
        ]
        numbers = [int(record.number) for record in records]
        stream, shard = found[0][0].partition("/consumer/")[0], found[0][1]  # a consumer's name follows with enhanced fan-out
        kind, _, name = stream.rpartition(":")[2].partition("/")
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise SourceError(_NO_EVENT + f" ({type(error).__qualname__})") from None
    if kind != "stream":
        raise SourceError(_NO_EVENT)
    places = {(arn, shard) for arn, shard, _ in found}
    if len(places) > 1 or numbers != sorted(set(numbers)):
        raise SourceError(
            f"the event has records of {len(places)} shards, or out of order, which Lambda does not make: who has made it?"
        )
    return stream, name, shard, records


_NO_EVENT = "this is no event of a Kinesis stream: which trigger calls the function?"
