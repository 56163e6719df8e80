"""A Kinesis stream as a source of shards, of which each process reads those that leases in the store give it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from types import UnionType
from typing import Generic, Literal, TypeAlias

from go_state.core.errors import SourceChanged, UsageError
from go_state.sources.decoding import Msg, Tags
from go_state.sources.kinesis.client import Calls, Client, Stream
from go_state.sources.kinesis.reading import KinesisReading
from go_state.sources.streams.leases import Leases
from go_state.sources.streams.records import Decoder

Start: TypeAlias = Literal["oldest", "newest"] | datetime


class Kinesis(Generic[Msg]):
    """A Kinesis stream; a `PartitionedSource` whose partitions are shards. `client` is `boto3.client("kinesis")`.

    `of`, `tag`, `tags` and `parse` make messages of the records' bytes, as in `JSONLines`. `share` is how the processes that read the
    stream agree on who reads what. `start` is where a program begins that has no positions yet: at the "oldest" record, at the
    "newest", or at a time; the first process decides for all. After a split or a merge the new shards are read when the ends of those
    they come from are stored, so that records of one key stay in order. The age of what is not read yet, in milliseconds, is a
    shard's lag.

    A shard is asked up to four times a second while it has records, and once a second while it has none, whatever the number of
    shards is, by eight threads. Positions are sequence numbers, stored under the stream's name unless there is a `name`. A stream
    that was made again, or that has removed records which were not read, raises `SourceChanged`.
    """

    def __init__(
        self,
        stream: str,
        of: type[Msg] | UnionType | None = None,  # a union is no type to every checker
        *,
        client: Client,
        tag: str | None = None,
        tags: Tags | None = None,
        parse: Callable[[bytes], Msg] | None = None,
        share: Leases | None = None,
        start: Start = "oldest",
        name: str | None = None,
    ) -> None:
        self.stream = stream
        self.name = stream if name is None else name
        self._decoder: Decoder[Msg] = Decoder(self.name, of, tag, tags, parse)
        self._calls = Calls(client, stream)
        self._leases = Leases() if share is None else share
        self._start = _checked_start(start)
        self._described: Stream | None = None

    def fingerprint(self, partition: str) -> str:
        """Return when the stream was made."""
        return self._stream().created

    def recognise(self, partition: str, fingerprint: str) -> None:
        """Raise `SourceChanged` unless the stream is the one that was made at that time."""
        if fingerprint != self._stream().created:
            raise SourceChanged(self.name, "the stream was deleted and made again")

    def open_partitions(self) -> KinesisReading[Msg]:
        """Begin to read. Raises `SourceError` if there is no such stream, or it may not be read."""
        self._described = None
        start = round(time.time() * 1000) if isinstance(self._start, str) else self._start
        return KinesisReading(self.name, self._calls, self._stream(), self._leases, start, self._decoder)

    def decode(self, raw: bytes) -> Msg:
        """Return the message of `raw`, one record's bytes; `BadRecord` if it is not one."""
        return self._decoder.alone(raw)

    def _stream(self) -> Stream:
        """Return what the stream was when it was opened."""
        if self._described is None:
            self._described = self._calls.describe()
        return self._described


def _checked_start(start: object) -> int | Literal["newest"] | None:
    """Return the milliseconds since 1970 of a time, "newest", or None for the oldest record."""
    if isinstance(start, datetime) and start.tzinfo is not None:
        return round(start.timestamp() * 1000)
    if start == "newest":
        return "newest"
    if start != "oldest":
        raise UsageError(f'start= is "oldest", "newest" or a datetime with a time zone, not {start!r}')
    return None
