"""The IRC bot: its program on the bench, and all of it against a real server, killed and restarted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

import go_state as gs
from examples.irc_bot.bot import (
    LINE_BYTES,
    Backoff,
    Bot,
    Due,
    Heard,
    Joined,
    Line,
    Lost,
    Msg,
    NotSaid,
    Said,
    listen,
    make_bot,
    say,
)
from go_state.testing import Harness, messages

pytestmark = pytest.mark.processes

ROOT = Path(gs.__file__).parents[1]

# ---------------------------------------------------------------------- the program alone


def said(h: Harness[Bot, Msg]) -> list[str]:
    """Let the bot say all that it has to say, and return it."""
    texts = []
    while calls := [call for call in h.pending if isinstance(call, gs.core.commands.Call) and call.fn is say]:
        texts.append(calls[0].args[0].text)  # type: ignore[attr-defined]
        h.resolve(say, calls[0].args[0].number)  # type: ignore[attr-defined]
    return texts


@pytest.mark.parametrize(
    ("heard", "answers"),
    [
        ("tea++", ["tea has 1"]),
        ("tea++ and Tea++, milk--", ["tea has 1", "milk has -1"]),
        ("c++ is a language", ["c has 1"]),
        ("x+++ --y a--b ++", []),
        ("ann++", ["ann: not to yourself"]),
        ("karma", ["nobody has karma yet"]),
        ("!karma tea", ["tea has 0"]),
        ("remind me in 10m to drink", ["ann: I will, in 10m"]),
        ("remind me in soon to drink", ["ann: when? like 90s, 10m, 1h30m or 7d"]),
        ("remind me in 0s x", ["ann: when? like 90s, 10m, 1h30m or 7d"]),
        ("reminders", ["ann: there are none"]),
        ("  ", []),
        ("hello", []),
    ],
)
def test_it_answers(heard: str, answers: list[str]) -> None:
    """What is said to it, and what it says."""
    h = Harness(make_bot())
    h.send(Joined(), Heard("#tea", "ann", heard))
    assert said(h) == answers


def test_reminders_come_when_they_are_due() -> None:
    """In their order, once, also after a crash, and to where they were asked for."""
    h = Harness(make_bot(), start=1000.0)
    h.send(Joined(), Heard("#tea", "ann", "remind me in 1h30m drink"), Heard("bob", "bob", "remind me in 10m"))
    assert said(h) == ["ann: I will, in 1h30m", "bob: I will, in 10m"]
    h.advance(600)
    assert said(h) == ["bob: you wanted to be reminded"]
    h.crash().send(Joined())
    assert said(h) == []
    h.advance(5400 - 600 - 1)
    assert said(h) == []
    h.advance(1)
    assert said(h) == ["ann: drink"]
    assert h.model.reminders == ()


def test_what_was_not_said_is_said_when_the_bot_is_back() -> None:
    """A line stays in the outbox until the server has it."""
    h = Harness(make_bot())
    h.send(Joined(), Heard("#tea", "ann", "tea++"))
    h.fail(say, ConnectionError("not connected"))
    assert (h.model.joined, len(h.model.outbox), h.pending) == (False, 1, ())
    h.send(Lost("gone"), Joined())
    assert said(h) == ["tea has 1"]
    assert h.model.outbox == ()


def test_it_waits_longer_each_time() -> None:
    """Each failed try doubles the wait, up to the longest; a success begins anew; it never asks before its time."""
    h = Harness(make_bot(Backoff(first=1.0, longest=60.0)))
    waits = []
    for _ in range(12):
        h.send(Lost("refused"))
        assert h.model.next_try is not None
        waits.append(h.model.next_try - h.clock.time())
        assert not any(isinstance(sub, gs.core.subscriptions.Stream) for sub in h.subscriptions)  # type: ignore[attr-defined]
        h.advance(waits[-1])
        assert any(isinstance(sub, gs.core.subscriptions.Stream) and sub.fn is listen for sub in h.subscriptions)  # type: ignore[attr-defined]
    for number, wait in enumerate(waits):
        assert min(2.0**number, 60) / 2 <= wait <= min(2.0**number, 60)
    h.send(Joined(), Lost("gone"))
    assert h.model.next_try is not None
    assert h.model.next_try - h.clock.time() <= 1.0


def test_it_obeys_flood_limits() -> None:
    """Six lines at once, then one every two seconds."""
    h = Harness(make_bot(), start=1000.0)
    h.send(Joined(), *[Heard("#tea", "ann", "help")] * 20)
    assert len(said(h)) == 6
    for _ in range(14):
        h.advance(1.9)
        assert said(h) == []
        h.advance(0.1)
        assert len(said(h)) == 1
    assert h.model.outbox == ()


def test_one_person_has_so_many_reminders() -> None:
    """The next is refused."""
    h = Harness(make_bot())
    h.send(Joined(), *[Heard("#tea", "ann", "remind me in 1h x")] * 21, Heard("#tea", "bob", "remind me in 1h x"))
    assert len(h.model.reminders) == 21


@given(messages(Heard | Joined | Lost | Due | Said | NotSaid, max_size=12))
@settings(max_examples=100, deadline=None)
def test_no_message_breaks_it(sequence: list[Msg]) -> None:
    """Whatever is heard, its lines fit into a message, and a replay makes the same of it."""
    h = Harness(make_bot()).send(*sequence)
    for line in h.model.outbox:
        assert len(line.text.encode()) <= LINE_BYTES
        assert not set(line.text) & set("\r\n\0")
    assert all(isinstance(line, Line) for line in h.model.outbox)
    assert h.crash().model == h.model


# ---------------------------------------------------------------------- a real server


class Server:
    """Debian's ngircd on a free port."""

    def __init__(self, path: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._config = path / "ngircd.conf"
        self._config.write_text(
            f"[Global]\nName = irc.example.net\nInfo = test\nListen = 127.0.0.1\nPorts = {self.port}\nMotdPhrase = hello\n"
            "[Limits]\nMaxConnectionsIP = 0\nMaxPenaltyTime = 0\nMaxNickLength = 20\n"
            "[Options]\nDNS = no\nIdent = no\nPAM = no\nSyslogFacility = local1\n"
        )
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        program = shutil.which("ngircd") or "/usr/sbin/ngircd"
        quiet = subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(program, "-n", "-f", str(self._config), stdout=quiet, stderr=quiet)
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)  # it cannot say when it is ready; the timeout above bounds this
                    continue
                writer.close()
                await writer.wait_closed()
                return

    async def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None


