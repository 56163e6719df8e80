"""The key-value service: its protocol, and what is still there after a restart, a kill, and a database that was away."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import postgres_server as servers
import pytest
from kv_support import ROOT, Client, Served, path_of
from postgres_server import PostgresServer

import go_state as gs
from examples.kv_service.program import ANY, Condition, Delete, Done, Put, Refused, make_program
from examples.kv_service.server import Limits, make_app
from examples.kv_service.service import KEY, Service

pytestmark = pytest.mark.processes

postgres_server = servers.postgres_server

# ---------------------------------------------------------------------- the program


def test_the_program_alone() -> None:
    """Puts and deletes, what is answered, and that nothing changes where nothing is asked for."""
    played = gs.testing.play(
        make_program(),
        Put("a", b"1"),
        Put("a", b"1"),
        Put("a", b"2"),
        Delete("b"),
        Put("a", b"3", Condition(match=(1,))),
        Delete("a"),
    )
    answers = [command.value for commands in played.commands for command in commands]  # type: ignore[union-attr]
    assert answers == [Done(1, created=True), Done(1), Done(2), Done(0), Refused(2), Done(2)]
    models = played.models
    assert models[1] is models[2]
    assert models[3] is models[4] is models[5]
    assert (len(models[5].by_key), models[5].value_bytes, len(models[6].by_key), models[6].value_bytes) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    "msg",
    [
        Put("a", b"1"),
        Put("a", b"2"),
        Put("b", b""),
        Put("b", b"", Condition(none_match=(ANY,))),
        Put("a", b"2", Condition(match=(1,))),
        Put("a", b"2", Condition(none_match=(1,))),
        Delete("a"),
        Delete("b"),
        Delete("a", Condition(match=(1,))),
    ],
)
def test_what_is_sent_twice_is_done_once(msg: Put | Delete) -> None:
    """As after an answer that was lost: the second leaves the very same map."""
    _, _, once, twice = gs.testing.play(make_program(), Put("a", b"1"), msg, msg).models
    assert once is twice


# ---------------------------------------------------------------------- the protocol


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    service = Service(None)
    transport = httpx.ASGITransport(make_app(service, limits=Limits(key=100, value=1000, listed=3)))  # type: ignore[arg-type]
    async with service, httpx.AsyncClient(transport=transport, base_url="http://kv") as made:
        yield made


async def test_the_life_of_a_key(client: httpx.AsyncClient) -> None:
    """Created, read, replaced, deleted; each request sent twice leaves the same."""
    for status in (201, 204):
        assert (await client.put("/v1/k", content=b"one")).status_code == status
    got = await client.get("/v1/k")
    assert (got.status_code, got.content, got.headers["etag"], got.headers["content-type"]) == (
        200,
        b"one",
        '"1"',
        "application/octet-stream",
    )
    head = await client.head("/v1/k")
    assert (head.status_code, head.content, head.headers["content-length"], head.headers["etag"]) == (200, b"", "3", '"1"')
    assert (await client.put("/v1/k", content=b"two")).headers["etag"] == '"2"'
    for _ in range(2):
        assert (await client.delete("/v1/k")).status_code == 204
    missing = await client.get("/v1/k")
    assert (missing.status_code, missing.text) == (404, "no such key\n")
    assert (await client.head("/v1/k")).status_code == 404


async def test_writers_do_not_overwrite_each_other(client: httpx.AsyncClient) -> None:
    """If-Match and If-None-Match, with one tag, several, a weak one, any, and none that can be read."""
    conditions: list[tuple[dict[str, str], int]] = [
        ({"If-Match": '"1"'}, 412),
        ({"If-Match": "*"}, 412),
        ({"If-None-Match": "*"}, 201),  # version 1
        ({"If-None-Match": "*"}, 412),
        ({"If-Match": '"7", "1"'}, 204),  # version 2
        ({"If-Match": '"1"'}, 412),
        ({"If-Match": 'W/"2"'}, 412),
        ({"If-None-Match": 'W/"2"'}, 412),
        ({"If-None-Match": '"1"'}, 204),
        ({"If-Match": "*"}, 204),
        ({"If-Match": '"somebody else\'s"'}, 412),
        ({"If-Match": "4"}, 400),
        ({"If-Match": '"4'}, 400),
    ]
    for number, (headers, status) in enumerate(conditions):
        answer = await client.put("/v1/k", content=b"%d" % number, headers=headers)
        assert (answer.status_code, headers) == (status, headers)
    version = (await client.get("/v1/k")).headers["etag"]
    assert version == '"4"'
    assert (await client.get("/v1/k", headers={"If-None-Match": version})).status_code == 304
    assert (await client.get("/v1/k", headers={"If-None-Match": '"1"'})).status_code == 200
    assert (await client.get("/v1/k", headers={"If-Match": '"1"'})).status_code == 412
    assert (await client.delete("/v1/k", headers={"If-Match": '"1"'})).status_code == 412
    assert (await client.delete("/v1/k", headers={"If-Match": version})).status_code == 204


async def test_keys_are_listed_in_order(client: httpx.AsyncClient) -> None:
    """By prefix, so many at a time, and on from where the last listing ended."""
    for key in ("b/2", "a", "b/10", "b/1", "b/3", "c"):
        await client.put(path_of(key), content=b"")
    found: list[str] = []
    while True:
        page = (await client.get("/v1/", params={"prefix": "b/", "after": found[-1] if found else "", "limit": 3})).json()
        found += page["keys"]
        if not page["more"]:
            break
    assert found == ["b/1", "b/10", "b/2", "b/3"]
    assert (await client.get("/v1/")).json() == {"keys": ["a", "b/1", "b/10"], "more": True}
    assert (await client.get("/v1/?limit=x")).status_code == 400


@pytest.mark.parametrize("method", ["POST", "PATCH", "OPTIONS", "TRACE", "NONSENSE"])
async def test_other_methods_are_not_allowed(client: httpx.AsyncClient, method: str) -> None:
    """And the answer says which are."""
    for path in ("/v1/k", "/v1/"):
        answer = await client.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, PUT, DELETE")


async def test_what_is_too_large_or_wrong_is_refused(client: httpx.AsyncClient) -> None:
    """With an answer that says what is wrong; nothing is kept of it."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 100

    assert (await client.put("/v1/k", content=b"x" * 1000)).status_code == 201
    for content in (b"x" * 1001, pieces()):
        answer = await client.put("/v1/large", content=content)
        assert (answer.status_code, answer.text) == (413, "the value has more than 1000 bytes\n")
    assert (await client.put(path_of("é" * 50), content=b"")).status_code == 201
    for path, says in (
        (path_of("é" * 50 + "x"), "101 bytes"),
        ("/v1/%FF", "UTF-8"),
        ("/v1/%ED%A0%80", "UTF-8"),
        ("/v1/", "empty"),
    ):
        answer = await client.put(path, content=b"")
        assert (answer.status_code, says in answer.text) == (400, True)
    assert (await client.get("/v1/")).json()["keys"] == ["k", "é" * 50]


