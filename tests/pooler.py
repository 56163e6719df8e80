"""Debian's pgbouncer in front of a test's Postgres server, in a temporary directory, on a free port of loopback, and not as root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

from postgres_server import PASSWORD, PostgresServer, free_port

_SETTINGS = """
[databases]
postgres = host=127.0.0.1 port={server} user=owner password='{password}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
"""


@contextmanager
def pooled(server: PostgresServer, mode: str, *, size: int = 10) -> Iterator[str]:
    """Give a connection string that leads through a pooler of that mode."""
    folder = Path(tempfile.mkdtemp(prefix="go_state_pooler"))
    port, settings = free_port(), folder / "settings"
    settings.write_text(_SETTINGS.format(server=server.port, password=PASSWORD, port=port, mode=mode, size=size))
    user = "postgres" if os.geteuid() == 0 else None
    if user is not None:
        for each in (folder, settings):
            shutil.chown(each, user, user)
    program, quiet = Path("/usr/sbin/pgbouncer"), subprocess.DEVNULL
    assert program.exists(), "this test starts Debian's pgbouncer: apt-get install pgbouncer"
    pooler = subprocess.Popen([program, settings], user=user, cwd=folder, stdout=quiet, stderr=quiet)
    try:
        _wait_for(port)
        yield f"postgresql://owner@127.0.0.1:{port}/postgres"
    finally:
        pooler.kill()
        pooler.wait()
        shutil.rmtree(folder)


def _wait_for(port: int) -> None:
    ends = monotonic() + 30
    while monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            sleep(0.02)  # it cannot say when; the loop's end bounds this
    raise AssertionError("pgbouncer did not start")
