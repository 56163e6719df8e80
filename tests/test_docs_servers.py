"""The programs that pages tell their readers to save and start, started as they say, against real servers."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from kafka_server import kafka_server
from postgres_server import postgres_server

import go_state as gs

if TYPE_CHECKING:
    from kafka_server import KafkaServer
    from postgres_server import PostgresServer

__all__ = ["kafka_server", "postgres_server"]

HOW_TO = Path(__file__).parent.parent / "docs" / "how_to"
pytestmark = [pytest.mark.slow, pytest.mark.processes]


def saved(page: str, folder: Path, name: str, before: str) -> Path:
    """Save what the page tells its reader to save: its blocks of code up to the heading."""
    text = (HOW_TO / f"{page}.md").read_text(encoding="utf-8").partition(before)[0]
    path = folder / name
    path.write_text(
        "\n".join(re.findall(r"^```(?:python|py)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)), encoding="utf-8"
    )
    return path


def until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for it, for a minute at most, and as long as the process runs."""
    ends = time.monotonic() + 60
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < ends
        time.sleep(0.05)  # bounded by the lines above


def test_the_worker_of_the_page_on_kafka(kafka_server: KafkaServer, tmp_path: Path) -> None:
    """It folds the topic, keeps what is no sale, and ends by SIGTERM with a save."""
    kafka_server.create("sales", 2)
    records = [(shop, json.dumps({"shop": shop, "cents": cents}).encode(), 0) for shop, cents in [("north", 5), ("north", 2)]]
    kafka_server.put("sales", *records, ("x", b"no sale", 1))
    worker = saved("kafka", tmp_path, "worker.py", "## Test it")
    process = subprocess.Popen(
        [sys.executable, worker.name, kafka_server.servers],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def counted() -> bool:
        with gs.LMDBStore(tmp_path / "shops.lmdb", readonly=True) as store:
            stored = store.load("north")
            return stored is not None and b'"sales":2' in stored.data and len(gs.DeadLetters(store, "sales")) == 1

    try:
        until((tmp_path / "shops.lmdb").exists, process)
        until(counted, process)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60) == ("2 records, stopped\n", "")
    finally:
        process.kill()
        process.wait()


def test_the_total_of_the_page_on_postgres(postgres_server: PostgresServer, tmp_path: Path) -> None:
    """A second call goes on from the first: both are in the database."""
    saved("postgres", tmp_path, "total.py", "## What to know")
    command = [sys.executable, "-c", f"import total; print(total.total({postgres_server.dsn!r}))"]
    shown = [subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert shown == ["3\n", "6\n"]


@pytest.fixture
def irc() -> Iterator[socket.socket]:
    """A socket that listens in the place of an IRC server, to which the bot connects."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_the_bot_of_the_page_on_chat(irc: socket.socket, tmp_path: Path) -> None:
    """It joins, counts and answers; killed and started again, it knows what it knew, and may repeat what it said last."""
    bot = saved("chat_bot", tmp_path, "bot.py", "- When the server closes")
    command = [sys.executable, bot.name, "127.0.0.1", "mybot", "#tea"]
    text = bot.read_text().replace("6667", str(irc.getsockname()[1]))
    bot.write_text(text)
    irc.settimeout(60)
    for karma in (1, 2):
        process = subprocess.Popen(command, cwd=tmp_path)
        try:
            connection, _ = irc.accept()
            connection.settimeout(60)
            with connection, connection.makefile("rw", encoding="utf-8", newline="\r\n") as lines:
                assert [lines.readline()[:5], lines.readline()[:5]] == ["NICK ", "USER "]
                lines.write(":server 001 mybot :Welcome\r\n")
                lines.flush()
                assert lines.readline() == "JOIN #tea\r\n"
                for said in ("ben++", "!karma ben"):
                    lines.write(f":ann!a@b PRIVMSG #tea :{said}\r\n")
                lines.flush()
                repeated = []  # if the kill came before it was noted that this is said
                while (line := lines.readline()) not in ("", f"PRIVMSG #tea :ben has {karma}\r\n"):
                    repeated.append(line)
                assert line
                assert repeated in ([], ["PRIVMSG #tea :ben has 1\r\n"])
        finally:
            process.kill()
            process.wait()


def test_the_service_of_the_page_on_fastapi_ends_with_its_program(tmp_path: Path) -> None:
    """A real uvicorn serves it; when its program fails, the process ends, and says why."""
    service = saved("fastapi", tmp_path, "seats.py", "## Test it")
    supervised = (
        (HOW_TO / "fastapi.md").read_text(encoding="utf-8").partition("import asyncio, os, signal\n")[2].partition("```")[0]
    )
    broken = "def broken(model: Hall, msg: Book): 1 / 0\nhall = gs.Program(lambda: (Hall({}, {}), ()), broken, name='hall')\n"
    app = "import asyncio, os, signal\n" + supervised + broken + "web.router.lifespan_context = supervised\n"
    service.write_text(service.read_text() + app)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "seats:web", "--port", str(port)]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:

        def healthy() -> bool:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/health").json() == "ready"
            except httpx.ConnectError:
                return False

        until(healthy, process)
        assert httpx.post(f"http://127.0.0.1:{port}/book/A1?name=ann").status_code == 500
        assert "ZeroDivisionError" in process.communicate(timeout=60)[0]
        assert process.returncode != 0
    finally:
        process.kill()
        process.wait()
