"""Values in etcd: `with gs.values.Etcd("http://10.0.0.1:2379") as etcd: limits = etcd.value("limits", Limits)`."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self, TypeVar

from go_state.core.errors import InsideLoop, UsageError, UsedAfterClose
from go_state.system.forks import at_fork
from go_state.system.running import running_loop
from go_state.values.etcd_gateway import EtcdKey, Gateway
from go_state.values.home import OwnHome
from go_state.values.remote_value import RemoteValue
from go_state.waking.deadlines import is_number

T = TypeVar("T")


class Etcd:
    """A connection to an etcd cluster of version 3.4 or newer, for values that many processes share.

    A context manager, of both kinds. It works in a thread of its own, so its values are for threads and for every event loop. If an
    endpoint does not answer the next one is asked. `ca` is the path of the certificates to trust (those of the system, if none is
    given), `cert` the paths of this client's certificate and key, `user` a name and password. `timeout` (seconds) is how long to wait
    for an answer, and each value is looked at every `look` seconds, so that a watch that died in silence is found.

    Raises `MissingExtra` without `pip install "go-state[etcd]"`.
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
            if not isinstance(endpoint, str) or not endpoint.startswith(("http://", "https://")):
                raise UsageError(f'an endpoint of etcd is an address such as "http://10.0.0.1:2379", not {endpoint!r}')
        for word, seconds in (("timeout", timeout), ("look", look)):
            if not (is_number(seconds) and seconds > 0):
                raise UsageError(f"{word}= is a number of seconds greater than 0, not {seconds!r}")
        self._endpoints = endpoints
        self._how = {"ca": ca, "cert": cert, "user": user, "timeout": timeout}
        self._look = look
        self._home: OwnHome | None = None
        self._gateway: Gateway | None = None
        self._values: dict[str, tuple[Any, RemoteValue[Any]]] = {}  # by key, with the types they were asked for
        at_fork(self)

    def value(self, key: str, of: type[T]) -> RemoteValue[T]:
        """Return the value under the key, of this type; the same one for each call. It begins to follow the key at once."""
        home, gateway = self._home, self._gateway
        if home is None or gateway is None:
            raise UsedAfterClose("the connection to etcd is open inside of its with block alone: ask for values there")
        if not isinstance(key, str) or not key:
            raise UsageError(f"a key in etcd is a text of at least one character, not {key!r}")
        kind, known = self._values.get(key, (of, None))
        if known is None:
            known = RemoteValue(EtcdKey(gateway, key), home, of, self._look)
            self._values[key] = of, known
            home.loop.call_soon_threadsafe(known.begin)
        elif kind is not of:
            raise UsageError(f"the value {key!r} was asked for as another type before: a key has one type")
        return known

    # ------------------------------------------------------------------ the block

    def __enter__(self) -> Self:
        if running_loop() is not None:
            raise InsideLoop("with gs.values.Etcd", "async with gs.values.Etcd(...)")
        return self._begin()

    def _begin(self) -> Self:
        self._gateway = Gateway(self._endpoints, **self._how)  # type: ignore[arg-type]
        self._home = OwnHome("go_state etcd")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        home, self._home = self._home, None
        if home is None:
            return
        home.run(self._end, "close")
        home.close()

    async def __aenter__(self) -> Self:
        return self._begin()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        home, self._home = self._home, None
        if home is None:
            return
        await home.run_async(self._end)
        home.close()

    async def _end(self) -> None:
        gateway, self._gateway = self._gateway, None
        values, self._values = self._values, {}
        for _, value in values.values():
            await value.end()
        if gateway is not None:
            await gateway.close()

    def after_fork_in_child(self) -> None:
        """In a forked child: be closed. The thread and its connections are the parent's."""
        self._home, self._gateway, self._values = None, None, {}
