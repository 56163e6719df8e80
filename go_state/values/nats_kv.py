"""Values in a key-value bucket of NATS: `async with gs.values.NatsKV(client, "config") as kv: limits = kv.value("limits", Limits)`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from go_state.core.errors import MissingExtra, StoreUnavailable, UsageError, UsedAfterClose
from go_state.values.backend import Entry, MadeAnew, Unreachable
from go_state.values.home import Home, outlast
from go_state.values.registry import Registry
from go_state.values.remote_value import RemoteValue
from go_state.waking.deadlines import is_number

if TYPE_CHECKING:  # it may not be installed
    from nats.aio.client import Client
    from nats.js import JetStreamContext
    from nats.js.api import StreamInfo

T = TypeVar("T")

_PAUSES = (
    0.005,
    0.02,
    0.08,
)  # seconds before the next read: the news of a change may come a moment before the change can be read

_BUCKET = re.compile(r"[-_a-zA-Z0-9]+")
_KEY = re.compile(r"[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*")
_LONGEST_KEY = 1024  # a server hangs up on who sends a line of more than 4096 bytes, in which a subject may stand twice
_OPERATION = "KV-Operation"  # the header that says what was done to a key, unless it was set
_NO_MESSAGE = 10037  # the server's number for: the bucket is there, and holds no such key
_STALE = 10071, 10164  # its numbers for: somebody has set the key since


class NatsKV:
    """A key-value bucket of NATS JetStream, for values that many processes share.

    `client` is a connected client of nats-py, whose reconnecting is its own affair: give it `max_reconnect_attempts=-1`. `bucket` is
    made if it is not there. An async context manager; the values may be read and watched from anywhere, and set from its event loop with
    `set_async` and its like, or from other threads. Each value is read every `look` seconds as well, and the answer must come within
    that time: nothing that was missed during a restart of the server stays unseen. While the client is not connected nothing is given
    to it: it would keep a write, and send it later.

    Raises `UsageError` if the bucket's name cannot be one, `StoreUnavailable` if the server does not answer when it is opened, and
    `MissingExtra` without `pip install "go-state[nats]"`.
    """

    def __init__(self, client: Client, bucket: str, *, look: float = 1.0) -> None:
        if not (is_number(look) and look > 0):
            raise UsageError(f"look= is a number of seconds greater than 0, not {look!r}")
        if not (isinstance(bucket, str) and _BUCKET.fullmatch(bucket)):
            raise UsageError(f"a bucket's name is of ASCII letters, digits, _ and -, and not {bucket!r}")
        self._client = client
        self._bucket = bucket
        self._look = look
        self._home: Home | None = None
        self._values: Registry | None = None

    def value(self, key: str, of: type[T]) -> RemoteValue[T]:
        """Return the value under the key, of this type: the same one for each call, until it has ended. It follows the key at once. Raises
        `UsedAfterClose` when the connection was closed.

        A key is of ASCII letters, digits, `- _ / =` and single dots between them. Raises `UsageError` if it is not, or was asked for as
        another type, and `NotStorable` if JSON cannot hold the type. A value that is larger than the server or the bucket takes (1 MB
        if nobody has said otherwise) raises `UsageError` when it is set. What the bucket removes by its time to live is unset.
        """
        if self._values is None:
            raise UsedAfterClose("the bucket is open inside of its async with block alone: ask for values there")
        return self._values.value(key, of)

    async def __aenter__(self) -> Self:
        if self._home is not None:
            raise UsageError("this bucket is open already: use its values, or make another gs.values.NatsKV")
        try:
            from nats.js.errors import BucketNotFoundError
        except ImportError:
            raise MissingExtra("nats", "gs.values.NatsKV") from None
        stream = self._client.jetstream()
        try:
            with _failures(self._client):
                try:
                    await stream.key_value(self._bucket)
                except BucketNotFoundError:
                    await stream.create_key_value(bucket=self._bucket, history=1)
        except Unreachable as error:
            raise StoreUnavailable(f"the NATS bucket {self._bucket} cannot be opened: {error}") from error
        self._home = Home(asyncio.get_running_loop())
        self._values = Registry(self._home, partial(NatsKey, self._client, stream, self._bucket), self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        home, self._home = self._home, None
        values, self._values = self._values, None
        if home is not None:
            home.close()
        if values is not None:
            await outlast(asyncio.ensure_future(values.end()))


class NatsKey:
    """One key of a bucket: the `Backend` of a value."""

    def __init__(self, client: Client, stream: JetStreamContext, bucket: str, key: str) -> None:
        if not (isinstance(key, str) and len(key) <= _LONGEST_KEY and _KEY.fullmatch(key)):
            raise UsageError(
                f"a key of a bucket is of ASCII letters, digits and - _ / = with single dots between them, {_LONGEST_KEY} characters "
                f"at most, and not {key!r}"
            )
        self._client = client
        self._stream = stream
        self._bucket = bucket
        self._key = key
        self._subject = f"$KV.{bucket}.{key}"
        self._made: object = None  # when the bucket was made that was read first
        self._last = 0  # the newest revision that the bucket has named

    @property
    def where(self) -> str:
        return f"{self._key} in the NATS bucket {self._bucket}"

    async def read(self) -> Entry:
        from nats.js.errors import NotFoundError

        known = self._last  # before it is asked: answers may overtake each other on their way here
        with _failures(self._client):
            info = await self._stream.stream_info(f"KV_{self._bucket}")
            self._recognise(info, known)
            try:  # asked of the stream's leader: the other servers, which a client asks by itself, may lag
                found = await self._stream.get_last_msg(f"KV_{self._bucket}", self._subject)
            except NotFoundError as error:
                if error.err_code != _NO_MESSAGE:
                    raise
                return Entry(info.state.last_seq, None)  # nothing was left of it when that was the last
        return Entry(found.seq or 0, None if _is_marker(found.headers or {}) else found.data or b"")

    def _recognise(self, info: StreamInfo, known: int) -> None:
        """Raise `MadeAnew` if the bucket is not the one that was read before, or has forgotten what it held."""
        if self._made is None:
            self._made = info.created
        if info.created != self._made:
            raise MadeAnew("the bucket was deleted and made again")
        if info.state.last_seq < known:
            raise MadeAnew("the bucket was restored from a backup, or has lost data: its revisions have gone back")
        self._last = max(self._last, info.state.last_seq)

    async def write(self, data: bytes | None) -> int:
        marker = {} if data is not None else {_OPERATION: "DEL"}
        return await self._publish(data or b"", marker)

    async def replace(self, before: Entry, data: bytes) -> tuple[bool, Entry]:
        from nats.js.errors import APIError

        try:
            revision = await self._publish(data, {"Nats-Expected-Last-Subject-Sequence": str(before.revision)})
        except UsageError as error:
            cause = error.__cause__
            if not (isinstance(cause, APIError) and cause.err_code in _STALE):
                raise
            return False, await self.read()
        return True, Entry(revision, data)

    async def _publish(self, data: bytes, headers: dict[str, str]) -> int:
        with _failures(self._client):
            answer = await self._stream.publish(self._subject, data, stream=f"KV_{self._bucket}", headers=headers)
        return int(answer.seq)

    async def changes(self, after: int) -> AsyncGenerator[Entry, None]:
        """Read the key whenever somebody publishes to its subject, which is how it is set.

        The client's own watch is not used: it leaves two tasks running for ever, and a server that is restarted forgets it. A plain
        subscription is renewed by the client, and needs to bring nothing but the news that there is something to read.
        """
        news = asyncio.Event()
        news.set()  # for what came before there was a subscription

        async def published(message: object) -> None:
            news.set()

        with _failures(self._client):
            subscription = await self._client.subscribe(self._subject, cb=published)
        try:
            while True:
                await news.wait()
                news.clear()
                for pause in _PAUSES:
                    entry = await self.read()
                    if entry.revision > after:
                        after = entry.revision
                        yield entry
                        break
                    await asyncio.sleep(pause)
        finally:
            with suppress(Exception):  # of a client that is closed, or has lost its server: there is none to tell
                await subscription.unsubscribe()


def _is_marker(headers: Mapping[str, str]) -> bool:
    """Return whether the message says that the key was deleted: by a client, or by the server when its time was over."""
    return headers.get(_OPERATION) in ("DEL", "PURGE") or "Nats-Marker-Reason" in headers


@contextmanager
def _failures(client: Client) -> Iterator[None]:
    """Raise what nats-py raises as ours. Nothing is asked while the client has no server: it would keep that, and send it later."""
    from nats import errors
    from nats.js import errors as answers

    if not client.is_connected:
        raise Unreachable("the client is not connected", unsent=True)
    try:
        yield
    except errors.MaxPayloadError as error:
        raise UsageError(f"the NATS server takes no more than {client.max_payload} bytes: nothing was written") from error
    except (answers.NoStreamResponseError, answers.NotFoundError) as error:
        raise Unreachable("there is no such bucket, or JetStream is not enabled", unsent=True) from error
    except answers.BadRequestError as error:
        raise UsageError(f"the NATS server refuses this: {error.description}") from error
    except answers.APIError as error:  # its answer: nothing was done
        raise Unreachable(error.description or type(error).__name__, unsent=True) from error
    except (TimeoutError, errors.Error, OSError) as error:
        raise Unreachable(type(error).__name__) from error