async def test_a_token_is_asked_for() -> None:
    """Of all that concerns keys, and nothing else."""
    service = Service(None)
    async with (
        service,
        httpx.AsyncClient(transport=httpx.ASGITransport(make_app(service, token="s3cret")), base_url="http://kv") as client,
    ):  # type: ignore[arg-type]
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"}):
            answer = await client.get("/v1/k", headers=given)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        for scheme in ("Bearer", "bearer"):
            assert (await client.get("/v1/k", headers={"Authorization": f"{scheme} s3cret"})).status_code == 404
        assert (await client.get("/health")).status_code == 200


async def test_figures_and_health(client: httpx.AsyncClient) -> None:
    """In the form that Prometheus reads, and as JSON."""
    await client.put("/v1/k", content=b"four")
    await client.get("/v1/nothing")
    figures = (await client.get("/metrics")).text.splitlines()
    assert {
        "kv_keys 1.0",
        "kv_value_bytes 4.0",
        "kv_watchers 0.0",
        'kv_requests_total{method="PUT",status="201"} 1.0',
        'kv_requests_total{method="GET",status="404"} 1.0',
    } <= set(figures)
    assert (await client.get("/health")).json() == {"state": "ready", "keys": 1}


# ---------------------------------------------------------------------- through a restart

TEXTS = [
    "",
    " ",
    "\n",
    "\t",
    "%",
    "%41",
    "a+b%20c",
    "\0",
    "\r\n\r\n",
    "a\tb\nc",
    "../..",
    "//",
    "?a=b#c",
    "'\";--",
    "\x85\u2028",
]
PLANES = [chr(plane * 0x10000 + 0xABC) + chr(plane * 0x10000 + 0xFFF0) for plane in range(17)]
VALUES = [text.encode() for text in TEXTS + PLANES] + [bytes(range(256)), random.Random(1).randbytes(1 << 20)]


