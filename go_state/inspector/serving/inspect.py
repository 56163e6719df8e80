"""Inspect: the page beside a running program, in a thread of its own; or mounted in an application of yours."""

from __future__ import annotations

import secrets
import socket
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from go_state.core.errors import MissingExtra, TimedOut, UsageError
from go_state.core.ports import History, Source
from go_state.core.program import SomeProgram
from go_state.history.reading.opened import opened
from go_state.inspector.serving.api import Api
from go_state.inspector.serving.asgi import Application
from go_state.inspector.serving.security import LOOPBACK
from go_state.inspector.values.redaction import Redact, Redaction
from go_state.inspector.worlds.apps import AppWorld, KeyedWorld
from go_state.inspector.worlds.stores import HistoryWorld, StoreWorld
from go_state.inspector.worlds.world import World
from go_state.modes.app.app import App
from go_state.modes.keyed_apps.keyed_apps import KeyedApps
from go_state.storage.backends.record_store import RecordStore
from go_state.storage.journal.journal import Journal
from go_state.system.own_thread import call_once

if TYPE_CHECKING:
    import uvicorn

Inspected: TypeAlias = "App[Any, Any] | KeyedApps[Any, Any] | RecordStore | Journal[Any] | Source[Any] | History[Any]"
"""An app, those of many keys, a store, a journal, a source that can be read again, or a history of your own."""

_SOON = 10.0  # seconds in which a server has to be up
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def inspect(
    of: Inspected,
    program: SomeProgram | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    redact: Redact = (),
) -> Inspector:
    """Serve the inspector of an app, or of a store or history with its program, for as long as the `with` block lasts.

    The address is printed on standard error and is `address` of what this returns: it has a random token, unless you give one, which
    has to be done to serve on another `host` than this machine's own. `port` is any that is free. `redact` are paths of fields, such as
    "customer.email", and classes, whose values are not shown. It reads only. Raises `MissingExtra` without the extra `inspector`.
    """
    return serve(_world(of, program, redact), None, host=host, port=port, token=token)


def serve(world: World, where: tuple[str, str] | None, *, host: str, port: int, token: str | None) -> Inspector:
    """Return what serves a world; `where` is the module and name of its program, if they are known."""
    if host not in _LOOPBACK and token is None:
        raise UsageError(
            f"whoever reaches {host} would see all that the program holds: give a token of your own to serve there"
        )
    hosts = LOOPBACK if host in _LOOPBACK else frozenset[str]()
    return Inspector(Application(Api(world, where), _checked(token), hosts), host, port)


def asgi(of: Inspected, program: SomeProgram | None = None, *, token: str | None = None, redact: Redact = ()) -> Application:
    """Return the inspector as an ASGI application, to be mounted in Starlette or FastAPI; open it with `?token=` and its `token`.

    Without a token of your own it has a random one, and answers only under this machine's own names. The other arguments are those of
    `inspect`.
    """
    return Application(Api(_world(of, program, redact)), _checked(token), LOOPBACK if token is None else frozenset[str]())


def _checked(token: str | None) -> str:
    if token is None:
        return secrets.token_urlsafe(24)
    if len(token) < 16 or not token.isascii() or not token.replace("-", "").replace("_", "").isalnum():
        raise UsageError("token= has at least 16 letters, digits, - or _: secrets.token_urlsafe() makes one")
    return token


def _world(of: Inspected, program: SomeProgram | None, redact: Redact) -> World:
    redaction = Redaction(redact)
    if isinstance(of, App):
        return AppWorld(of, called=None, redaction=redaction)
    if isinstance(of, KeyedApps):
        return KeyedWorld(of, called=None, redaction=redaction)
    if isinstance(of, RecordStore):
        return StoreWorld(of, program, redaction=redaction)
    if isinstance(of, Journal):
        store: Any = of.store
        return StoreWorld(store, program, only=of.name, redaction=redaction)
    if program is None:
        raise UsageError("an app, a store, or a program and its history can be inspected: give the program as well")
    return HistoryWorld(opened("inspect", program, of), redaction=redaction, is_file=isinstance(of, Source))


class Inspector:
    """A served inspector; a context manager. `address` is where it is found. Made by `gs.inspect`."""

    def __init__(self, app: Application, host: str, port: int, *, says: bool = True) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._says = says
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """Where the page is found, with the token; `UsageError` before it is served."""
        if self._server is None:
            raise UsageError("the inspector is served in a with block: enter it first")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/?token={self._app.token}"

    def start(self) -> None:
        """Serve, in a thread of its own. Raises `MissingExtra`, and `TimedOut` if it does not come up."""
        try:
            import uvicorn
        except ImportError:
            raise MissingExtra("inspector", "the inspector") from None

        config = uvicorn.Config(
            self._app,
            log_level="error",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
            ws="none",
            server_header=False,
        )
        bound = _bound(self._host, self._port)
        self._port = bound.getsockname()[1]
        server = self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=server.run, args=([bound],), name="go_state inspector", daemon=True)
        self._thread.start()
        waited = threading.Event()
        for _ in range(int(_SOON / 0.01)):
            if server.started or not self._thread.is_alive():
                break
            waited.wait(0.01)
        if not server.started:
            self.close()
            raise TimedOut(f"the inspector was not up within {_SOON:.0f} seconds")
        if self._says:
            sys.stderr.write(f"The inspector is at {self.address}\n")
            sys.stderr.flush()

    def close(self) -> None:
        """Stop serving; a second call is harmless."""
        self._app.close()
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(5)
            self._server.force_exit = True
            self._thread.join()

    def wait(self) -> None:
        """Wait until it is closed, or the thread is interrupted."""
        if self._thread is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await call_once(self.start, "go_state inspector begins")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await call_once(self.close, "go_state inspector ends")


def _bound(host: str, port: int) -> socket.socket:
    """Return a socket at this address; `OSError` if the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(
        family, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # named, or asyncio sets no TCP_NODELAY: 40 ms an answer
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound
