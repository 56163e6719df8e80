"""The chat, over real sockets and in a real browser: everybody hears what is said, and no client can spoil it for others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import websockets.asyncio.client as ws
from websockets.exceptions import ConnectionClosed

import go_state as gs
from examples.chatterbox.channel import LONGEST_TEXT, Join, Leave, Line, Refused, Say, Welcome, change_log, channel
from examples.chatterbox.server import make_app

# ------------------------------------------------------------------ the program alone


def test_the_channel_s_rules() -> None:
    """Names are unique and clean, only who has joined may speak, and a goodbye removes its own session alone."""
    said = [
        *(Join("ann", "s:1"), Join("ann", "s:2"), Say("ann", "s:2", "hi"), Say("ann", "s:1", "hi")),
        *(Leave("s:2"), Leave("s:1"), Leave("s:1"), Join("ann", "s:3"), Say("ann", "s:3", "x" * (LONGEST_TEXT + 1))),
        *(Say("ann", "s:3", "ä" * LONGEST_TEXT), Join(" ann", "s:3"), Join("bob", "t:1")),
    ]
    played = gs.testing.play(channel, *said, key="lobby")
    answers = [command.value for commands in played.commands for command in commands]  # type: ignore[union-attr]
    assert [type(answer) for answer in answers] == [
        Welcome,
        Refused,
        Refused,
        Welcome,
        Welcome,
        Refused,
        Welcome,
        Refused,
        Welcome,
    ]
    assert [line.text[:5] for line in played.model.lines] == ["ann i", "hi", "ann h", "ann i", "äääää", "bob i"]
    assert played.model.users == {"bob": "t:1"}


def test_old_lines_expire() -> None:
    """A line is dropped an hour after it was said, when the next message comes; a single one too."""
    old = Line(1, -4000.0, "ann", "long ago")
    program = gs.Program(
        lambda: (channel.init("x")[0].__class__("x", {}, (old,), 2), ()), channel.update, middleware=channel.middleware
    )
    assert [line.text for line in gs.testing.play(program, Join("bob", "1")).model.lines] == ["bob is here"]


# ------------------------------------------------------------------ a server


class Server:
    """The chat on a free port of loopback, in a thread."""

    def __init__(self, store: gs.LMDBStore | None = None) -> None:
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.app = make_app(store)
        self._server = uvicorn.Server(
            uvicorn.Config(self.app, log_level="error", ws_max_size=1 << 16, timeout_graceful_shutdown=2)
        )
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self.socket]})

    def __enter__(self) -> Server:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            threading.Event().wait(0.005)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self.socket.close()
        assert not self._thread.is_alive()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


class Person:
    """A client: what it was told, line by line."""

    def __init__(self, connection: ws.ClientConnection) -> None:
        self.connection = connection

    async def say(self, **what: Any) -> None:
        await self.connection.send(json.dumps(what))

    async def told(self, kind: str) -> dict[str, Any]:
        """Return the next thing of this kind that it is told."""
        async with asyncio.timeout(20):
            while True:
                what: dict[str, Any] = json.loads(await self.connection.recv())
                if what["type"] == kind:
                    return what

    async def hears(self, text: str) -> list[str]:
        """Return the texts that it is told up to this one."""
        texts: list[str] = []
        while text not in texts:
            texts += [line["text"] for line in (await self.told("lines"))["lines"]]
        return texts


@contextlib.asynccontextmanager
async def person(server: Server, user: str = "", name: str = "lobby", **more: Any) -> AsyncIterator[Person]:
    async with ws.connect(f"ws://127.0.0.1:{server.port}/chat", close_timeout=2) as connection:
        someone = Person(connection)
        if user:
            await someone.say(type="join", channel=name, user=user, **more)
            await someone.told("joined")
        yield someone


async def test_two_talk_and_a_third_channel_hears_nothing(server: Server) -> None:
    """What is said in a channel is heard there, in order, by all; who comes later hears what is kept."""
    async with person(server, "ann") as ann, person(server, "bob") as bob, person(server, "eve", "elsewhere") as eve:
        await ann.say(type="say", text="hello")
        await bob.say(type="say", text="hi ann")
        for each in (ann, bob):
            assert (await each.hears("hi ann"))[-1] == "hi ann"
        async with person(server, "cat") as cat:
            assert (await cat.hears("cat is here")) == ["ann is here", "bob is here", "hello", "hi ann", "cat is here"]
            await bob.say(type="leave")
            await bob.told("left")
            assert await cat.hears("bob has left")
        await eve.say(type="say", text="alone")
        assert await eve.hears("alone") == ["eve is here", "alone"]


async def test_what_is_refused_says_why(server: Server) -> None:
    """A taken name, text before joining, too long a text, a strange frame, a second join: each is answered, and nothing breaks."""
    async with person(server) as early, person(server, "ann") as ann:
        for frame, why in (
            ({"type": "say", "text": "hi"}, "join a channel first"),
            ({"type": "join", "channel": "lobby", "user": "ann"}, "is taken"),
            ({"type": "join", "channel": "lobby", "user": ""}, "visible characters"),
            ({"type": "join", "channel": "", "user": "bob"}, "channel's name"),
            ({"type": "join", "channel": 5, "user": "bob"}, "not understood"),
            ({"type": "fly"}, "not understood"),
        ):
            await early.say(**frame)
            assert why in (await early.told("refused"))["why"]
        await early.connection.send("{" * 100)
        assert "not understood" in (await early.told("refused"))["why"]
        await ann.say(type="say", text="é" * (LONGEST_TEXT + 1))
        assert "501 characters" in (await ann.told("refused"))["why"]
        await ann.say(type="join", channel="other", user="ann")
        assert "leave first" in (await ann.told("refused"))["why"]
        await ann.say(type="say", text="still here")
        assert await ann.hears("still here")


async def test_drop_and_disconnect_at_once(server: Server) -> None:
    """A client that leaves and vanishes in one moment is gone once, its name is free, and the channel goes on."""
    async with person(server, "bob") as bob:
        for _ in range(20):
            async with person(server, "ann") as ann:
                await ann.say(type="leave")
        heard = await bob.hears("bob is here")
        while heard.count("ann has left") < 20:
            heard += [line["text"] for line in (await bob.told("lines"))["lines"]]
        assert heard.count("ann is here") == 20
        await bob.say(type="say", text="quiet now")
        assert await bob.hears("quiet now")


async def test_who_comes_back_misses_nothing(server: Server) -> None:
    """A client that was away is told what was said meanwhile, and nothing that it knew."""
    async with person(server, "bob") as bob:
        async with person(server, "ann") as ann:
            await ann.say(type="say", text="one")
            lines: list[dict[str, Any]] = []
            while not lines or lines[-1]["text"] != "one":
                lines += (await ann.told("lines"))["lines"]
        await bob.hears("ann has left")
        await bob.say(type="say", text="two")
        await bob.hears("two")
        async with person(server, "ann", after=lines[-1]["number"]) as ann:
            assert (await ann.hears("ann is here")) == ["ann has left", "two", "ann is here"]


async def test_a_slow_client_holds_up_nobody(server: Server) -> None:
    """A client that reads nothing costs the others nothing, and is told the newest when it reads again."""
    async with person(server, "slow") as slow, person(server, "ann") as ann:
        for number in range(300):
            await ann.say(type="say", text=f"{number} " + "x" * 400)
        assert await ann.hears("299 " + "x" * 400)
        assert (await slow.hears("299 " + "x" * 400))[-1].startswith("299")


@pytest.mark.slow
async def test_two_hundred_clients_in_one_channel(server: Server) -> None:
    """Two hundred join, each says something and hears everybody, then all leave."""
    async with contextlib.AsyncExitStack() as ends:
        people = [await ends.enter_async_context(person(server, f"p{number}")) for number in range(200)]
        await asyncio.gather(*[each.say(type="say", text=f"from {number}") for number, each in enumerate(people)])

        async def hears_all(each: Person) -> None:
            missing = {f"from {number}" for number in range(200)}
            while missing:
                missing -= {line["text"] for line in (await each.told("lines"))["lines"]}

        async with asyncio.timeout(60):
            await asyncio.gather(*map(hears_all, people))
            await asyncio.gather(*[each.connection.close() for each in people])


async def test_the_log_is_switched_while_it_runs(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """The change log names changed fields while it is on, and never what was said."""
    caplog.set_level("INFO", "chatterbox")
    async with person(server, "ann") as ann:
        change_log.on = True
        try:
            await ann.say(type="say", text="secret")
            await ann.hears("secret")
        finally:
            change_log.on = False
        await ann.say(type="say", text="quiet")
        await ann.hears("quiet")
    assert [record.getMessage() for record in caplog.records] == ["Say: lines, next_number"]


def test_a_stored_channel_outlives_its_server(tmp_path: Path) -> None:
    """With a store the lines are there after a restart, and nobody is."""

    async def talk(server: Server, text: str) -> list[str]:
        async with person(server, "ann") as ann:
            await ann.say(type="say", text=text)
            return await ann.hears(text)

    with gs.LMDBStore(tmp_path / "chat.lmdb") as store:
        with Server(store) as server:
            asyncio.run(talk(server, "before"))
        with Server(store) as server:
            assert "before" in asyncio.run(talk(server, "after"))


async def test_the_server_ends_with_clients_connected() -> None:
    """Stopping the server closes its clients' connections and leaves no thread."""
    server = Server()
    await asyncio.to_thread(server.__enter__)
    connection = await ws.connect(f"ws://127.0.0.1:{server.port}/chat")
    ann = Person(connection)
    await ann.say(type="join", channel="lobby", user="ann")
    await ann.told("joined")
    await asyncio.to_thread(server.__exit__)
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionClosed):
            async for _ in connection:
                pass
    assert connection.close_code is not None


