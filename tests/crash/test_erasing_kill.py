"""kill -9 of who erases: the journal and its snapshots are as they were or as they are to be, never a mix; and so is the file."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import go_state as gs

pytestmark = [pytest.mark.processes, pytest.mark.slow]

COUNT = 6000
POINTS = [
    ("after-stage", 1),
    ("after-stage", 2),
    ("before-switch", 1),
    ("after-switch", 1),
    ("before-exchange", 1),
    ("after-exchange", 1),
]


@dataclass(frozen=True)
class Paid:
    customer: str
    note: str


@dataclass(frozen=True)
class Shop:
    paid: dict[str, int]


def init() -> gs.Step[Shop, Paid]:
    return Shop({}), ()


def update(model: Shop, msg: Paid) -> gs.Step[Shop, Paid]:
    return replace(model, paid=model.paid | {msg.customer: model.paid.get(msg.customer, 0) + 1}), ()


shop = gs.Program(init, update)


def without(entry: Any) -> object:
    return None if entry.message.customer == "customer-3" else entry.message


def erase(path: Path) -> None:
    """Empty the messages of one customer, and compact the file."""
    with gs.LMDBStore(path) as store:
        gs.history.rewrite(shop, store.journal("shop", of=Paid), without)
        store.compact()


@contextmanager
def child(fn: Callable[[], object]) -> Iterator[int]:
    """Run the function in a process of its own."""
    process = os.fork()
    if not process:
        try:
            fn()
        finally:
            os._exit(0)
    try:
        yield process
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "shop.lmdb"
    with (
        gs.LMDBStore(path) as store,
        gs.start(shop, store=store, key="shop", snapshots=gs.Snapshots(every=1500, keep=9)) as app,
    ):
        for number in range(COUNT):
            app.send(Paid(f"customer-{number % 5}", f"{number} " * 300))
    return path


def found(path: Path) -> tuple[int, set[str], bool]:
    """Return how many messages are empty, the customers in any model that is kept, and whether the journal makes its snapshots."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("shop", of=Paid)
        messages = list(journal.read())
        assert [each.position for each in messages] == list(range(COUNT))
        empty = sum(each.message is None for each in messages)
        models = [gs.replay(shop, journal, until=position) for position in (*store.keyframes("shop"), COUNT)]
        assert len(models) > 3
        return empty, {who for model in models for who in model.paid}, gs.verify(shop, journal).ok


def check(path: Path) -> bool:
    """Return whether it is erased; it is so altogether, or not at all. It can be done again, and the program goes on."""
    empty, customers, verified = found(path)
    assert verified
    everybody = {f"customer-{number}" for number in range(5)}
    assert (empty, customers) in ((0, everybody), (COUNT // 5, everybody - {"customer-3"}))
    with gs.LMDBStore(path) as store:
        store.check_damage()
        journal = store.journal("shop", of=Paid)
        gs.history.rewrite(shop, journal, without)
        journal.close()
        store.compact()
        assert b"customer-3" not in path.read_bytes()
        with gs.start(shop, store=store, key="shop") as app:
            assert app.apply(Paid("customer-0", ""), timeout=30).paid["customer-0"] == COUNT // 5 + 1
    assert {each.name for each in path.parent.iterdir() if "owner" not in each.name} == {"shop.lmdb", "shop.lmdb-lock"}
    return empty > 0


@pytest.mark.parametrize(("point", "nth"), POINTS)
def test_a_kill_at_each_step_leaves_the_old_or_the_new(whole: Path, tmp_path: Path, point: str, nth: int) -> None:
    """Staged, switched, exchanged: before the switch it is the old, after it the new."""
    path = Path(shutil.copy(whole, tmp_path))

    def dies() -> None:
        gs.testing.crash_at(point, nth)
        erase(path)

    process = os.fork()
    if not process:
        try:
            dies()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    assert check(path) == (point not in ("after-stage", "before-switch"))


def test_a_kill_at_any_moment_leaves_the_old_or_the_new(whole: Path, tmp_path: Path) -> None:
    """30 of them, spread over the time that it takes."""
    trial = Path(shutil.copy(whole, tmp_path / "trial.lmdb"))
    begun = time.monotonic()
    with child(lambda: erase(trial)) as process:
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    takes, chance, erased = time.monotonic() - begun, random.Random(3), 0
    for number in range(30):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = Path(shutil.copy(whole, folder))
        with child(lambda path=path: erase(path)):  # type: ignore[misc]  # each its own
            time.sleep(takes * (number + chance.random()) / 30)  # the moment of the kill, whatever is done then
        erased += check(path)
    assert erased < 30


def test_a_program_that_runs_is_not_erased_under(whole: Path, tmp_path: Path) -> None:
    """Its process holds the lease, and the file is not compacted under it either."""
    path = Path(shutil.copy(whole, tmp_path))
    told, tell = os.pipe()

    def runs() -> None:
        with gs.LMDBStore(path) as store, gs.start(shop, store=store, key="shop") as app:
            app.apply(Paid("customer-0", ""), timeout=30)
            os.write(tell, b"!")
            signal.pause()

    with child(runs):
        assert os.read(told, 1) == b"!"
        with gs.LMDBStore(path) as store:
            with pytest.raises(gs.errors.LeaseHeld):
                gs.history.rewrite(shop, store.journal("shop", of=Paid), without)
            with pytest.raises(gs.errors.LeaseHeld):
                store.compact()
            with pytest.raises(gs.errors.LeaseHeld):
                store.forget("shop")
            with pytest.raises(gs.errors.LeaseHeld):
                store.restore_from(store)
    os.close(told)
    os.close(tell)