class Person:
    """Somebody in the channel, over a plain socket."""

    def __init__(self, port: int, nick: str) -> None:
        self._port = port
        self.nick = nick
        self.heard: list[str] = []
        self._ponged = False
        self._changed = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Person:
        await self.connect()
        return self

    async def connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._write(f"NICK {self.nick}", f"USER {self.nick} 0 * :{self.nick}")
        joined = asyncio.Event()
        self._reading = asyncio.create_task(self._read(joined))
        async with asyncio.timeout(20):
            await joined.wait()

    async def _read(self, joined: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while line := (await self._reader.readline()).decode(errors="replace").rstrip():
                if line.startswith("PING"):
                    self._write("PONG" + line[4:])
                elif " 001 " in line:
                    self._write("JOIN #tea")
                elif " PONG " in line:
                    self._ponged = True
                elif " 366 " in line:
                    joined.set()
                elif found := re.match(r":(\S+?)!\S+ PRIVMSG \S+ :(.*)", line):
                    self.heard.append(found[2])
                self._changed.set()

    def _write(self, *lines: str) -> None:
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())

    def say(self, text: str) -> None:
        self._write(f"PRIVMSG #tea :{text}")

    async def hears(self, text: str) -> None:
        """Wait until it was said."""
        async with asyncio.timeout(20):
            while not any(text in heard for heard in self.heard):
                self._changed.clear()
                await self._changed.wait()

    async def hears_all(self) -> None:
        """Wait until everything that the server had for this person is here."""
        self._write("PING all")
        async with asyncio.timeout(20):
            while not self._ponged:
                self._changed.clear()
                await self._changed.wait()

    async def leave(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})

    async def __aexit__(self, *_: object) -> None:
        await self.leave()


BOT = """
import asyncio, sys
import go_state as gs
from examples.irc_bot.__main__ import main
point, nth = sys.argv.pop(), int(sys.argv.pop())
if nth:
    gs.testing.crash_at(point, nth)
asyncio.run(main())
"""


