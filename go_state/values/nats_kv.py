"""Values in a key-value bucket of NATS: `async with gs.values.NatsKV(client, "config") as kv: limits = kv.value("limits", Limits)`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from go_state.core.errors import MissingExtra, UsageError, UsedAfterClose
from go_state.values.backend import Entry, MadeAnew, Unreachable
from go_state.values.home import Home
from go_state.values.remote_value import RemoteValue
from go_state.waking.deadlines import is_number

T = TypeVar("T")

_PAUSES = (
    0.005,
    0.02,
    0.08,
)  # seconds before the next read: the news of a change may come a moment before the change can be read


class NatsKV:
    """A key-value bucket of NATS JetStream, for values that many processes share.

    `client` is a connected client of nats-py, whose reconnecting is its own affair: give it `max_reconnect_attempts=-1`. `bucket` is
    made if it is not there. An async context manager; the values may be read and watched from anywhere, and set from its event loop with
    `set_async` and its like, or from other threads. Each value is looked at every `look` seconds as well, so that nothing that was
    missed during a restart of the server stays unseen.

    Raises `MissingExtra` without `pip install "go-state[nats]"`.
    """

    def __init__(self, client: Any, bucket: str, *, look: float = 1.0) -> None:  # Any: nats.NATS, which may not be installed
        if not (is_number(look) and look > 0):
            raise UsageError(f"look= is a number of seconds greater than 0, not {look!r}")
        self._client = client
        self._bucket = bucket
        self._look = look
        self._home: Home | None = None
        self._kv: Any = None  # nats.js.kv.KeyValue
        self._made = ""  # when the bucket was made, to know it again by
        self._values: dict[str, tuple[Any, RemoteValue[Any]]] = {}  # by key, with the types they were asked for

    def value(self, key: str, of: type[T]) -> RemoteValue[T]:
        """Return the value under the key, of this type; the same one for each call. It begins to follow the key at once."""
        home = self._home
        if home is None:
            raise UsedAfterClose("the bucket is open inside of its async with block alone: ask for values there")
        if not isinstance(key, str) or not key:
            raise UsageError(f"a key of a bucket is a text of at least one character, not {key!r}")
        kind, known = self._values.get(key, (of, None))
        if known is None:
            known = RemoteValue(NatsKey(self._client, self._kv, self._bucket, key, self._made), home, of, self._look)
            self._values[key] = of, known
            home.loop.call_soon_threadsafe(known.begin)
        elif kind is not of:
            raise UsageError(f"the value {key!r} was asked for as another type before: a key has one type")
        return known

    async def __aenter__(self) -> Self:
        try:
            from nats.js.errors import BucketNotFoundError
        except ImportError:
            raise MissingExtra("nats", "gs.values.NatsKV") from None
        stream = self._client.jetstream()
        try:
            self._kv = await stream.key_value(self._bucket)
        except BucketNotFoundError:
            self._kv = await stream.create_key_value(bucket=self._bucket, history=1)
        self._made = await _made_at(self._kv)
        self._home = Home(asyncio.get_running_loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._home = None
        values, self._values = self._values, {}
        for _, value in values.values():
            await value.end()


class NatsKey:
    """One key of a bucket: the `Backend` of a value."""

    def __init__(self, client: Any, kv: Any, bucket: str, key: str, made: str) -> None:  # Any: of nats-py
        from nats import errors, js

        self._client = client
        self._kv = kv
        self._bucket = bucket
        self._key = key
        self._made = made
        self._errors = errors.Error, asyncio.TimeoutError, OSError
        self._absent = js.errors.KeyNotFoundError
        self._stale = js.errors.KeyWrongLastSequenceError

    @property
    def where(self) -> str:
        return f"{self._key} in the NATS bucket {self._bucket}"

    async def read(self) -> Entry:
        try:
            stream = (await self._kv.status()).stream_info
            if str(stream.created) != self._made:
                raise MadeAnew("the bucket was deleted and made again")
            return await self._get(stream.state.last_seq)
        except self._errors as error:
            raise Unreachable(type(error).__name__) from error

    async def _get(self, last: int = 0) -> Entry:
        """Return what the key holds. If nothing is left of it, that is so since revision `last`, which was asked for before."""
        try:
            found = await self._kv.get(self._key)
        except self._absent as error:
            return Entry(last if error.entry is None else error.entry.revision, None)
        return Entry(found.revision, found.value or b"")

    async def write(self, data: bytes | None) -> int:
        try:
            if data is not None:
                return int(await self._kv.put(self._key, data))
            await self._kv.delete(self._key)
            return (await self._get()).revision
        except self._errors as error:
            raise Unreachable(type(error).__name__, unsent=not self._client.is_connected) from error

    async def replace(self, before: Entry, data: bytes) -> tuple[bool, Entry]:
        try:
            try:
                revision = await self._kv.update(self._key, data, last=before.revision)
            except self._stale:
                return False, await self._get()
        except self._errors as error:
            raise Unreachable(type(error).__name__, unsent=not self._client.is_connected) from error
        return True, Entry(int(revision), data)

    async def changes(self, after: int) -> AsyncIterator[Entry]:
        """Read the key whenever somebody publishes to its subject, which is how it is set.

        The client's own watch is not used: it leaves two tasks running for ever, and a server that is restarted forgets it. A plain
        subscription is renewed by the client, and needs to bring nothing but the news that there is something to read.
        """
        news = asyncio.Event()
        news.set()  # for what came before there was a subscription

        async def published(message: object) -> None:
            news.set()

        try:
            subscription = await self._client.subscribe(f"$KV.{self._bucket}.{self._key}", cb=published)
        except self._errors as error:
            raise Unreachable(type(error).__name__) from error
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
            with suppress(*self._errors):
                await subscription.unsubscribe()


async def _made_at(kv: Any) -> str:
    """Return when the bucket was made: another time is another bucket, whose revisions have begun anew."""
    return str((await kv.status()).stream_info.created)
