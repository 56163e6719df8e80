"""kill -9 while a thousand programs at rest wait for their reminders: each is given its reminder once, whoever is alive then."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import go_state as gs

ROOT = Path(gs.__file__).parents[1]
GUILDS = 1000
KILLS = 12
SETTING = """
import sys, time
from dataclasses import dataclass, replace
import go_state as gs

@dataclass(frozen=True)
class Guild:
    due: float = 0.0
    reminded: int = 0
    naps: int = 0

@dataclass(frozen=True)
class Remind:
    at: float

@dataclass(frozen=True)
class Due:
    pass

@dataclass(frozen=True)
class Awake:
    pass

def init() -> gs.Step[Guild, Remind | Due | Awake]:
    return Guild(), ()

def update(model: Guild, msg: Remind | Due | Awake, turn: gs.Turn) -> gs.Step[Guild, Remind | Due | Awake]:
    match msg:
        case Remind(at):
            return replace(model, due=at), [gs.Cmd.after(max(at - turn.at, 0.0), Awake())]
        case Due():
            return replace(model, due=0.0, reminded=model.reminded + 1), ()
        case Awake():
            return replace(model, naps=model.naps + 1), ()

def subscriptions(model: Guild):
    return [gs.Sub.at(model.due, Due())] if model.due else []

guild = gs.Program(init, update, subscriptions=subscriptions)
"""
LIFE = (
    SETTING
    + """
with gs.LMDBStore(sys.argv[1], map_size=1 << 30) as store, gs.start_keyed(guild, store=store, idle=0.05) as guilds:
    if len(sys.argv) > 2:
        begin = time.time() + float(sys.argv[2])
        for number in range(int(sys.argv[3])):
            guilds.send(f"guild {number}", Remind(begin + number * 0.002))
        guilds.settle()
    print("ready", flush=True)
    sys.stdin.readline()
    while guilds.statistics().due is not None or len(guilds):  # the last life: until all of them are at rest for good
        time.sleep(0.05)
"""
)


def life(path: Path, *args: str) -> subprocess.Popen[str]:
    """Start a process that holds the guilds; it is ready when it has said so."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-c", LIFE, str(path), *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def kill(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.communicate()


def messages(path: Path) -> list[list[str]]:
    """Return, for each guild, the kinds of its messages."""
    with gs.LMDBStore(path, map_size=1 << 30) as store:
        return [[each.message[0] for each in store.journal(f"guild {number}").read()] for number in range(GUILDS)]


@pytest.mark.slow
@pytest.mark.processes
def test_each_reminder_comes_once_through_kills(tmp_path: Path) -> None:
    """A thousand guilds at rest, the process killed while their reminders come, again and again: each has had its own once."""
    path = tmp_path / "guilds.lmdb"
    kill(life(path, "4", str(GUILDS)))
    rng = random.Random(14)
    for _ in range(KILLS):
        child = life(path)
        time.sleep(rng.random() * 1.5)  # the moment at which it is killed
        kill(child)
    assert any("Due" in each for each in messages(path))
    child = life(path)
    child.communicate("no more kills\n", timeout=100)
    assert child.returncode == 0
    assert {tuple(sorted(each)) for each in messages(path)} == {("Awake", "Due", "Remind")}
