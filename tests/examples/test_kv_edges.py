"""The key-value service where requests are odd, bodies slow, and its store found damaged while it serves."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import postgres_server as servers
import pytest
from kv_support import Served
from postgres_server import PostgresServer

import go_state as gs
from examples.kv_service import bodies
from examples.kv_service.bodies import SMALL, Bodies, TooLarge
from examples.kv_service.program import Put
from examples.kv_service.server import make_app
from examples.kv_service.service import Service, Unavailable

pytestmark = pytest.mark.processes

postgres_server = servers.postgres_server


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    service = Service(None)
    async with (
        service,
        httpx.AsyncClient(transport=httpx.ASGITransport(make_app(service)), base_url="http://kv") as made,  # type: ignore[arg-type]
    ):
        yield made


# ---------------------------------------------------------------------- requests


async def test_a_head_of_what_is_watched_ends(client: httpx.AsyncClient) -> None:
    """It has the headers of the GET, and no events."""
    for key in ("k", "nothing"):
        await client.put("/v1/k", content=b"1")
        answer = await client.head(f"/v1/{key}?watch", timeout=20)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"].startswith("text/event-stream")


def test_a_connection_goes_on_after_a_head_of_what_is_watched() -> None:
    """The next request on it is answered."""
    served = Served("--backend", "memory").start()
    with contextlib.closing(socket.create_connection(("127.0.0.1", served.port), timeout=20)) as connection:
        connection.sendall(
            b"HEAD /v1/a?watch HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        with connection.makefile("rb") as file:
            assert file.read().count(b"HTTP/1.1 ") == 2
    served.stop()


@pytest.mark.parametrize("value", ['"1", , "7"', ',"1"', '"1",', ' , "7" ,, "1" , ', '"7",\t,"1"', "*,"])
async def test_elements_of_a_list_may_be_empty(client: httpx.AsyncClient, value: str) -> None:
    """As the lists of HTTP say."""
    await client.put("/v1/k", content=b"1")
    assert (await client.get("/v1/k", headers={"If-None-Match": value})).status_code == 304
    assert (await client.put("/v1/k", content=b"2", headers={"If-Match": value})).status_code == 204


@pytest.mark.parametrize("value", ['"1" "7"', '"1",x', '"1', '1"', '"1", *'])
async def test_what_is_no_list_is_refused(client: httpx.AsyncClient, value: str) -> None:
    """With an answer that says what one is."""
    assert (await client.get("/v1/k", headers={"If-None-Match": value})).status_code == 400


# ---------------------------------------------------------------------- bodies


class Upload:
    """A body that comes as the test says."""

    def __init__(self) -> None:
        self._chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.taken = asyncio.Event()

    def come(self, *chunks: bytes | None) -> Upload:
        """Have chunks come, or with None the end."""
        for chunk in chunks:
            self._chunks.put_nowait(chunk)
        return self

    async def chunks(self) -> AsyncIterator[bytes]:
        while (chunk := await self._chunks.get()) is not None:
            yield chunk
            self.taken.set()


LARGE = b"x" * (SMALL + 1)
Start = Callable[[Bodies, Upload], Awaitable[Any]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    tasks: list[asyncio.Task[bytes]] = []

    async def started(of: Bodies, upload: Upload) -> asyncio.Task[bytes]:
        tasks.append(asyncio.create_task(of.read(upload.chunks())))
        await asyncio.sleep(0)
        return tasks[-1]

    yield started
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_bodies_of_which_little_has_come_hold_up_nobody(start: Start) -> None:
    """Whatever they have said of their length."""
    of = Bodies(1 << 20, 30.0, 2)
    slow = [Upload().come(b"few") for _ in range(10)]
    for upload in slow:
        await start(of, upload)
        await upload.taken.wait()
    assert await of.read(Upload().come(LARGE, None).chunks()) == LARGE


async def test_a_slow_body_loses_its_place_to_one_that_waits(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no more of them than there are waiting."""
    monkeypatch.setattr(bodies, "PAUSE_SECONDS", 0.01)
    of = Bodies(1 << 20, 30.0, 3)
    slow = [await start(of, Upload().come(LARGE)) for _ in range(3)]
    assert await of.read(Upload().come(LARGE, LARGE, None).chunks()) == LARGE * 2
    assert [task.done() for task in slow].count(True) == 1
    with pytest.raises(TimeoutError):
        await slow[[task.done() for task in slow].index(True)]


async def test_a_body_that_comes_in_time_keeps_its_place(start: Start) -> None:
    """Who waits for it loses none of its own time, and gets the place after it."""
    of = Bodies(1 << 20, 30.0, 1)
    upload = Upload().come(LARGE)
    first = await start(of, upload)
    waiting = await start(of, Upload().come(LARGE, None))
    for _ in range(5):
        upload.come(b"more")
        await asyncio.sleep(0)
    assert not waiting.done()
    upload.come(None)
    assert await first == LARGE + b"more" * 5
    assert await waiting == LARGE


async def test_a_body_that_waits_and_goes_leaves_everything_as_it_was(start: Start) -> None:
    """Its connection may be lost meanwhile."""
    of = Bodies(1 << 20, 30.0, 1)
    upload = Upload().come(LARGE)
    first = await start(of, upload)
    waiting = await start(of, Upload().come(LARGE, None))
    await asyncio.sleep(0)
    waiting.cancel()
    upload.come(None)
    assert await first == LARGE
    assert await of.read(Upload().come(LARGE, None).chunks()) == LARGE


async def test_limits_of_a_body_hold(start: Start) -> None:
    """Its bytes, and its seconds."""
    with pytest.raises(TooLarge):
        await Bodies(1000, 30.0, 1).read(Upload().come(b"x" * 1001).chunks())
    with pytest.raises(TimeoutError):
        await Bodies(1000, 0.01, 1).read(Upload().chunks())


# ---------------------------------------------------------------------- a store that is damaged


async def test_damage_found_while_it_serves_ends_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """The change is refused, whoever runs the service hears of it, and its block raises the error."""
    failed = asyncio.Event()
    store = gs.LMDBStore(tmp_path / "s")
    real = store.backend.transaction

    def damaged(*, write: bool = False, of: object = None) -> Any:
        if write:
            raise gs.errors.Corrupt("kv-service", "a page")
        return real()

    service = Service(lambda: store, failed=failed.set)

    async def serve() -> None:
        async with service:
            await service.change(Put("a", b"1"))
            with monkeypatch.context() as patched:
                patched.setattr(store.backend, "transaction", damaged)
                with pytest.raises(Unavailable, match="damaged"):
                    await service.change(Put("a", b"2"))
                await asyncio.wait_for(failed.wait(), 30)

    with pytest.raises(gs.errors.Corrupt):
        await serve()
    assert isinstance(service.failure, gs.errors.Corrupt)


def test_a_service_whose_store_is_damaged_ends(postgres_server: PostgresServer) -> None:
    """With an exit code, so that whoever watches it hears of it, and an error that says what is damaged."""
    postgres_server.forget("kv_service")
    served = Served("--backend", "postgres", "--dsn", postgres_server.dsn).start()
    with contextlib.closing(served.client()) as client:
        assert client.put("a", b"1").status == 201
        postgres_server.execute("UPDATE kv_service.records SET record = 'damaged' WHERE name = 'j/kv-service\\000o'::bytea")
        assert client.put("a", b"2").status == 503
    assert served.process is not None
    said = served.process.communicate(timeout=30)[1].decode()
    assert (served.process.returncode, "is damaged" in said) == (1, True)
