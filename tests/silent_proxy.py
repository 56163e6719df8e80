"""A way to a server that can fall silent, what was connected stays connected and nothing passes any more, or hang up."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType


class SilentProxy:
    """Passes on what is sent to and from a port of loopback, until it falls silent; new connections pass again."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:  # it was closed
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._to))
            except OSError:  # the server has stopped: this client hears of it, and the next is tried again
                client.close()
                continue
            self._pairs.append((client, server))
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass

    def fall_silent(self) -> None:
        """Cut every connection to the server; the clients hear nothing of it."""
        for _, server in self._pairs:
            server.shutdown(socket.SHUT_RDWR)

    def hang_up(self) -> None:
        """End every connection; the clients hear of it, as from a server that stops."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with suppress(OSError):  # it has ended by itself
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def __enter__(self) -> SilentProxy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(30)  # who has just come is among the pairs by then
        for pair in self._pairs:
            for end in pair:
                end.close()