@pytest.fixture(params=["memory", "lmdb", "postgres"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Give the arguments that say where the service keeps its values."""
    match request.param:
        case "postgres":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            server.forget("kv_service")
            return ["--backend", "postgres", "--dsn", server.dsn]
        case "lmdb":
            return ["--backend", "lmdb", "--path", str(tmp_path / "kv.lmdb")]
    return ["--backend", "memory"]


def test_every_value_and_key_comes_back(backend: list[str]) -> None:
    """At once, and after a restart, byte for byte; except from memory, which forgets."""
    kept = {text * 2 or "empty": value for text, value in zip(TEXTS + PLANES, VALUES, strict=False)} | {
        "large": VALUES[-1],
        "all": VALUES[-2],
    }
    served = Served(*backend).start()
    client = served.client()
    assert client.request("PUT", "/v1/", b"x").status == 400
    for key, value in kept.items():
        assert client.put(key, value).status == 201
    client.put("gone", b"x")
    client.delete("gone")
    assert {key: client.get(key).body for key in kept} == kept
    client.close()
    assert served.stop() == ""
    served.start()
    client = served.client()
    if "memory" in backend:
        kept = {}
    assert json.loads(client.request("GET", "/v1/").body)["keys"] == sorted(kept)
    assert {key: client.get(key).body for key in kept} == kept
    assert client.get("gone").status == 404
    client.close()
    served.stop()


# ---------------------------------------------------------------------- kill -9 under load


class Writer(threading.Thread):
    """Writes numbers to keys of its own, one request after the other, and notes what was answered."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(name=name)
        self._port = port
        self.acknowledged: dict[str, int | None] = {}  # by key, None where it is deleted
        self.unsure: dict[str, set[int | None]] = {}  # by key, what was sent since and not acknowledged
        self.done = 0
        self.refused = 0
        self._number = 0
        self.ended = threading.Event()

    def run(self) -> None:
        with contextlib.closing(Client(self._port, 20.0)) as client:
            while not self.ended.is_set():
                self._number += 1
                key, deletes = f"{self.name}/{self._number % 5}", self._number % 7 == 0
                number = None if deletes else self._number
                self.unsure.setdefault(key, set()).add(number)
                try:
                    status = (client.delete(key) if deletes else client.put(key, value_of(self._number))).status
                except (OSError, http.client.HTTPException):
                    return
                if status == 503:
                    self.refused += 1
                    time.sleep(0.01)  # it says to try again later
                    continue
                assert status in (201, 204)
                self.done += 1
                self.acknowledged[key] = number
                del self.unsure[key]  # whatever became of what came before it

    def reaches(self, done: int) -> None:
        """Wait until so many of its requests were acknowledged."""
        wait_until(lambda: self.done >= done)

    def is_refused(self) -> None:
        """Wait until one of its requests was refused."""
        wait_until(lambda: self.refused > 0)


def value_of(number: int) -> bytes:
    return b"%d " % number * 100


def number_in(client: Client, key: str) -> int | None:
    """Return the number that the key holds, all of it."""
    answer = client.get(key)
    if answer.status == 404:
        return None
    assert answer.status == 200
    number = int(answer.body.split()[0])
    assert answer.body == value_of(number)
    return number


def check(client: Client, before: dict[str, int | None], writers: list[Writer]) -> dict[str, int | None]:
    """Compare the map with what was acknowledged, and return what it holds."""
    expected = before.copy()
    for writer in writers:
        expected |= writer.acknowledged
    unsure = {key: numbers for writer in writers for key, numbers in writer.unsure.items()}
    found = {key: number_in(client, key) for key in {*expected, *unsure}}
    for key, number in found.items():
        assert number in {expected.get(key), *unsure.get(key, ())}, key
    return found


@pytest.mark.slow
def test_what_was_acknowledged_outlives_every_kill(tmp_path: Path) -> None:
    """Twenty kills under eight writers: what was answered is there, in the order answered; what was not is wholly there or not."""
    chance, served = random.Random(6), Served("--path", str(tmp_path / "kv.lmdb"))
    holds: dict[str, int | None] = {}
    for life in range(20):
        served.start()
        writers = [Writer(served.port, f"{life}-{number}") for number in range(8)]
        for writer in writers:
            writer.start()
        time.sleep(chance.random() * 0.4)  # a random moment
        served.kill()
        for writer in writers:
            writer.join()
        served.start()
        with contextlib.closing(served.client()) as client:
            holds = check(client, holds, writers)
        served.kill()
        with gs.LMDBStore(tmp_path / "kv.lmdb") as store:
            replayed = gs.replay(make_program(), store.journal(KEY)).by_key
        assert {key: entry.value for key, entry in replayed.items()} == {
            key: value_of(number) for key, number in holds.items() if number is not None
        }
    assert sum(number is not None for number in holds.values()) > 100


# ---------------------------------------------------------------------- a database that is away


@pytest.mark.slow
def test_a_database_that_is_away_for_a_while() -> None:
    """Stopped and started again under load, softly and as in a crash: clear refusals, nothing acknowledged lost, and it goes on."""
    server = PostgresServer()
    server.start()
    served = Served("--backend", "postgres", "--dsn", server.dsn)
    try:
        served.start()
        holds: dict[str, int | None] = {}
        for round_number, mode in enumerate(("fast", "immediate")):
            writers = [Writer(served.port, f"{round_number}-{number}") for number in range(8)]
            for writer in writers:
                writer.start()
            for writer in writers:
                writer.reaches(10)
            server.stop(mode)
            served.wait_for(503)
            for writer in writers:
                writer.is_refused()
            with contextlib.closing(served.client()) as client:
                answer = client.get("any")
                assert (answer.status, b"not available now" in answer.body) == (503, True)
                assert servers.PASSWORD.encode() not in answer.body
            server.start()
            served.wait_for(200)
            for writer in writers:
                writer.reaches(writer.done + 10)
            for writer in writers:
                writer.ended.set()
                writer.join()
            with contextlib.closing(served.client()) as client:
                holds = check(client, holds, writers)
        assert servers.PASSWORD not in served.stop()
    finally:
        server.remove()


def wait_until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)  # bounded by the line above


def test_the_lines_of_its_page_work(tmp_path: Path) -> None:
    """Each curl line, as it stands there."""
    page = (ROOT / "docs" / "how_to" / "key_value_service.md").read_text(encoding="utf-8")
    lines = [line.split("  ")[0] for line in page.splitlines() if line.startswith("curl ")]
    served = Served("--path", str(tmp_path / "kv.lmdb")).start()
    shown = ["HTTP/1.1 201", "hello", "HTTP/1.1 204", "event: put", '{"keys":["greeting"],"more":false}', "kv_keys 1.0"]
    for line, expected in zip(lines, shown, strict=True):
        here = line.replace(":8080/", f":{served.port}/").replace("curl ", "curl --silent --max-time 1 ")
        done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, timeout=20, check=False)
        assert (expected in done.stdout, done.stderr) == (True, ""), (line, done.stdout)
    assert served.stop() == ""


