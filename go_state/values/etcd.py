"""Values in etcd: `with gs.values.Etcd("http://10.0.0.1:2379") as etcd: limits = etcd.value("limits", Limits)`."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

from go_state.core.errors import InsideLoop, UsageError, UsedAfterClose
from go_state.system.forks import at_fork
from go_state.system.running import running_loop
from go_state.values.backend import Entry, MadeAnew
from go_state.values.etcd_gateway import Access, Gateway, Json
from go_state.values.home import OwnHome
from go_state.values.registry import Registry
from go_state.values.remote_value import RemoteValue
from go_state.waking.deadlines import is_number

T = TypeVar("T")


class Etcd:
    """A connection to an etcd cluster of version 3.4 or newer, for values that many processes share.

    A context manager, of both kinds. It works in a thread of its own, so its values are for threads and for every event loop.
    `endpoints` are URLs; if one does not answer the next one is asked. `ca` is the path of the certificates to trust (those of
    the system, if none is given), `cert` the paths of this client's certificate and key, `user` a name and password. `timeout`
    (seconds) is how long a write waits for an answer of an endpoint. Each value is read every `look` seconds, and the answer
    must come within that time: so a watch that died in silence, and a server that is frozen, are found.

    It may be opened again when it was closed. Raises `UsageError` if an endpoint or a certificate cannot be one, and `MissingExtra`
    without `pip install "go-state[etcd]"`.
    """

    def __init__(
        self,
        *endpoints: str,
        ca: str | None = None,
        cert: tuple[str, str] | None = None,
        user: tuple[str, str] | None = None,
        timeout: float = 5.0,
        look: float = 1.0,
    ) -> None:
        for endpoint in endpoints or ("",):
            _check_endpoint(endpoint)
        for word, seconds in (("timeout", timeout), ("look", look)):
            if not (is_number(seconds) and seconds > 0):
                raise UsageError(f"{word}= is a number of seconds greater than 0, not {seconds!r}")
        self._endpoints = endpoints
        self._how = Access(ca=ca, cert=cert, user=user, timeout=timeout)
        self._look = look
        self._home: OwnHome | None = None
        self._gateway: Gateway | None = None
        self._values: Registry | None = None
        at_fork(self)

    def value(self, key: str, of: type[T]) -> RemoteValue[T]:
        """Return the value under the key, of this type: the same one for each call, until it has ended. It follows the key at once. Raises
        `UsedAfterClose` when the connection was closed.

        A key is any text. Raises `UsageError` if it is none or was asked for as another type, and `NotStorable` if JSON cannot hold
        the type. A value that etcd refuses, because it is larger than 1.5 MB or so, raises `UsageError` when it is set, and
        `StoreFull` if there is no room.
        """
        if self._values is None:
            raise UsedAfterClose("the connection to etcd is open inside of its with block alone: ask for values there")
        return self._values.value(key, of)

    # ------------------------------------------------------------------ the block

    def __enter__(self) -> Self:
        if running_loop() is not None:
            raise InsideLoop("with gs.values.Etcd", "async with gs.values.Etcd(...)")
        return self._begin()

    def _begin(self) -> Self:
        if self._home is not None:
            raise UsageError("this connection to etcd is open already: make another one, or use its values")
        gateway = Gateway(self._endpoints, self._how)
        self._home = OwnHome("go_state etcd")
        self._gateway = gateway
        self._values = Registry(self._home, partial(EtcdKey, gateway), self._look)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        home, self._home = self._home, None
        if home is not None:
            home.end(self._end)

    async def __aenter__(self) -> Self:
        return self._begin()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        home, self._home = self._home, None
        if home is not None:
            await home.end_async(self._end)

    async def _end(self) -> None:
        gateway, self._gateway = self._gateway, None
        values, self._values = self._values, None
        if values is not None:
            await values.end()
        if gateway is not None:
            await gateway.close()

    def after_fork_in_child(self) -> None:
        """In a forked child: be closed. The thread and its connections are the parent's."""
        self._home = None


