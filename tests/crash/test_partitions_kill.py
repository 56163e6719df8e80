"""Workers that read partitions in processes of their own are killed, stopped and overtaken, and each message counts once, in order."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import go_state as gs

pytestmark = [pytest.mark.slow, pytest.mark.processes]

ROOT = Path(gs.__file__).parents[1]
PARTITIONS, KEYS, EACH, WORKERS, SECONDS = 6, 5, 4000, 3, 8.0

WORKER = """
import json, sys
from dataclasses import dataclass
from pathlib import Path
import go_state as gs

@dataclass(frozen=True)
class Tally:
    count: int = 0
    last: int = -1

@dataclass(frozen=True)
class Add:
    key: str
    n: int

def update(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
    assert msg.n == model.last + 1, (msg, model)
    return Tally(model.count + 1, msg.n), ()

def read(partition, after):
    at = after or 0
    with open(folder / f"{partition}.jsonl", "rb") as file:
        file.seek(at)
        found = []
        for _ in range(50):
            line = file.readline()
            if not line.endswith(b"\\n"):
                break
            at += len(line)
            found.append((at, line))
    return found

def mine():
    return json.loads((folder / "engine.json").read_text()).get(name, [])

folder, name = Path(sys.argv[1]), sys.argv[2]
decode = lambda line: Add(**json.loads(line))
source = gs.sources.Partitions("folder", mine, read, decode=decode, idle=0.02)
program = gs.Program(lambda: (Tally(), ()), update, name="Tally")
with gs.LMDBStore(folder / "state.lmdb") as store, gs.signals() as stop:
    gs.aggregate(program, source, store=store, key=lambda add: add.key, snapshots=gs.Snapshots(seconds=0.02), stop=stop)
"""


def test_workers_that_are_killed_and_stopped(tmp_path: Path) -> None:
    """Partitions move at random, also while their holder hangs; at the end every key has all its messages."""
    chance = random.Random(7)
    for partition in range(PARTITIONS):
        lines = (json.dumps({"key": f"p{partition}k{n % KEYS}", "n": n // KEYS}) + "\n" for n in range(EACH))
        (tmp_path / f"{partition}.jsonl").write_text("".join(lines))
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    workers = {f"w{number}": _start(script, tmp_path, f"w{number}") for number in range(WORKERS)}
    try:
        _assign(tmp_path, chance)
        end = time.monotonic() + SECONDS
        kills = stops = 0
        while time.monotonic() < end:
            time.sleep(0.1)
            name = chance.choice(sorted(workers))
            drawn = chance.random()
            if drawn < 0.15:
                workers[name].kill()
                workers[name].wait()
                workers[name] = _start(script, tmp_path, name)
                kills += 1
            elif drawn < 0.4:
                os.kill(workers[name].pid, signal.SIGSTOP)
                _assign(tmp_path, chance)
                time.sleep(0.15)
                os.kill(workers[name].pid, signal.SIGCONT)
                stops += 1
            elif drawn < 0.7:
                _assign(tmp_path, chance)
        assert kills
        assert stops
        _assign(tmp_path, chance)
        _wait_until_read(tmp_path)
        for worker in workers.values():
            worker.terminate()
        assert [worker.wait(30) for worker in workers.values()] == [0] * WORKERS
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()
    with gs.LMDBStore(tmp_path / "state.lmdb") as store:
        assert {key: _count(store, key) for key in store.keys("p")} == {
            f"p{p}k{k}": EACH // KEYS for p in range(PARTITIONS) for k in range(KEYS)
        }


def _start(script: Path, folder: Path, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(script), str(folder), name], cwd=ROOT)


def _assign(folder: Path, chance: random.Random) -> None:
    """Be the engine: each partition is one worker's."""
    shares: dict[str, list[str]] = {f"w{number}": [] for number in range(WORKERS)}
    for partition in range(PARTITIONS):
        shares[chance.choice(sorted(shares))].append(str(partition))
    part = folder / "engine.json.part"
    part.write_text(json.dumps(shares))
    part.replace(folder / "engine.json")


def _wait_until_read(folder: Path) -> None:
    late = time.monotonic() + 60
    with gs.LMDBStore(folder / "state.lmdb") as store:
        while any(_count(store, f"p{p}k{KEYS - 1}") < EACH // KEYS for p in range(PARTITIONS)):
            assert time.monotonic() < late
            time.sleep(0.05)


def _count(store: gs.LMDBStore, key: str) -> int:
    stored = store.load(key)
    found: int = 0 if stored is None else json.loads(stored.data.split(b"\n")[2])["count"]
    return found
