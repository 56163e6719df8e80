"""The key-value service with many clients, some of them slow, rude or gone; watched, compacted while it serves, and fed nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from kv_support import Served, path_of

import go_state as gs
from examples.kv_service import service as services
from examples.kv_service.program import Put
from examples.kv_service.service import KEY, Service

pytestmark = pytest.mark.processes

CLIENTS = 1000
LARGE = b"x" * (1 << 20)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    made = Served("--path", str(tmp_path / "kv.lmdb"), "--body-seconds", "3").start()
    yield made
    assert set(made.stop().splitlines()) <= {"WARNING:  Invalid HTTP request received."}
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Connection:
    """A connection that sends what it is told to, well formed or not."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, served: Served) -> AsyncIterator[Connection]:
        made = cls(*await asyncio.open_connection("127.0.0.1", served.port))
        try:
            yield made
        finally:
            made.writer.close()
            with contextlib.suppress(OSError):
                await made.writer.wait_closed()

    def send(self, method: str, path: str, body: bytes = b"", length: int | None = None) -> None:
        size = len(body) if length is None else length
        self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: kv\r\nContent-Length: {size}\r\n\r\n".encode() + body)

    async def answer(self) -> tuple[int, bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next((int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length:")), 0)
        return int(head.split()[1]), await self.reader.readexactly(length)


@pytest.mark.slow
async def test_a_thousand_clients_beside_slow_and_rude_ones(served: Served) -> None:
    """Each of them is answered, whoever else does not read, does not send, or goes away; and the memory is bounded."""
    with contextlib.closing(served.client()) as client:
        assert client.put("large", LARGE).status == 201
    before = memory(served)

    async def polite(number: int) -> None:
        async with Connection.to(served) as connection:
            for value in (b"first", b"%d" % number):
                connection.send("PUT", f"/v1/c/{number}", value)
                assert (await connection.answer())[0] in (201, 204)
            connection.send("GET", f"/v1/c/{number}")
            assert await connection.answer() == (200, b"%d" % number)

    async def does_not_read(over: asyncio.Event) -> None:
        async with Connection.to(served) as connection:
            connection.send("GET", "/v1/large")
            await over.wait()
            assert await connection.answer() == (200, LARGE)

    async def sends_half(number: int) -> None:
        async with Connection.to(served) as connection:
            connection.send("PUT", f"/v1/half/{number}", LARGE[: len(LARGE) // 2], len(LARGE))
            assert (await connection.answer())[0] == 408

    async def vanishes(number: int) -> None:
        async with Connection.to(served) as connection:
            connection.send("PUT", f"/v1/gone/{number}", b"x" * 1000, 2000)
            await connection.writer.drain()

    over = asyncio.Event()
    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        slow = [group.create_task(does_not_read(over)) for _ in range(50)]
        rude = [group.create_task(each(number)) for number in range(100) for each in (sends_half, vanishes)]
        await asyncio.gather(*(polite(number) for number in range(CLIENTS)))
        held = memory(served)
        await asyncio.gather(*rude)
        over.set()
        await asyncio.gather(*slow)
    with contextlib.closing(served.client()) as client:
        assert json.loads(client.request("GET", "/v1/?prefix=half").body)["keys"] == []
        assert json.loads(client.request("GET", "/v1/?prefix=gone").body)["keys"] == []
        assert len(json.loads(client.request("GET", "/v1/?prefix=c/").body)["keys"]) == CLIENTS
    assert held - before < 250 << 20, (
        f"{(held - before) >> 20} MiB"
    )  # 64 large bodies, those of 50 readers, and a thousand connections


def memory(served: Served) -> int:
    """Return the bytes that the service has in memory."""
    assert served.process is not None
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) << 10


async def test_a_key_is_watched(served: Served) -> None:
    """What it is, then the newest; a deletion too; binary values; and who has gone is forgotten."""

    async def event(connection: Connection) -> tuple[str, Any]:
        while True:
            lines = dict(
                line.split(": ", 1)
                for line in (await connection.reader.readuntil(b"\n\n")).decode().splitlines()
                if ": " in line
            )
            if "event" in lines:
                return lines["event"], json.loads(lines["data"])

    key = path_of("a key\n")
    with contextlib.closing(served.client()) as client:
        async with asyncio.timeout(20):
            async with Connection.to(served) as connection:
                connection.send("GET", f"{key}?watch")
                assert await event(connection) == ("delete", {})
                client.put("a key\n", "wörd\n\ndata: x".encode())
                assert await event(connection) == ("put", {"version": 1, "value": "wörd\n\ndata: x"})
                client.put("another", b"")
                client.put("a key\n", b"\xff\x00")
                assert await event(connection) == ("put", {"version": 3, "base64": "/wA="})
                for number in range(200):
                    client.put("a key\n", b"%d" % number)
                seen = []
                while not seen or seen[-1]["value"] != "199":
                    seen.append((await event(connection))[1])
                assert [each["version"] for each in seen] == sorted(each["version"] for each in seen)
                client.delete("a key\n")
                assert await event(connection) == ("delete", {})
                assert b"kv_watchers 1.0" in client.request("GET", "/metrics").body
            while b"kv_watchers 0.0" not in client.request("GET", "/metrics").body:  # noqa: ASYNC110  - of another process
                await asyncio.sleep(0.01)  # the timeout above bounds it


async def test_it_ends_though_somebody_watches(tmp_path: Path) -> None:
    """Who watches is told the end, and nothing is said of trouble."""
    served = Served("--path", str(tmp_path / "kv.lmdb")).start()
    async with asyncio.timeout(20), Connection.to(served) as connection:
        connection.send("GET", "/v1/k?watch")
        await connection.reader.readuntil(b"event: delete")
        assert await asyncio.to_thread(served.stop) == ""
        assert (await connection.reader.read()).endswith(b"0\r\n\r\n")


@pytest.mark.slow
async def test_the_log_is_compacted_while_it_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots are written and what they cover is forgotten, with nobody stopped; a restart finds everything."""
    monkeypatch.setattr(services, "SNAPSHOTS", gs.Snapshots(every=2048, keep=2))

    async def writes(service: Service, writer: int) -> None:
        for number in range(2000):
            await service.change(Put(f"{writer}/{number % 20}", b"%d" % number))

    async with Service(lambda: gs.LMDBStore(tmp_path / "s")) as service:
        await asyncio.gather(*(writes(service, writer) for writer in range(8)))
        model = service.entries
    with gs.LMDBStore(tmp_path / "s") as store:
        statistics = store.journal(KEY).statistics()
        assert statistics.end == 16_000
        assert statistics.start > 8_000
    async with Service(lambda: gs.LMDBStore(tmp_path / "s")) as service:
        assert service.entries == model
        assert {entry.value for entry in model.by_key.values()} == {b"%d" % number for number in range(1980, 2000)}


async def test_hostile_requests_harm_nothing(served: Served) -> None:
    """Requests that are none are refused or cut off, never answered with a 500, and the service goes on."""
    nonsense = [
        b"\x00" * 100,
        b"PUT /v1/k HTTP/1.1\r\nHost: kv\r\nContent-Length: -1\r\n\r\n",
        b"PUT /v1/k HTTP/1.1\r\nHost: kv\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"PUT /v1/k HTTP/1.1\r\nHost: kv\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n",
        b"PUT /v1/k HTTP/1.1\r\nHost: kv\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"GET /v1/%zz%00%0 HTTP/1.1\r\nHost: kv\r\n\r\n",
        b"GET /v1/" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: kv\r\n\r\n",
        b"GET /v1/k HTTP/1.1\r\nHost: kv\r\nIf-None-Match: " + b'"1",' * 10_000 + b"\r\n\r\n",
        b"GET /v1/k HTTP/1.1\r\nHost: kv\r\nIf-Match: \xff\xfe\r\nAuthorization: \xff\r\n\r\n",
        b"GET /v1/?limit=99999999999999999999&prefix=%ff&after=%ed%a0%80 HTTP/1.1\r\nHost: kv\r\n\r\n",
        b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: kv\r\n\r\n",
    ]
    for sent in nonsense:
        async with Connection.to(served) as connection, asyncio.timeout(10):
            connection.writer.write(sent)
            connection.writer.write_eof()
            answer = b""
            with contextlib.suppress(ConnectionResetError):  # cut off
                answer = await connection.reader.read()
            assert not answer or b" 500 " not in answer.split(b"\r\n")[0], (sent[:80], answer[:200])
    with contextlib.closing(served.client()) as client:
        assert client.put("fine", b"yes").status == 201
        assert client.get("fine").body == b"yes"
