"""kill -9 at random moments of a durable run: nothing acknowledged is lost, nothing is applied twice, every command runs.

One server has imported everything and forks a life for each kill, so a life costs milliseconds and 200 of them seconds.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import go_state as gs

ROOT = Path(gs.__file__).parents[1]
KILLS = 200
SERVER = """
import asyncio, os, sys, threading, traceback
from dataclasses import dataclass, replace
import lmdb, msgspec
import go_state as gs

@dataclass(frozen=True)
class Number:
    n: int
    life: int

@dataclass(frozen=True)
class Echo:
    n: int

@dataclass(frozen=True)
class Counter:
    numbers: int = 0
    trail: int = 0  # depends on the order of the numbers, which is the same in every run
    echoes: int = 0
    echo_sum: int = 0

def tell(*words):
    os.write(1, b" ".join(b"%d" % w if isinstance(w, int) else w for w in words) + b"\\n")

def init() -> gs.Step[Counter, Number | Echo]:
    return Counter(), [gs.Cmd.send(Echo(1_000_000))]

def update(model: Counter, msg: Number | Echo) -> gs.Step[Counter, Number | Echo]:
    if isinstance(msg, Echo):
        return replace(model, echoes=model.echoes + 1, echo_sum=model.echo_sum + msg.n), ()
    after = replace(model, numbers=model.numbers + 1, trail=(model.trail * 31 + msg.n + 1) % 1_000_003)
    return after, [lambda: tell(b"command", msg.n, msg.life), *([gs.Cmd.send(Echo(msg.n))] if msg.n % 3 == 0 else [])]

counter = gs.Program(init, update, on_restore=lambda model: [lambda: tell(b"restored")])

def feed(store, journal, life, goal):
    n = 1 + max((r.message.n for r in journal.read() if isinstance(r.message, Number)), default=-1)
    while n < goal:
        tell(b"put")
        journal.put(Number(n, life))
        tell(b"durable", n, life)
        n += 1
        if n % 7 == 0 and (frames := store.keyframes("bot")):
            tell(b"truncate")
            journal.truncate(max(frames[0] - 20, 0))
    journal.close()

def live(path, life, goal):
    tell(b"pid", os.getpid())
    with gs.LMDBStore(path) as store:
        journal = store.journal("bot", of=Number | Echo, durability="put")
        feeder = threading.Thread(target=feed, args=(store, journal, life, goal), daemon=True)
        feeder.start()
        how = {"store": store, "key": "bot", "snapshots": gs.Snapshots(every=5)}
        model = asyncio.run(gs.run_async(counter, journal, **how)) if life % 2 else gs.run(counter, journal, **how)
        tell(b"model", model.numbers, model.trail, model.echoes, model.echo_sum)

for line in sys.stdin:
    path, life, goal = line.split()
    if (child := os.fork()) == 0:
        try:
            live(path, int(life), int(goal))
        except BaseException as error:
            tell(b"failed", ascii(traceback.format_exc()).encode())
        os._exit(0)
    os.waitpid(child, 0)
    tell(b"end")
"""


@dataclass
class Told:
    """What the lives have told, each word with its numbers."""

    words: dict[str, list[tuple[int, ...]]] = field(default_factory=dict)
    last: list[str] = field(default_factory=list)

    def hear(self, line: str) -> str:
        word, *numbers = line.split()
        assert word != "failed", line
        self.words.setdefault(word, []).append(tuple(map(int, numbers)))
        return word


class Server:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def live(self, path: Path, life: int, goal: int, told: Told, kill: tuple[int, float] | None = None) -> None:
        """Have a life lived, to its end or killed after so many lines and seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(path, life, goal, file=self._process.stdin, flush=True)
        words = [""]
        for lines, line in enumerate(self._process.stdout):
            words.append(told.hear(line))
            if words[-1] == "end":
                break
            if kill is not None and lines == kill[0]:
                time.sleep(kill[1])  # into whatever comes next
                os.kill(told.words["pid"][-1][0], signal.SIGKILL)
        told.last.append(words[-2])


@contextmanager
def server() -> Iterator[Server]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Server(process)
        assert process.stdin is not None
        process.stdin.close()
    assert process.returncode == 0


@pytest.mark.slow
def test_a_durable_run_killed_200_times_ends_as_one_never_killed(tmp_path: Path) -> None:
    """Whenever it is killed, each acknowledged message is applied once, and each command has run at least once."""
    chance, told, never = random.Random(11), Told(), Told()
    with server() as lives:
        for life in range(KILLS):
            kill = chance.choice((0, 1, 2, chance.randrange(40), chance.randrange(150))), chance.random() * 0.003
            lives.live(tmp_path / "killed.lmdb", life, 1_000_000, told, kill)
        assert "model" not in told.words  # every kill came in mid-run
        goal = 50 + max(n for n, _ in told.words["durable"])
        lives.live(tmp_path / "killed.lmdb", KILLS, goal, told)
        lives.live(tmp_path / "never.lmdb", 0, goal, never)
    assert told.words["model"] == never.words["model"]
    assert never.words["model"][0][0] == goal
    performed = set(told.words["command"])
    assert performed >= set(told.words["durable"])  # what was acknowledged is there, in the life that was told so
    assert sorted(n for n, _ in performed) == list(range(goal))  # and no number entered in two lives
    assert set(told.last) >= {"put", "durable", "command"}  # the kills came all over the place