def _check_endpoint(endpoint: object) -> None:
    if isinstance(endpoint, str) and "@" in endpoint:  # whose text is not repeated here
        raise UsageError("a name and a password are no part of an endpoint's address: give them as user=(name, password)")
    try:
        parts = urlsplit(endpoint if isinstance(endpoint, str) else "")
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of a port or a bracket
        valid = False
    if not valid:
        raise UsageError(f'an endpoint of etcd is an address such as "http://10.0.0.1:2379", not {endpoint!r}')


class EtcdKey:
    """One key of a cluster: the `Backend` of a value."""

    def __init__(self, gateway: Gateway, key: str) -> None:
        if not isinstance(key, str) or not key:
            raise UsageError(f"a key in etcd is a text of at least one character, not {key!r}")
        try:
            self._key = _text(key.encode())
        except UnicodeEncodeError:
            raise UsageError(f"a key in etcd is a text that UTF-8 can hold, not {key!r}") from None
        self._gateway = gateway
        self._name = key
        self._cluster: str | None = None  # the id of the cluster that has answered first
        self._revision = 0  # of the cluster, the highest that an answer named

    @property
    def where(self) -> str:
        return f"{self._name} in etcd at {self._gateway.endpoints[0]}"

    async def read(self) -> Entry:
        return _newest(await self._ask("/v3/kv/range", {"key": self._key}, again=True))

    async def write(self, data: bytes | None) -> int:
        if data is None:
            answer = await self._ask("/v3/kv/deleterange", {"key": self._key})
        else:
            answer = await self._ask("/v3/kv/put", {"key": self._key, "value": _text(data)})
        return _revision(answer)

    async def replace(self, before: Entry, data: bytes) -> tuple[bool, Entry]:
        compare = {
            "key": self._key,
            "target": "MOD",
            "result": "EQUAL",
            "mod_revision": str(before.revision if before.data is not None else 0),
        }
        body = {
            "compare": [compare],
            "success": [{"request_put": {"key": self._key, "value": _text(data)}}],
            "failure": [{"request_range": {"key": self._key}}],
        }
        answer = await self._ask("/v3/kv/txn", body)
        if answer.get("succeeded"):
            return True, Entry(_revision(answer), data)
        found = answer["responses"][0]["response_range"]
        return False, _newest({**found, "header": answer["header"]})

    async def changes(self, after: int) -> AsyncGenerator[Entry, None]:
        body = {"create_request": {"key": self._key, "start_revision": str(after + 1)}}
        watch = self._gateway.watch(body)
        async with aclosing(watch):
            async for result in watch:
                self._recognise(result, 0)  # a watch may come from a member that lags
                events = result.get("events")
                if events:
                    yield _changed(events[-1])  # of changes that come together the last one counts

    async def _ask(self, path: str, body: Json, *, again: bool = False) -> Json:
        known = self._revision  # before it is asked: answers may overtake each other on their way here
        answer = await self._gateway.ask(path, body, again=again)
        self._recognise(answer, known)
        self._revision = max(self._revision, _revision(answer))
        return answer

    def _recognise(self, answer: Json, known: int) -> None:
        """Raise `MadeAnew` if what answers is not what has answered before, or has forgotten what it said.

        A cluster of the same addresses that lost its data has the same id: only its revisions begin anew.
        """
        cluster = answer["header"].get("cluster_id")
        if self._cluster is None:
            self._cluster = cluster
        if cluster != self._cluster:
            raise MadeAnew("another cluster answers")
        if _revision(answer) < known:
            raise MadeAnew("the cluster was restored from a backup, or has lost its data: its revisions have gone back")


def _revision(answer: Json) -> int:
    return int(answer["header"].get("revision", 0))


def _newest(answer: Json) -> Entry:
    found = answer.get("kvs")
    if not found:
        return Entry(_revision(answer), None)
    return Entry(int(found[0]["mod_revision"]), _bytes(found[0].get("value", "")))


def _changed(event: Json) -> Entry:
    kv = event["kv"]
    deleted = event.get("type") == "DELETE"  # a PUT, whose number is zero, is left out
    return Entry(int(kv["mod_revision"]), None if deleted else _bytes(kv.get("value", "")))


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return b64decode(text)
