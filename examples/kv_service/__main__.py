"""Run the service: `python -m examples.kv_service`, then `curl -X PUT --data hello http://127.0.0.1:8080/v1/greeting`."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Callable
from functools import partial

import uvicorn

import go_state as gs

from .server import Limits, make_app
from .service import Service


class Server(uvicorn.Server):
    """Ends the answers that would not end by themselves, before it waits for the others."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def end(self) -> None:
        """End as a signal would."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.end_watches()
        await super().shutdown(sockets)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.kv_service", description="A key-value service over HTTP.")
    parser.add_argument("--backend", choices=("memory", "lmdb", "postgres"), default="lmdb", help="where the values are kept")
    parser.add_argument("--path", default="kv.lmdb", help="the file of the backend lmdb")
    parser.add_argument(
        "--dsn", default="", help="of the backend postgres; what it leaves out comes from PGHOST, PGPASSWORD, ..."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--max-value", type=int, default=1 << 20, help="bytes of a value at most")
    parser.add_argument("--body-seconds", type=float, default=30.0, help="how long a value may take to come")
    given = parser.parse_args()
    limits = Limits(value=given.max_value, body_seconds=given.body_seconds)
    opens: dict[str, Callable[[], gs.LMDBStore | gs.PostgresStore] | None] = {
        "memory": None,
        "lmdb": partial(gs.LMDBStore, given.path),
        "postgres": partial(gs.PostgresStore, given.dsn, schema="kv_service", timeout=3.0),
    }
    service = Service(opens[given.backend], failed=lambda: server.end())
    app = make_app(service, token=os.environ.get("KV_TOKEN", ""), limits=limits)
    print(
        f"serving http://{given.host}:{given.port}/v1/ from {given.path if given.backend == 'lmdb' else given.backend}",
        flush=True,
    )
    config = uvicorn.Config(app, host=given.host, port=given.port, log_level="warning", timeout_graceful_shutdown=5)
    server = Server(config, service)
    server.run()
    if service.failure is not None:
        sys.exit(f"ended: {service.failure}")


if __name__ == "__main__":
    main()
