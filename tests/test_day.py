"""A whole working day, as `bench/bench_day.py` has it, of 20,000 lines: killed at any moment it ends as if it had not been."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import go_state as gs

ROOT = Path(__file__).parents[1]
LINES, CUSTOMERS, EVERY, KILLS = 20_000, 800, 1_000, 12


@pytest.fixture
def day(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The package of the bench."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    import day
    import day.by_hand
    import day.lines
    import day.shop
    import day.shop_two
    import day.work

    return day


def work(folder: Path, day: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "day.work", str(folder), str(day), str(EVERY)]
    where = {"PYTHONPATH": f"{ROOT}:{ROOT / 'bench'}"}
    return subprocess.Popen(command, env=where, cwd=folder, stdout=subprocess.PIPE, text=True)


def work_with_kills(folder: Path, day: int, seed: int) -> int:
    """Do the day's work in processes that are killed at random moments, then once to the end; return how many were killed in time."""
    chance, killed = random.Random(seed), 0
    began = time.monotonic()
    with work(folder, 9) as empty:  # how long a process takes to come to its work, on this machine
        empty.wait()
    start = time.monotonic() - began
    for _ in range(KILLS):
        with work(folder, day) as process:
            try:
                process.wait(start * chance.uniform(0.5, 2.5))
            except subprocess.TimeoutExpired:
                process.kill()
            killed += process.wait() == -signal.SIGKILL
    with work(folder, day) as process:
        assert process.wait() == 0
    return killed


@pytest.mark.slow
@pytest.mark.processes
def test_a_day_killed_at_any_moment_ends_as_it_would_have(day: Any, tmp_path: Path) -> None:
    """Two days with `kill -9`, the second with other fields: every customer is what plain Python makes of the files."""
    events = tmp_path / "events.jsonl"
    counted = day.lines.write_day(events, LINES, CUSTOMERS)
    assert day.by_hand.fold_dicts(events, tmp_path / "dicts.db", EVERY) == counted["malformed"]
    assert day.by_hand.fold(events, tmp_path / "hand.db", EVERY) == counted["malformed"]
    by_hand = day.by_hand.Table(tmp_path / "hand.db")
    customers = {name: day.by_hand.customer(row) for name, row in by_hand.all().items()}
    by_hand.close()

    assert work_with_kills(tmp_path, 1, seed=1) > 0
    with gs.LMDBStore(tmp_path / "shop.lmdb") as store:
        for name, customer in customers.items():
            assert gs.load_model(day.shop.shop, store=store, key=name) == customer

    day.lines.write_day(tmp_path / "more.jsonl", LINES // 4, CUSTOMERS, day=2)
    with events.open("ab") as file:
        file.write((tmp_path / "more.jsonl").read_bytes())
    assert work_with_kills(tmp_path, 2, seed=2) > 0
    two = day.shop_two
    expected = {name: today(day, customer) for name, customer in customers.items()}
    for msg in messages(day, tmp_path / "more.jsonl"):
        expected[msg.customer], _ = two.update(expected.get(msg.customer) or two.Customer(msg.customer), msg)
    with gs.LMDBStore(tmp_path / "shop.lmdb") as store:
        for name, customer in expected.items():
            assert gs.load_model(two.shop, store=store, key=name) == customer


def today(day: Any, customer: Any) -> Any:
    """Return a customer of the first day as the second has it."""
    import datetime as dt

    last_at = dt.datetime.fromtimestamp(customer.last_at, dt.UTC)
    common = {name: getattr(customer, name) for name in ("name", "paid", "refunded", "late", "repeated", "purchases")}
    return day.shop_two.Customer(**common, bought=customer.ordered, last_at=last_at)


def messages(day: Any, path: Path) -> list[Any]:
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(day.shop_two.parse(line))
        except (ValueError, KeyError, TypeError):
            continue
    return found
