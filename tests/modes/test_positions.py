"""Looking at positions and setting them, in a program and by the command."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from streams_support import TALLY, Add, Tally, begin, key_of, log_of
from test_batch import Tape

import go_state as gs
from go_state.core.errors import TakenOver
from go_state.testing.streams.members import Member

ROOT = Path(gs.__file__).parents[1]


def counting(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
    """Count, in any order."""
    return Tally(model.count + 1, msg.n), ()


COUNTING = gs.Program(begin, counting, name="Tally")


def filled() -> gs.MemoryStore:
    store = gs.MemoryStore()
    gs.aggregate(COUNTING, log_of(2, 5).source("orders/eu", ends=True), store=store, key=key_of)
    return store


def test_positions_are_listed() -> None:
    """Of each source and partition: position, fingerprint, holder, epoch and when it was saved."""
    store = filled()
    found = list(gs.positions(store, COUNTING))
    assert [(each.program, each.source, each.partition, each.position) for each in found] == [
        ("Tally", "orders/eu", "0", 4),
        ("Tally", "orders/eu", "1", 4),
    ]
    assert [(each.fingerprint, each.epoch, each.ended) for each in found] == [("made 0", 1, False)] * 2
    assert all(each.holder and time.time() - 60 < each.saved_at <= time.time() for each in found)
    assert len(gs.positions(store, gs.Program(begin, counting, name="other"))) == 0


def test_a_partition_that_nobody_has_saved_is_listed() -> None:
    """A claim alone has a holder, and no position."""
    store, source = gs.MemoryStore(), log_of(1, 0).source("s", alone=False)
    one: Any = Member(COUNTING, source, store=store, key=key_of)
    one.reading.tell("assigned", "0")
    one.step()
    (found,) = gs.positions(store, COUNTING)
    assert (found.source, found.partition, found.position, found.epoch) == ("s", "0", None, 1)


def test_a_position_is_set_and_reset() -> None:
    """The next run goes on from there; a reset begins at the beginning, whatever is there."""
    store, log = filled(), log_of(2, 5)
    info = gs.positions(store, COUNTING).set("orders/eu", "0", 1)
    assert (info.position, info.epoch) == (1, 2)
    assert gs.aggregate(COUNTING, log.source("orders/eu", ends=True), store=store, key=key_of).processed == 3
    log.made["1"] = 7
    with pytest.raises(gs.errors.SourceChanged):
        gs.aggregate(COUNTING, log.source("orders/eu", ends=True), store=store, key=key_of)
    gs.positions(store, COUNTING).reset("orders/eu", "1")
    assert gs.aggregate(COUNTING, log.source("orders/eu", ends=True), store=store, key=key_of).processed == 5


def test_whoever_reads_is_fenced_and_goes_on_from_there() -> None:
    """A running holder saves nothing of what it had, and reads from the position that was set."""
    store, source = gs.MemoryStore(), log_of(1, 5).source("orders", alone=False)
    one: Any = Member(COUNTING, source, store=store, key=key_of, snapshots=gs.Snapshots(seconds=1e6))
    one.reading.tell("assigned", "0")
    one.step(2)
    gs.positions(store, COUNTING).set("orders", "0", 2)
    source.log.put("0", Add("new", 5))
    one.step(4)
    result = one.close()
    assert result.processed == 3
    assert gs.load_model(COUNTING, store=store, key="p0k0") == Tally(2, 4)


def test_a_source_without_partitions_is_set() -> None:
    """Its run ends, because it reads one source only, and the next one begins there."""
    store = gs.MemoryStore()
    gs.aggregate(COUNTING, Tape(*(Add("k", n) for n in range(4))), store=store, key=key_of)
    positions = gs.positions(store, COUNTING)
    (info,) = positions
    assert (info.partition, info.position) == (None, 4)
    positions.set(info.source, None, 3)
    assert gs.aggregate(COUNTING, Tape(*(Add("k", n) for n in range(4))), store=store, key=key_of).processed == 1

    def setting(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        gs.positions(store, COUNTING).reset(info.source)
        return counting(model, msg)

    with pytest.raises(TakenOver):
        gs.aggregate(gs.Program(begin, setting, name="Tally"), Tape(*(Add("k", n) for n in range(5))), store=store, key=key_of)


def test_what_was_never_read_is_refused() -> None:
    """With what there is."""
    with pytest.raises(gs.UsageError, match="orders/9 was never read by Tally: read are orders/eu/0, orders/eu/1"):
        gs.positions(filled(), COUNTING).set("orders", "9", 1)
    with pytest.raises(gs.UsageError, match=r"gs\.Program"):
        gs.positions(filled(), "Tally")  # type: ignore[arg-type]


@pytest.mark.processes
def test_the_command_lists_sets_and_resets(tmp_path: Path) -> None:
    """It asks on a terminal, and wants --yes without one."""
    path = tmp_path / "state.lmdb"
    with gs.LMDBStore(path) as store:
        gs.aggregate(TALLY, log_of(1, 5).source("orders", ends=True), store=store, key=key_of)

    def go(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "go_state.cli", "positions", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, stdin=subprocess.DEVNULL, check=False)

    listed = go("list", str(path), "--json")
    assert json.loads(listed.stdout)["position"] == 4, listed.stderr
    assert "orders" in go("list", str(path)).stdout
    refused = go("set", str(path), "Tally", "orders", "1", "--partition", "0")
    assert (refused.returncode, "--yes" in refused.stderr) == (1, True)
    done = go("set", str(path), "Tally", "orders", "1", "--partition", "0", "--yes")
    assert json.loads(done.stdout)["position"] == 1, done.stderr
    assert json.loads(go("reset", str(path), "Tally", "orders", "--partition", "0", "--yes").stdout)["position"] is None
    with gs.LMDBStore(path) as store:
        assert [each.epoch for each in gs.positions(store, TALLY)] == [3]
