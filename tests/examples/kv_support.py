"""The key-value service in a process of its own, and a plain client of it."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from examples.kv_service import server

ROOT = Path(server.__file__).parents[2]


class Answer(NamedTuple):
    status: int
    body: bytes
    tag: str | None


class Client:
    """One connection, made again where it was lost."""

    def __init__(self, port: int, timeout: float = 30.0) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def request(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
        try:
            self._connection.request(method, path, body, headers or {})
            answer = self._connection.getresponse()
            return Answer(answer.status, answer.read(), answer.headers["ETag"])
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise

    def put(self, key: str, value: bytes, **headers: str) -> Answer:
        return self.request("PUT", path_of(key), value, {name.replace("_", "-"): text for name, text in headers.items()})

    def get(self, key: str) -> Answer:
        return self.request("GET", path_of(key))

    def delete(self, key: str) -> Answer:
        return self.request("DELETE", path_of(key))

    def close(self) -> None:
        self._connection.close()


def path_of(key: str) -> str:
    return "/v1/" + quote(key.encode(), safe="")


class Served:
    """The service as a user starts it."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._command = [sys.executable, "-W", "error", "-m", "examples.kv_service", "--port", str(self.port), *arguments]
        self._environment = os.environ | (environment or {})
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, status: int = 200) -> Served:
        """Start it, and wait until it can be used, or until its health has another status."""
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(self._command, cwd=ROOT, env=self._environment, stdout=quiet, stderr=subprocess.PIPE)
        self.wait_for(status)
        return self

    def wait_for(self, status: int, seconds: float = 30.0) -> None:
        """Ask for its health until it answers with the status."""
        ends = time.monotonic() + seconds
        client = Client(self.port, 5.0)
        with contextlib.closing(client):
            while time.monotonic() < ends:
                assert self.process is not None
                assert self.process.poll() is None, self._said()
                with contextlib.suppress(OSError, http.client.HTTPException):
                    if client.request("GET", "/health").status == status:
                        return
                time.sleep(0.02)  # it cannot say when; the loop's end bounds this
        raise AssertionError(f"the service did not come to {status}")

    def _said(self) -> str:
        assert self.process is not None
        return self.process.communicate()[1].decode()

    def kill(self) -> None:
        """Kill it with -9."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def stop(self) -> str:
        """End it as an operator does, and return what it has written to its standard error."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        errors = self.process.communicate(timeout=30)[1].decode()
        assert self.process.returncode in (0, -signal.SIGTERM), errors
        return errors

    def client(self) -> Client:
        return Client(self.port)
