"""The calls of nats-py that are made here, and what their errors mean. The only file that knows nats.

Consumers are pulled from: the callbacks of nats-py's push consumers leave tasks behind when they are unsubscribed. They acknowledge
nothing, so nothing is ever delivered again; a message that was lost on its way shows as a hole in the numbers of its consumer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from go_state.core.errors import MissingExtra, SourceError, UsageError

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js import JetStreamContext

_IDLE = 60.0  # seconds after which the server deletes a consumer that nobody pulls from
_STREAM_GONE = 10059  # of JetStream's own numbers for errors
_BAD_REQUEST = 400


class Stream(NamedTuple):
    """A stream as it is now: when it was made, and the numbers of its first and last message."""

    created: str
    first: int
    last: int
    subjects: Sequence[str]


class Message(NamedTuple):
    """A message of a stream: its number in it, its contents, when it was stored, and how many follow that it has for the consumer."""

    number: int
    data: bytes
    time: float
    pending: int


class TryAgainError(Exception):
    """The call did not come about and may do later: the consumer is gone, or the server was not reached."""


class Calls:
    """The calls of one connection for one stream."""

    def __init__(self, client: Client, stream: str) -> None:
        try:
            from nats.errors import ConnectionClosedError, Error
            from nats.js.errors import APIError
        except ImportError:
            raise MissingExtra("nats", "gs.sources.JetStream") from None
        if not callable(getattr(client, "jetstream", None)):
            raise UsageError(f"client= is what `await nats.connect()` has returned, not a {type(client).__qualname__}")
        self._stream = stream
        self._client = client
        self._closed: type[Exception] = ConnectionClosedError
        self._refused: type[APIError] = APIError
        self.harmless: tuple[type[Exception], ...] = (Error, TimeoutError)  #: what a call may fail with, and be made again

    async def describe(self) -> Stream:
        """Return what the stream is now."""
        try:
            found = await self._client.jetstream().stream_info(self._stream)
        except Exception as error:
            raise self.meaning(error) from error
        kept = found.config.retention
        if kept is not None and kept != "limits":
            raise SourceError(
                f"the stream {self._stream!r} removes what was acknowledged (retention {kept}), so it cannot be read again from a "
                f"position: make it with retention=limits, or read a stream with that, which takes its messages from it"
            )
        state, created = found.state, found.created
        made = "" if created is None else created.isoformat()
        return Stream(made, state.first_seq, state.last_seq, found.config.subjects or ())

    async def consumer(self, subject: str, after: int) -> Consumer:
        """Make a consumer that gives the messages of the subject after one with a number."""
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

        wanted = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=after + 1,
            inactive_threshold=_IDLE,
            mem_storage=True,
            num_replicas=1,
        )
        try:
            pulled = await self._client.jetstream().pull_subscribe(subject, stream=self._stream, config=wanted)
        except Exception as error:
            raise self.meaning(error) from error
        return Consumer(self, pulled)

    def meaning(self, error: Exception) -> Exception:
        """Return the error of ours that says what the client's means."""
        if isinstance(error, self._closed) or self._client.is_closed:
            return SourceError(f"the connection from which {self._stream} is read was closed, or its server is gone for good")
        if isinstance(error, self._refused) and error.err_code == _STREAM_GONE:
            return SourceError(f"there is no stream {self._stream!r}")
        if isinstance(error, self._refused) and error.code == _BAD_REQUEST:
            return SourceError(f"JetStream refuses to read {self._stream!r} ({error.err_code}: {error.description})")
        if isinstance(error, self.harmless):
            return TryAgainError(type(error).__name__)
        return error


class Consumer:
    """A consumer of one subject."""

    def __init__(self, calls: Calls, pulled: JetStreamContext.PullSubscription) -> None:
        self._calls, self._pulled = calls, pulled
        self._last = 0  # number of its messages that have arrived

    async def fetch(self, most: int, seconds: float) -> list[Message]:
        """Return messages that follow, none if none comes within the seconds. Raises `TryAgainError` if it is of no use any more."""
        try:
            found = await self._pulled.fetch(most, timeout=seconds)
        except TimeoutError:
            await self._look()
            return []
        except Exception as error:
            raise self._calls.meaning(error) from error
        messages: list[Message] = []
        for message in found:
            about = message.metadata
            if about.sequence.consumer != self._last + 1:
                raise TryAgainError("a message was lost on its way")
            self._last += 1
            messages.append(Message(about.sequence.stream, message.data, about.timestamp.timestamp(), about.num_pending))
        return messages

    async def _look(self) -> None:
        """Raise `TryAgainError` if the server has no such consumer any more, or has given it messages that did not arrive."""
        delivered, _ = await self._state()
        if delivered > self._last + self._pulled.pending_msgs:
            raise TryAgainError("a message was lost on its way")

    async def is_at_end(self) -> bool:
        """Return whether all messages of the subject that there are have arrived. Raises `TryAgainError`."""
        delivered, pending = await self._state()
        return delivered == self._last and pending == 0

    async def _state(self) -> tuple[int, int]:
        try:
            found = await self._pulled.consumer_info()
        except Exception as error:
            raise self._calls.meaning(error) from error
        delivered = 0 if found.delivered is None else found.delivered.consumer_seq
        return delivered, found.num_pending or 0

    async def close(self) -> None:
        """Listen no more; the server deletes the consumer after a while."""
        with suppress(*self._calls.harmless):
            await self._pulled.unsubscribe()
