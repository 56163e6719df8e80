"""kill -9 at random moments: what a restarted aggregate ends with equals what it would have been without."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import go_state as gs

ROOT = Path(gs.__file__).parents[1]
ROWS, KILLS = 20_000, 50
WORKER = """
import os, sys
from dataclasses import dataclass, replace
import go_state as gs

@dataclass(frozen=True)
class Row:
    shop: str
    amount: int

@dataclass(frozen=True)
class Shop:
    name: str
    rows: int = 0
    total: int = 0
    trail: int = 0  # depends on the order of the rows

def update(model: Shop, msg: Row) -> gs.Step[Shop, Row]:
    if tell:
        os.write(1, b".")
    trail = (model.trail * 31 + msg.amount) % 1_000_003
    return replace(model, rows=model.rows + 1, total=model.total + msg.amount, trail=trail), ()

shops = gs.Program(lambda key: (Shop(key), ()), update, name="shop")
path, source, tell = sys.argv[1], sys.argv[2], sys.argv[3] == "tell"
if tell:
    os.write(1, b"b")
with gs.LMDBStore(path) as store:
    result = gs.aggregate(
        shops, gs.sources.CSV(source, Row), store=store, key=lambda msg: msg.shop, snapshots=gs.Snapshots(every=20)
    )
    if not tell:
        print(result.position, sorted((m.name, m.rows, m.total, m.trail) for m in result.models.values()))
"""


def start(path: Path, source: Path, how: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", WORKER, str(path), str(source), how], cwd=ROOT, stdout=subprocess.PIPE)


def kill_in_mid_run(path: Path, source: Path, after: int) -> int:
    """Kill a run after so many bytes of its progress, and return how many messages it had processed, or -1 when it was done."""
    with start(path, source, "tell") as worker:
        assert worker.stdout is not None
        told = os.read(worker.stdout.fileno(), 1)
        while len(told) <= after and (more := os.read(worker.stdout.fileno(), after + 1 - len(told))):
            told += more
        os.kill(worker.pid, signal.SIGKILL)
        told += worker.stdout.read()
    return told.count(b".") if worker.returncode == -signal.SIGKILL else -1


@pytest.mark.slow
def test_a_killed_aggregate_ends_as_one_never_killed(tmp_path: Path) -> None:
    """Fifty kills -9 at random moments of a keyed aggregate over 20,000 rows change none of its models."""
    chance = random.Random(9)
    source = tmp_path / "rows.csv"
    rows = [f"shop{chance.randrange(25)},{chance.randrange(1000)}" for _ in range(ROWS)]
    source.write_text("shop,amount\n" + "\n".join(rows) + "\n")
    processed = [kill_in_mid_run(tmp_path / "killed", source, chance.randrange(250)) for _ in range(KILLS)]
    assert -1 not in processed  # every kill came in mid-run
    assert sum(count > 0 for count in processed) > KILLS / 2
    killed = start(tmp_path / "killed", source, "quiet").communicate(timeout=60)[0]
    never = start(tmp_path / "never", source, "quiet").communicate(timeout=60)[0]
    assert killed == never
    assert never.startswith(b"20000 ")