async def begin(server: Server, path: Path, point: str = "-", nth: int = 0) -> asyncio.subprocess.Process:
    """Start the bot in a process of its own, which dies when it comes to the point for the nth time."""
    options = f"--port {server.port} --nick bot --channel #tea --first-wait 0.1 --line-seconds 0.01".split()
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        BOT,
        *options,
        "--store",
        str(path / "s"),
        str(nth),
        point,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONWARNINGS": "error", "PYTHONASYNCIODEBUG": ""},  # which would say how long its beginning took
    )


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server(tmp_path)
    await made.start()
    yield made
    await made.stop()


async def test_it_lives_on_a_real_server(server: Server, tmp_path: Path) -> None:
    """It joins, answers, reminds, comes back after the server was restarted, and leaves when it is asked to."""
    bot = await begin(server, tmp_path)
    try:
        async with Person(server.port, "ann") as ann:
            ann.say("tea++")
            await asyncio.wait_for(first_answer(ann, "tea++", "tea has"), 20)
            ann.say("remind me in 1s to drink")
            await ann.hears("ann: to drink")
        await server.stop()
        await server.start()
        async with Person(server.port, "ann") as ann:
            await asyncio.wait_for(first_answer(ann, "karma tea", "tea has"), 20)
    finally:
        bot.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(bot.communicate(), 20)
    assert errors.decode() == ""
    assert bot.returncode == 0


async def first_answer(person: Person, question: str, answer: str) -> None:
    """Ask until the bot, which may not be there yet, has answered."""
    while not any(answer in heard for heard in person.heard):
        person.say(question)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                await person.hears(answer)


MOMENTS = [  # late enough in a life that something was promised in it; the first snapshot is written as a life begins
    ("before-snapshot", 1),
    ("after-snapshot", 1),
    ("before-flush", 9),
    ("after-flush", 9),
    ("before-flush", 14),
    ("after-flush", 14),
    ("command-begins", 3),
    ("command-delivered", 3),
    ("command-begins", 6),
    ("command-delivered", 6),
]


@pytest.mark.slow
async def test_it_remembers_through_ten_kills_and_a_restart_of_the_server(server: Server, tmp_path: Path) -> None:
    """Karma is what its journal has heard, and every promised reminder comes, twice at most where a crash fell in between."""
    async with Person(server.port, "ann") as ann:  # who misses nothing
        for number, (point, nth) in enumerate(MOMENTS):
            if number == 5:
                await ann.hears_all()
                await server.stop()
                await ann.leave()
                await server.start()
                await ann.connect()
            bot = await begin(server, tmp_path, point, nth)
            while bot.returncode is None:
                ann.say("tea++")
                ann.say(f"remind me in 1s reminder-{number}")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(bot.wait(), 0.3)
            assert bot.returncode == -signal.SIGKILL, (await bot.communicate())[1].decode()
            await bot.communicate()
        with gs.LMDBStore(tmp_path / "s") as store:
            journal = store.journal("irc-bot", of=Msg)
            known = [entry.message for entry in journal.read()]
            karma = sum(isinstance(msg, Heard) and msg.text == "tea++" for msg in known)
            promised = [msg.text.split()[-1] for msg in known if isinstance(msg, Heard) and msg.text.startswith("remind")]
        assert len(promised) >= 5
        ann.heard, heard = [], ann.heard
        bot = await begin(server, tmp_path)
        await asyncio.wait_for(first_answer(ann, "karma tea", "tea has"), 20)
        await ann.hears(f"tea has {karma}")
        ann.say("remind me in 1s the-last")  # all the others are due before it
        await ann.hears("ann: the-last")
        heard += ann.heard
    bot.send_signal(signal.SIGTERM)
    _, errors = await asyncio.wait_for(bot.communicate(), 20)
    assert errors.decode() == ""
    assert bot.returncode == 0
    with gs.LMDBStore(tmp_path / "s") as store:
        model: Any = gs.load_model(make_bot(), store=store, key="irc-bot")
        assert model.reminders == ()
    said_reminders = [re.search(r": (reminder-\d+)$", text) for text in heard]
    spoken = [found[1] for found in said_reminders if found]
    for each in set(promised):
        assert spoken.count(each) >= promised.count(each), each
    assert len(spoken) <= len(promised) + len(MOMENTS)
