"""An etcd server of the test's own: one node, in a temporary directory, on free ports of loopback."""

from __future__ import annotations

import json
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from postgres_server import free_port

_SECONDS = 30.0  # until a server on a busy machine answers


class EtcdServer:
    """One server, which can be stopped, killed and started again with what it holds."""

    def __init__(self, *flags: str, scheme: str = "http", context: ssl.SSLContext | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="go_state_etcd"))
        self.port = free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.name = self.folder.name
        self.peers = f"http://127.0.0.1:{free_port()}"
        self.cluster = (self,)  # all its members
        self._flags = flags
        self._context = context
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.spawn()
        self.wait()

    def spawn(self) -> None:
        """Start it, and wait for nothing: the members of a cluster wait for each other."""
        command = [
            str(Path(sys.executable).parent / "etcd"),
            f"--name={self.name}",
            f"--data-dir={self.folder / 'data'}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={self.peers}",
            f"--initial-advertise-peer-urls={self.peers}",
            f"--initial-cluster={','.join(f'{member.name}={member.peers}' for member in self.cluster)}",
            *self._flags,
        ]
        with (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)

    def wait(self) -> None:
        """Wait until it answers."""
        assert self._process is not None
        until = time.monotonic() + _SECONDS
        while not self._is_healthy():
            assert self._process.poll() is None, (self.folder / "out").read_text()[-4000:]
            assert time.monotonic() < until, "etcd does not answer"

    def _is_healthy(self) -> bool:
        try:
            with urlopen(f"{self.url}/health", timeout=1, context=self._context) as answer:
                return b"true" in answer.read()
        except (URLError, OSError):
            time.sleep(0.02)  # before the next look, of which `start` limits the number by time
            return False

    def call(self, path: str, **body: object) -> None:
        """Ask its gateway for something that no value asks for."""
        with urlopen(f"{self.url}/v3/{path}", json.dumps(body).encode(), timeout=30, context=self._context) as answer:
            answer.read()

    def wipe(self) -> None:
        """Remove what it holds, while it is stopped."""
        shutil.rmtree(self.folder / "data")

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> None:
        """Stop it with a signal: after SIGKILL it finds its log as a crash leaves it."""
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


@pytest.fixture(scope="session")
def etcd_server() -> Iterator[EtcdServer]:
    """Give a server to share, one for each process that tests."""
    server = EtcdServer()
    server.start()
    yield server
    server.remove()
