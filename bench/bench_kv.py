"""What does a put pay for being on disk when it is answered: the service against a plain dict on the same stack, and against Redis?"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from ratio import line

ROOT = Path(__file__).parents[1]
PUTS = 4000
CLIENTS = 64
VALUE = b"x" * 100

DICT_SERVER = """
import sys, uvicorn
from starlette.requests import Request
from starlette.responses import Response
values = {}
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    request = Request(scope, receive)
    values[scope["path"]] = await request.body()
    await Response(status_code=204)(scope, receive, send)
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", lifespan="off")
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        service = [sys.executable, "-m", "examples.kv_service", "--path", f"{folder}/kv.lmdb", "--port"]
        memory = [sys.executable, "-m", "examples.kv_service", "--backend", "memory", "--port"]
        with running(service) as ours, running(memory) as in_memory, running([sys.executable, "-c", DICT_SERVER]) as plain:
            kinds = {"ours": (ours, http_put), "memory": (in_memory, http_put), "plain": (plain, http_put)}
            with contextlib.ExitStack() as others:
                redis = shutil.which("redis-server")
                if redis is not None:
                    command = [redis, "--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", folder, "--port"]
                    kinds["redis"] = others.enter_context(running(command)), redis_put
                for clients in (CLIENTS, 1):
                    measure(kinds, clients)


def measure(kinds: dict[str, tuple[int, Callable[..., Awaitable[None]]]], clients: int) -> None:
    count = PUTS if clients > 1 else PUTS // 8
    rounds = [{name: asyncio.run(load(*to, clients, count)) for name, to in kinds.items()} for _ in range(5)]
    rate = {name: count / statistics.median(each[name] for each in rounds) for name in kinds}
    who = f"{clients} clients" if clients > 1 else "1 client"
    for name, text in (
        ("plain", "a plain dict server"),
        ("memory", "itself without a disk"),
        ("redis", "Redis, appendfsync always"),
    ):
        if name in kinds:
            ratio = statistics.median(each["ours"] / each[name] for each in rounds)
            line(
                f"a durable put over HTTP, {who}, against {text}",
                ratio,
                "-",
                f"{rate['ours']:.0f} against {rate[name]:.0f} a second",
            )


@contextlib.contextmanager
def running(command: list[str]) -> Iterator[int]:
    """Start a server on a free port, and end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    process = subprocess.Popen([*command, str(port)], cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait()


async def load(port: int, put: Callable[..., Awaitable[None]], clients: int, count: int) -> float:
    """Return the seconds that so many puts take, by so many clients at once."""
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(clients)]
    left = iter(range(count))

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in left:
            await put(reader, writer, f"key-{number % 1000}", VALUE + b"%d" % time.time_ns())

    began = time.perf_counter()
    await asyncio.gather(*(client(*each) for each in connections))
    took = time.perf_counter() - began
    for _, writer in connections:
        writer.close()
    return took


async def http_put(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str, value: bytes) -> None:
    writer.write(f"PUT /v1/{key} HTTP/1.1\r\nHost: kv\r\nContent-Length: {len(value)}\r\n\r\n".encode() + value)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head[9:12] in (b"201", b"204"), head


async def redis_put(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str, value: bytes) -> None:
    writer.write(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key.encode(), len(value), value))
    assert await reader.readline() == b"+OK\r\n"


if __name__ == "__main__":
    print(__doc__)
    main()
