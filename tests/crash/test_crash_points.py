"""Crashes by name: a child that dies at each point, and lives again until all is done, ends as one that never died."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import go_state as gs
from go_state.testing import CRASH_POINTS, crash_at

ROOT = Path(gs.__file__).parents[1]
CHILD = """
import sys
from dataclasses import dataclass, replace
import go_state as gs

@dataclass(frozen=True)
class Order:
    number: int

@dataclass(frozen=True)
class Paid:
    number: int

@dataclass(frozen=True)
class Look:
    pass

@dataclass(frozen=True)
class Shop:
    orders: tuple[int, ...] = ()
    paid: tuple[int, ...] = ()
    catalogue: tuple[str, ...] = tuple(f"{number:0250}" for number in range(6000))  # so large that a snapshot lies in parts

def pay(number: int) -> int:
    with open(sys.argv[2], "a") as bank:
        bank.write(f"{number} {gs.effect_id().split('/', 1)[1]}\\n")
    return number

def update(model: Shop, msg: Order | Paid | Look) -> gs.Step[Shop, Order | Paid | Look]:
    match msg:
        case Order(number):
            return replace(model, orders=(*model.orders, number)), [gs.Cmd.call(pay, number, ok=Paid, thread=True)]
        case Paid(number):
            return replace(model, paid=(*model.paid, number)), ()
        case Look():
            return model, ()

shop = gs.Program(lambda: (Shop(), ()), update)
if len(sys.argv) > 3:
    gs.testing.crash_at(sys.argv[3], int(sys.argv[4]))
with gs.LMDBStore(sys.argv[1]) as store:
    journal = store.journal("shop", of=Order | Paid | Look)
    with gs.start(shop, journal, store=store, key="shop", snapshots=gs.Snapshots(every=4)) as app:
        for number in range(len(app.apply(Look()).orders), 10):  # behind all that is in the journal
            app.apply(Order(number))
        app.watch().get(where=lambda model: len(model.paid) == 10, timeout=20)
        journal.truncate(min([*store.keyframes("shop"), len(app.model.orders)]))
    print(*app.model.orders, "|", *sorted(app.model.paid))
"""


def live(path: Path, *crash: object) -> subprocess.CompletedProcess[str]:
    arguments = [str(path / "store"), str(path / "bank"), *map(str, crash)]
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# A program that runs rewrites and copies nothing: test_erasing_kill.py crashes at these, and test_copied.py in modes/streams at uploads.
ELSEWHERE = {
    "after-stage",
    "before-switch",
    "after-switch",
    "before-exchange",
    "after-exchange",
    "before-upload",
    "after-upload",
}


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize("point", [point for point in CRASH_POINTS if point not in ELSEWHERE])
def test_a_crash_at_each_point_is_made_good(tmp_path: Path, point: str, nth: int) -> None:
    """Every order is there and paid for once; the bank saw each at least once, under one name."""
    died = live(tmp_path, point, nth)
    assert died.returncode == -9 or "truncate" in point, died.stderr
    ended = live(tmp_path)
    numbers = " ".join(map(str, range(10)))
    assert (ended.stdout, ended.stderr) == (f"{numbers} | {numbers}\n", "")
    bank = (tmp_path / "bank").read_text().splitlines()
    assert sorted({entry.split()[0] for entry in bank}, key=int) == numbers.split()
    assert len({entry.split()[0] for entry in bank}) == len(set(bank))


@pytest.mark.parametrize(("point", "nth"), [("before-lunch", 1), ("before-flush", 0), ("before-flush", "1")])
def test_wrong_points_teach(point: str, nth: int) -> None:
    """Another point, or a time before the first, is refused."""
    with pytest.raises(gs.UsageError):
        crash_at(point, nth)
