"""One record of a topic, with all that Kafka keeps of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from go_state.core.errors import BadRecord
from go_state.sources.decoding import UndecodableError, why_undecodable

if TYPE_CHECKING:
    from confluent_kafka import Message

Msg = TypeVar("Msg")


@dataclass(frozen=True, slots=True)
class KafkaRecord:
    """One record of a topic, as the `parse=` of a `Kafka` gets it.

    `value` is None for a tombstone, which says that nothing is kept of the key any more. `timestamp` is in seconds since 1970, None if
    the record has none. `partition` and `offset` say where it is. `headers` are pairs of a name and bytes; a header may be
    there more than once.
    """

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: float | None = None
    partition: int = 0
    offset: int = 0

    def header(self, name: str) -> bytes | None:
        """Return what the last header of the name holds, None if there is none."""
        return next((value for each, value in reversed(self.headers) if each == name), None)


def record_of(message: Message) -> KafkaRecord:
    """Return what the client has read as a record."""
    headers: Any = message.headers() or ()  # pairs; what is declared are those of a producer, which may be a dict
    return KafkaRecord(
        as_bytes(message.value()),
        as_bytes(message.key()),
        tuple((name, as_bytes(value)) for name, value in headers),
        time_of(message),
        message.partition() or 0,
        offset_of(message),
    )


def as_bytes(value: str | bytes | None) -> bytes | None:
    """Return what the client says that a record holds; without a deserializer that is never text."""
    return value.encode() if isinstance(value, str) else value


def time_of(message: Message) -> float | None:
    """Return when the record was written, in seconds since 1970."""
    kind, milliseconds = message.timestamp()
    return milliseconds / 1000 if kind else None  # 0: not available


def offset_of(message: Message) -> int:
    """Return the offset of a record that was read; others have none."""
    offset = message.offset()
    assert offset is not None
    return offset


def raw_of(record: KafkaRecord) -> bytes:
    """Return a record as bytes from which `read_raw` makes it again."""
    from msgspec import json

    return json.encode(record)


def read_raw(raw: bytes) -> KafkaRecord:
    """Return the record of `raw_of`; a `ValueError` if it is not one."""
    from msgspec import json

    return json.decode(raw, type=KafkaRecord)


class Records(NamedTuple, Generic[Msg]):
    """How what the client has read becomes a message, and the bytes that are kept of it if it is none."""

    message: Callable[[Message], Msg]
    raw: Callable[[Message], bytes]


def values(name: str, decode: Callable[[bytes], Msg]) -> Records[Msg]:
    """Return how the messages of a topic are made of the values of its records."""

    def message(record: Message) -> Msg:
        value: Any = record.value()  # bytes, as a rule: to ask for each what it is would be to ask twice
        try:
            return decode(value)
        except Exception as error:
            none = UndecodableError("it has no value, as a record that says that its key is deleted: take it with parse=")
            raise _bad(name, record, none if value is None else error) from None

    return Records(message, lambda record: as_bytes(record.value()) or b"")


def whole(name: str, parse: Callable[[KafkaRecord], Msg]) -> Records[Msg]:
    """Return how the messages of a topic are made of its records with all that Kafka keeps of them."""

    def message(record: Message) -> Msg:
        try:
            return parse(record_of(record))
        except Exception as error:
            raise _bad(name, record, error) from None

    return Records(message, lambda record: raw_of(record_of(record)))


def _bad(name: str, record: Message, error: Exception) -> BadRecord:
    return BadRecord(f"partition {record.partition()} of {name}", record.offset(), why_undecodable(error))
