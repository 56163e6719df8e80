"""The shop behind FastAPI, in processes under uvicorn: what was answered is kept, a key counts once, SIGTERM ends it in time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import websockets.asyncio.client as ws
from websockets.exceptions import ConnectionClosed

pytestmark = pytest.mark.processes

SERVICE = Path(__file__).parents[2] / "examples" / "10_service.py"
TEA = {"item": "tea", "count": 2}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """The service as a user starts it, once it answers."""
    port = free_port()
    command = [sys.executable, "-W", "error", str(SERVICE), str(port), str(folder / "shop.lmdb")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                wait_for(process, client)
                yield process, client
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], client: httpx.Client) -> None:
    ends = time.monotonic() + 30
    while not is_up(client):
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < ends
        time.sleep(0.02)  # it cannot say when; the line above bounds this


def is_up(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return client.get("/openapi.json").status_code == 200
    return False


def order(client: httpx.Client, key: str) -> httpx.Response:
    return client.post("/orders", json=TEA, headers={"Idempotency-Key": key})


def test_an_order_counts_once_through_sigterm_and_kill(tmp_path: Path) -> None:
    """The same key gets the same answer, from the next process too; a wrong body never comes to the program."""
    first = {"number": 1, "item": "tea", "left": 3}
    with served(tmp_path) as (process, client):
        assert order(client, "a").json() == order(client, "a").json() == first
        assert client.post("/orders", json={"item": "", "count": 0}, headers={"Idempotency-Key": "b"}).status_code == 422
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == -signal.SIGTERM  # uvicorn ends in order, and then as the signal would have it
        assert process.stderr is not None
        assert process.stderr.read() == ""
    with served(tmp_path) as (process, client):
        assert order(client, "a").json() == first
        assert order(client, "c").json() == {"number": 2, "item": "tea", "left": 1}
        process.kill()
    with served(tmp_path) as (process, client):
        assert order(client, "c").json() == {"number": 2, "item": "tea", "left": 1}
        assert order(client, "d").status_code == 409


async def test_a_websocket_sees_the_newest_and_does_not_hold_the_end(tmp_path: Path) -> None:
    """A client that only listens is told of each change, and is let go at SIGTERM."""
    with served(tmp_path) as (process, client):
        url = str(client.base_url).replace("http", "ws") + "/stock"
        async with ws.connect(url) as socket:
            assert json.loads(await socket.recv()) == {"tea": 5, "cake": 2}
            await asyncio.to_thread(order, client, "a")
            assert json.loads(await socket.recv()) == {"tea": 3, "cake": 2}
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 20)
        assert await asyncio.to_thread(process.wait, 20) == -signal.SIGTERM


def test_a_program_that_fails_ends_its_process(tmp_path: Path) -> None:
    """Otherwise uvicorn would go on, and refuse every request; the failure is what the process ends with."""
    port = free_port()
    failing = f"""
import runpy
import go_state as gs
service = runpy.run_path({str(SERVICE)!r})
Shop, Ordered = service["Shop"], service["Ordered"]
def update(model: Shop, msg: Ordered) -> gs.Step[Shop, Ordered]:
    raise ZeroDivisionError("a bug")
make_api = service["make_api"]
make_api.__globals__["shop"] = gs.Program(service["init"], update, name="shop")
service["uvicorn"].run(make_api({str(tmp_path / "shop.lmdb")!r}), port={port}, log_level="warning")
"""
    with subprocess.Popen([sys.executable, "-c", failing], stderr=subprocess.PIPE, text=True) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                wait_for(process, client)
                assert order(client, "a").status_code == 500
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert process.returncode != 0
    assert "ZeroDivisionError" in said


def test_a_second_worker_says_what_is_wrong(tmp_path: Path) -> None:
    """Another process on the same store ends at once with one clear line, and the first goes on."""
    with served(tmp_path) as (_, client):
        command = [sys.executable, str(SERVICE), str(free_port()), str(tmp_path / "shop.lmdb")]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode != 0
        assert "shop.lmdb is served by another process: start one worker, and only one" in second.stderr
        assert order(client, "a").status_code == 200
