"""The effect ids of everybody else are the same after a person was erased: by them what was done for them is known again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import go_state as gs

pytestmark = [pytest.mark.processes, pytest.mark.slow]

ROOT = Path(gs.__file__).parents[1]
ORDERS = 40

# Of each order there are two calls, side by side or one after the other, which note their ids; some do not end until kill -9.
SHOP = """
import asyncio, json, os, signal, sys, time
from dataclasses import dataclass, replace
import go_state as gs

@dataclass(frozen=True)
class Order:
    customer: str
    number: int

@dataclass(frozen=True)
class Shop:
    orders: dict[str, int]

async def charge(customer: str, number: int) -> None:
    os.write(ids, json.dumps([customer, number, gs.effect_id()]).encode() + b"\\n")
    if goes_on(customer, number):
        await asyncio.Event().wait()

def goes_on(customer: str, number: int) -> bool:
    return number % 3 > 0 and customer != "customer-3"

def update(model: Shop, msg: Order) -> gs.Step[Shop, Order]:
    calls = [gs.Cmd.call(charge, msg.customer, msg.number), gs.Cmd.call(charge, msg.customer, -msg.number)]
    return replace(model, orders={**model.orders, msg.customer: msg.number}), calls if msg.number % 2 else [gs.Cmd.seq(*calls)]

shop = gs.Program(lambda: (Shop({}), ()), update, name="shop")

if __name__ == "__main__":
    path, noted, orders = sys.argv[1:]
    ids = os.open(noted, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with gs.LMDBStore(path) as store, gs.start(shop, store=store, key="shop", effects=gs.Effects(at_once=1000)) as app:
        app.ready(60)
        app.send(*(Order(f"customer-{number % 5}", number) for number in range(1, 1 + int(orders))))
        wait_for_ever = set()  # the ids of the calls that do not end
        while app.statistics().queue_size or {each.id for each in app.effects()} != wait_for_ever:
            assert app.life.error is None, app.life.error
            time.sleep(0.01)
            with open(noted) as lines:
                wait_for_ever = {effect for who, number, effect in map(json.loads, lines) if goes_on(who, number)}
        print(json.dumps([each.id for each in app.effects()]), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def run(folder: Path, path: Path, orders: int) -> tuple[dict[tuple[str, int], str], set[str]]:
    """Run the shop, and kill it; return the ids of the calls that were begun, by customer and order, and of those that were running."""
    noted = path.with_suffix(f".ids{orders}")
    done = subprocess.run(
        [sys.executable, "shop.py", str(path), str(noted), str(orders)],
        cwd=folder, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == -9
    lines = [json.loads(line) for line in noted.read_text().splitlines()] if noted.exists() else []
    return {(customer, number): effect for customer, number, effect in lines}, set(json.loads(done.stdout))


def test_the_effect_ids_of_everybody_else_are_as_before(tmp_path: Path) -> None:
    """After kill -9 and an erasure the calls begin again with the ids that they had, and new ones have those that they would have had."""
    (tmp_path / "shop.py").write_text(SHOP)
    path, other = tmp_path / "shop.lmdb", tmp_path / "other.lmdb"
    begun, running = run(tmp_path, path, ORDERS)
    assert {"customer-3", "customer-4"} < {customer for customer, _ in begun}
    assert 10 < len(running) < len(begun)
    shutil.copy(path, other)
    erase = ["erase", "shop:shop", str(path), "--where", "customer=customer-3", "--empty", "--yes", "--compact"]
    env = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-m", "go_state.cli", *erase], cwd=tmp_path, env=env, check=True, stdout=subprocess.DEVNULL)
    assert b"customer-3" not in path.read_bytes()
    assert b"customer-3" in other.read_bytes()
    assert (
        run(tmp_path, path, 0)
        == run(tmp_path, other, 0)
        == ({who: begun[who] for who in begun if begun[who] in running}, running)
    )
    assert run(tmp_path, path, 15) == run(tmp_path, other, 15)
