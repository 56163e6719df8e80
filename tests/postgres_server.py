"""A Postgres server of the test's own: Debian's, in a temporary directory, on a free port of loopback, and not as root."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

PASSWORD = "a secret"


def free_port() -> int:
    """Return a port of loopback that nobody uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    assert found, "this test starts Debian's Postgres: apt-get install postgresql"
    return found[-1].parent


class PostgresServer:
    """One server, which can be stopped, killed and started again."""

    def __init__(self) -> None:
        self._programs = _programs()
        self.folder = Path(tempfile.mkdtemp(prefix="go_state_postgres"))
        self._user = "postgres" if os.geteuid() == 0 else None  # Postgres refuses to run as root
        self._data = self.folder / "data"
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if self._user is not None:
            shutil.chown(self.folder, self._user, self._user)
            shutil.chown(password, self._user, self._user)
        self.port = free_port()
        init = [
            "initdb",
            "--no-sync",
            "--auth=scram-sha-256",
            "--username=owner",
            f"--pwfile={password}",
            f"--pgdata={self._data}",
        ]
        self._run(*init)
        self._numbers = itertools.count()

    @property
    def dsn(self) -> str:
        """What reaches it."""
        return f"postgresql://owner:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/postgres"

    def fresh_schema(self) -> str:
        """Return a schema that no test has used."""
        return f"test_{next(self._numbers)}"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments], user=self._user, cwd=self.folder, check=True, stdout=subprocess.DEVNULL
        )

    def start(self) -> None:
        """Start it, and wait until it can be used."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c shared_buffers=16MB -c max_connections=60"
        self._run("pg_ctl", "start", "--wait", f"--pgdata={self._data}", f"--log={self.folder / 'log'}", f"--options={options}")

    def stop(self, mode: str = "fast") -> None:
        """Stop it: `fast` ends its sessions, `immediate` is as good as a crash."""
        self._run("pg_ctl", "stop", "--wait", f"--mode={mode}", f"--pgdata={self._data}")

    def forget(self, schema: str) -> None:
        """Drop the schema with all that is in it."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())

    def end_sessions(self) -> None:
        """Cut every connection to it."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'owner'"
            )

    def execute(self, *statements: str) -> None:
        """Run statements as its owner."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have all its processes stop for a block: it hangs up on nobody, and answers nothing."""
        first = (self._data / "postmaster.pid").read_text().split()[0]
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", first], capture_output=True, text=True, check=True)
        processes = [int(each) for each in (first, *found.stdout.split())]
        for each in processes:
            os.kill(each, signal.SIGSTOP)
        try:
            yield
        finally:
            for each in processes:
                os.kill(each, signal.SIGCONT)

    def remove(self) -> None:
        """Stop it for good."""
        self.stop("immediate")
        shutil.rmtree(self.folder)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Give a server to share, one for each process that tests."""
    server = PostgresServer()
    server.start()
    yield server
    server.remove()
