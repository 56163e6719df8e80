"""A JetStream stream as a source of subjects, of which each process reads those that leases in the store give it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Generic, Literal

from go_state.core.errors import SourceChanged, UsageError
from go_state.sources.decoding import Msg, Tags
from go_state.sources.jetstream.client import Calls, Stream
from go_state.sources.jetstream.reading import JetStreamReading
from go_state.sources.jetstream.subjects import checked_subjects
from go_state.sources.streams.leases import Leases
from go_state.sources.streams.records import Decoder

if TYPE_CHECKING:
    from nats.aio.client import Client


class JetStream(Generic[Msg]):
    """A stream of JetStream, for `aggregate_async`; an `AsyncPartitionedSource` whose partitions are subjects.

    `client` is what `await nats.connect()` returns. `subjects` are those to read, each in its own order, such as
    `["orders.0.>", "orders.1.>"]`, which a subject transform of the stream makes from keys; by default those of the stream. `of`, `tag`,
    `tags` and `parse` make messages of the contents, as in `JSONLines`. `share` is how the processes that read the stream agree on who
    reads what. `start` is where a program begins that has no positions yet, at the "oldest" or the "newest" message; the first process
    decides for all.

    Messages are read from a position on, by consumers that live as long as they are pulled from; nothing is acknowledged and nothing
    delivered again. So the stream must keep messages until a limit, not until they are acknowledged. Positions are numbers of messages
    in the stream, stored under its name unless there is a `name`. A stream that was made again, or that may have removed messages
    which were not read, raises `SourceChanged`; one message that was deleted by its number does not.
    """

    def __init__(
        self,
        stream: str,
        of: type[Msg] | UnionType | None = None,  # a union is no type to every checker
        *,
        client: Client,
        subjects: Sequence[str] | None = None,
        tag: str | None = None,
        tags: Tags | None = None,
        parse: Callable[[bytes], Msg] | None = None,
        share: Leases | None = None,
        start: Literal["oldest", "newest"] = "oldest",
        name: str | None = None,
    ) -> None:
        if start not in ("oldest", "newest"):
            raise UsageError(f'start= is "oldest" or "newest", not {start!r}')
        self.stream = stream
        self.name = stream if name is None else name
        self._subjects = None if subjects is None else checked_subjects(subjects)
        self._decoder: Decoder[Msg] = Decoder(self.name, of, tag, tags, parse)
        self._calls = Calls(client, stream)
        self._leases = Leases() if share is None else share
        self._start = start
        self._described: Stream | None = None

    def fingerprint(self, partition: str) -> str:
        """Return when the stream was made."""
        return self._made()

    def recognise(self, partition: str, fingerprint: str) -> None:
        """Raise `SourceChanged` unless the stream is the one that was made at that time."""
        if fingerprint != self._made():
            raise SourceChanged(self.name, "the stream was deleted and made again")

    def _made(self) -> str:
        if self._described is None:
            raise UsageError("a stream of JetStream says what it is when it is open: await open_partitions_async() first")
        return self._described.created

    async def open_partitions_async(self) -> JetStreamReading[Msg]:
        """Begin to read. Raises `SourceError` if there is no such stream, or it does not keep its messages."""
        self._described = stream = await _whole(self._calls.describe())
        subjects = self._subjects or checked_subjects(stream.subjects)
        start = stream.last if self._start == "newest" else None
        return JetStreamReading(self.name, self._calls, stream, subjects, self._leases, start, self._decoder)

    def decode(self, raw: bytes) -> Msg:
        """Return the message of `raw`, the contents of one; `BadRecord` if it is not one."""
        return self._decoder.alone(raw)


async def _whole(call: Awaitable[Stream]) -> Stream:
    """Return what the call does; a cancellation that it has lost, as the wait_for of Python 3.11 may, is raised."""
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    stream = await call
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
    return stream
