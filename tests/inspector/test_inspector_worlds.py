"""The inspector over stores that others write: a file that another process goes on writing, a database; and mounted in an application."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from inspector_support import Client, Refund, Sale, inspected, sales, shop
from postgres_server import PostgresServer, postgres_server

import go_state as gs

__all__ = ["postgres_server"]  # a fixture

WRITER = """
import sys
import go_state as gs
from inspector_support import Sale, shop
with gs.LMDBStore(sys.argv[1]) as store, gs.start_keyed(shop, store=store, prefix="shop/") as shops:
    for line in sys.stdin:
        key, number = line.split()
        for n in range(int(number)):
            shops[key].apply(Sale(f"o{n}", 1))
        print(key, flush=True)
"""


@contextmanager
def writing(path: Path) -> Iterator[Callable[[str, int], None]]:
    """Give what has another process write so many messages of a key."""
    tests = Path(__file__).parents[1]
    environment = {"PYTHONPATH": f"{tests.parent}:{tests}", "PATH": ""}
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def write(key: str, number: int) -> None:
            process.stdin.write(f"{key} {number}\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            assert process.stdout.readline() == f"{key}\n"  # type: ignore[union-attr]

        yield write
        process.stdin.close()


def first_of(events: Iterator[tuple[str, Any]], is_so: Callable[[Any], bool]) -> Any:
    """Return the first event of which that is so."""
    return next(data for _, data in events if is_so(data))


@pytest.mark.processes
def test_a_store_is_followed_while_another_process_writes_it(tmp_path: Path) -> None:
    """Its new messages are seen, with the models after them, and new keys, without a word to whoever writes."""
    with writing(tmp_path / "s.lmdb") as write:
        write("north", 2)
        with (
            gs.LMDBStore(tmp_path / "s.lmdb", readonly=True) as store,
            inspected(store, shop) as client,
            closing(Client(f"{client.origin}/?token={client.token}")) as other,
            closing(Client(f"{client.origin}/?token={client.token}")) as third,
        ):
            assert client.api("about")["live"]
            (listed,) = client.api("subjects")["items"]
            assert (listed["end"], listed["state"]) == (2, "stored")
            live, subjects = other.events(f"s/{listed['id']}/live"), third.events("live")
            assert first_of(live, lambda data: True)["end"] == 2
            first_of(subjects, lambda data: data["total"] == 1)
            write("north", 30)
            grown = first_of(live, lambda data: data["end"] == 32)
            assert grown["state"] == "growing"
            assert client.api(f"s/{listed['id']}/at/31")["after"]["children"][0]["value"]["text"] == "32"
            seen = first_of(subjects, lambda data: bool(data["changed"]))
            assert [(each["name"], each["state"]) for each in seen["changed"]] == [("shop/north", "growing")]
            write("south", 1)
            first_of(subjects, lambda data: "shop/south" in [each["name"] for each in data["changed"]])
            assert first_of(live, lambda data: data["state"] == "stored")["end"] == 32


def test_a_history_in_postgres(postgres_server: PostgresServer) -> None:
    """As one in a file: its messages, any moment, what if, and what is written meanwhile."""
    schema = postgres_server.fresh_schema()
    with (
        gs.PostgresStore(postgres_server.dsn, schema=schema) as store,
        gs.start(shop, store=store, key="shop", snapshots=gs.Snapshots(every=50, keep=100)) as app,
    ):
        app.send(*sales(140))
        total = app.apply(Sale("last", 1)).total
        with gs.PostgresStore(postgres_server.dsn, schema=schema) as looked, inspected(looked, shop) as client:
            found = client.api("s/shop")
            at = client.api(f"s/shop/at/{found['end'] - 1}")
            assert at["recorded"] is False
            assert (client.api("s/shop/at/7")["type"], client.api("s/shop/turns", **{"from": 7})["turns"]["7"]) == (
                "Refund",
                {"commands": 1, "badges": []},
            )
            assert len(found["keyframes"]) >= 2
            where = f"after.total == {total} and msg.order == 'last'"
            assert list(client.events("s/shop/find", where=where, **{"from": 0}))[-1][0] == "found"
            tried = client.tried("shop", [{"do": "drop", "position": 7}])
            assert tried["first"]["position"] == 7
            events = client.events("s/shop/live")
            assert first_of(events, lambda data: True)["end"] == found["end"]
            app.apply(Sale("more", 1))
            assert first_of(events, lambda data: data["end"] > found["end"])["state"] == "growing"


def framework(name: str, inspector: Any) -> Any:
    """Return an application of the framework that has the inspector under /inspect."""
    if name == "fastapi":
        from fastapi import FastAPI

        app: Any = FastAPI()
    else:
        from starlette.applications import Starlette

        app = Starlette()
    app.mount("/inspect", inspector)
    return app


@contextmanager
def served(app: Any) -> Iterator[int]:
    """Serve an application on a free port."""
    import uvicorn

    with closing(socket.create_server(("127.0.0.1", 0))) as bound:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("name", ["starlette", "fastapi"])
def test_mounted_in_an_application(name: str) -> None:
    """Under its path: the page and its files, the API, a stream; nothing without the token."""
    with gs.start(shop) as app:
        inspector = gs.inspector.asgi(app)
        with served(framework(name, inspector)) as port:
            with closing(Client(f"http://127.0.0.1:{port}/inspect/?token={inspector.token}")) as client:
                app.apply(Sale("o1", 3))
                assert "main.js" in client.get("/").text
                assert client.get("/main.js").headers["content-type"].startswith("text/javascript")
                events = client.events("s/shop/live")
                assert first_of(events, lambda data: True)["state"] == "running"
                app.send(Refund("o1", 3))
                assert first_of(events, lambda data: data["end"] >= 2)["end"] >= 2
                events.close()  # type: ignore[attr-defined]  # a generator
                client.cookies.clear()
                client.api("about", 401)
            inspector.close()