async def test_a_store_that_is_damaged_is_not_served(tmp_path: Path) -> None:
    """It ends with an error that says what is damaged, instead of an empty map."""
    async with Service(lambda: gs.LMDBStore(tmp_path / "s")) as service:
        await service.change(Put("a", b"1"))
    with gs.LMDBStore(tmp_path / "s") as store, store.backend.transaction(write=True) as transaction:
        [name] = transaction.names(b"s/" + KEY.encode())
        record = transaction.get(name)
        assert record is not None
        transaction.put(name, record[:-3] + b"xyz")
    with pytest.raises(gs.errors.Corrupt, match="kv-service"):
        async with Service(lambda: gs.LMDBStore(tmp_path / "s")):
            pass


def test_a_second_service_waits_for_the_first(tmp_path: Path) -> None:
    """One of two is live; the other refuses, says why, and takes over when the first is gone."""
    first, second = (Served("--path", str(tmp_path / "kv.lmdb")) for _ in range(2))
    first.start()
    with contextlib.closing(first.client()) as client:
        client.put("a", b"1")
    second.start(503)
    with contextlib.closing(second.client()) as client:
        assert b"lease" in client.get("a").body
        first.kill()
        second.wait_for(200)
        assert client.get("a").body == b"1"
    second.stop()