# ------------------------------------------------------------------ a browser


@pytest.mark.slow
def test_two_pages_talk_in_a_browser(server: Server, tmp_path: Path) -> None:
    """Two pages talk; one leaves; one loses its connection, comes back by itself and misses nothing that is kept."""
    from playwright.sync_api import expect, sync_playwright

    chromium = shutil.which("chromium")
    assert chromium, "this test drives Debian's chromium: apt-get install chromium"
    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium, args=flags) as browser:
        contexts = [browser.new_context(viewport={"width": 1000, "height": 640}) for _ in range(2)]
        ann, bob = pages = [context.new_page() for context in contexts]
        for page, name in zip(pages, ("Ann", "Bob"), strict=True):
            page.goto(f"http://127.0.0.1:{server.port}/")
            page.fill("#user", name)
            page.click("text=Join")
            expect(page.locator("header h2")).to_have_text("# lobby")
        for page, text in ((ann, "Hello <b>Bob</b>!"), (bob, "Hi Ann, good to see you."), (bob, "Shall we begin?")):
            page.fill("#text", text)
            page.press("#text", "Enter")
            for each in pages:
                expect(each.locator(".bubble", has_text=text)).to_have_count(1)
        expect(ann.locator("#users li")).to_have_count(2)
        ann.screenshot(path=tmp_path / "two.png")
        contexts[1].set_offline(True)
        bob.evaluate("socket.close()")
        expect(bob.locator(".word")).to_have_text("connecting again…")
        expect(ann.locator("#users li")).to_have_count(1)
        ann.fill("#text", "Are you there?")
        ann.press("#text", "Enter")
        contexts[1].set_offline(False)
        expect(bob.locator(".bubble", has_text="Are you there?")).to_have_count(1, timeout=20_000)
        expect(bob.locator(".bubble")).to_have_count(4)
        expect(bob.locator(".word")).to_have_text("connected")
        bob.click("text=Leave")
        expect(ann.locator("#lines li").last).to_have_text("Bob has left")
        expect(ann.locator("#users li")).to_have_count(1)
        ann.screenshot(path=tmp_path / "one.png")
        ann.close()
