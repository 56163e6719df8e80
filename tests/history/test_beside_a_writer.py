"""The tools beside a program that runs, on Postgres: what they find is what is there, and never something that the writer is at."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import postgres_server as servers
import pytest
from postgres_server import PostgresServer

import go_state as gs

pytestmark = [pytest.mark.processes, pytest.mark.slow]
postgres_server = servers.postgres_server

ROOT = Path(gs.__file__).parents[1]
ROUNDS = 8

SHOP = """
import sys
from dataclasses import dataclass, replace
import go_state as gs

@dataclass(frozen=True)
class Sale:
    customer: str
    amount: int

@dataclass(frozen=True)
class Shop:
    paid: dict[str, int]
    refunded: int = 0

async def again(customer: str) -> Sale:
    return Sale(customer, 1)

def step(sign: int):
    def update(model: Shop, msg: Sale) -> gs.Step[Shop, Sale]:
        model = replace(model, paid={**model.paid, msg.customer: model.paid.get(msg.customer, 0) + msg.amount})
        if msg.amount < 0:
            model = replace(model, refunded=model.refunded + sign * msg.amount)
        return model, [gs.Cmd.call(again, msg.customer)] if msg.amount == 7 else ()
    return update

old = gs.Program(lambda: (Shop({}), ()), step(-1))
new = gs.Program(lambda: (Shop({}), ()), step(1))

if __name__ == "__main__":
    dsn, schema, key = sys.argv[1:]
    with gs.PostgresStore(dsn, schema=schema) as store:
        with gs.start(old, store=store, key=key, snapshots=gs.Snapshots(every=40, keep=5)) as app:
            number = 0
            for _ in sys.stdin:  # in each round it goes on writing for a while
                for _ in range(20):
                    for _ in range(10):
                        app.send(Sale(f"c{number % 9}", -1 if number == 5 else number % 11))
                        number += 1
                    app.settle(60)
                    if number % 200 == 10:
                        print(number, flush=True)
"""


@contextmanager
def writer(folder: Path, *args: str) -> Iterator[Callable[[], int]]:
    """Give the function that has the writer go on, and returns how many messages there are at least."""
    process = subprocess.Popen(
        [sys.executable, "shop.py", *args],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    to, back = process.stdin, process.stdout
    assert to is not None
    assert back is not None

    def go_on() -> int:
        to.write("on\n")
        to.flush()
        return int(back.readline())

    try:
        yield go_on
    finally:
        process.kill()
        process.communicate()


def test_nothing_false_is_found_beside_a_writer(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each round the journal is longer, every message and snapshot that is there makes what it made, and the one bug is found."""
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.syspath_prepend(str(tmp_path))
    import shop  # type: ignore[import-not-found]

    schema, seen = postgres_server.fresh_schema(), list[int]()
    with (
        writer(tmp_path, postgres_server.dsn, schema, "shop") as go_on,
        gs.PostgresStore(postgres_server.dsn, schema=schema, create=True) as store,
    ):
        assert go_on() == 10
        for _ in range(ROUNDS):
            at_least = go_on()
            verified = gs.verify(shop.old, store.journal("shop"))
            assert verified.ok, verified
            found = gs.first(shop.old, store.journal("shop"), where=lambda before, msg, after: after.refunded > 0)
            assert found is not None
            assert (found.position, found.message) == (5, shop.Sale("c5", -1))
            assert gs.first(shop.old, store.journal("shop"), where=lambda before, msg, after: after.refunded < 0) is None
            same = gs.compare(shop.old, shop.old, store.journal("shop"))
            assert same.ok, same
            assert same.messages >= at_least
            parted = gs.compare(shop.old, shop.new, store.journal("shop")).parted
            assert parted is not None
            assert (parted.position, [each.path for each in parted.fields]) == (5, [".refunded"])
            peeked = gs.peek(shop.old, store, key="shop")
            assert peeked is not None
            assert peeked.model.refunded == 1
            seen.append(same.messages)
    assert seen == sorted(set(seen))  # the journal has grown meanwhile
