"""A Kinesis server of the test's own: kinesalite, in memory, on a free port of loopback. AWS itself cannot be tried here.

`make .venv/kinesis` brings it from npm.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres_server import free_port

_SECONDS = 30.0  # until a stream is there


def _modules() -> Path:
    for folder in (
        Path(sys.prefix).parent / "kinesis",
        Path(sys.prefix) / "kinesis",
        Path(__file__).parent.parent / ".venv" / "kinesis",
    ):
        if (folder / "node_modules" / "kinesalite").is_dir():
            return folder / "node_modules"
    raise AssertionError("this test starts kinesalite: run `make .venv/kinesis`")


class KinesisServer:
    """One server; what it holds is gone when it is stopped."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What reaches it."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        node = shutil.which("node")
        assert node is not None, "this test starts kinesalite: apt-get install nodejs"
        self._process = subprocess.Popen(
            [node, str(Path(__file__).parent / "kinesis" / "server.js"), str(self.port)],
            env={**os.environ, "NODE_PATH": str(_modules()), "NODE_NO_WARNINGS": "1"},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == b"ready"

    def client(self) -> Any:
        """Return a boto3 client of it."""
        import boto3

        return boto3.client(
            "kinesis", region_name="us-east-1", endpoint_url=self.url, aws_access_key_id="test", aws_secret_access_key="test"
        )

    def create(self, stream: str, shards: int) -> None:
        """Make a stream, and wait until it can be used."""
        client = self.client()
        client.create_stream(StreamName=stream, ShardCount=shards)
        self.settle(stream)

    def settle(self, stream: str) -> None:
        """Wait until the stream is active, as it is once a split or a merge is done."""
        client, until = self.client(), time.monotonic() + _SECONDS
        while client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamStatus"] != "ACTIVE":
            assert time.monotonic() < until, "the stream does not become active"

    def stop(self) -> None:
        """Stop it for good."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(30)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@pytest.fixture(scope="session")
def kinesis_server() -> Iterator[KinesisServer]:
    """Give a server to share, one for each process that tests."""
    server = KinesisServer()
    server.start()
    yield server
    server.stop()
