"""One file, worked on by four processes of Ray, each with the keys of its part; one that dies begins
again where it has saved.

    pip install ray
    python examples/19_ray.py

For an `update` that takes its time: every process reads all of the file, and skips the keys of the
others. On several machines the store is a Postgres, and the file lies where all of them can read it.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import ray

import go_state as gs

PARTS = 4


@dataclass(frozen=True)
class Sale:
    """One sale."""

    shop: str
    cents: int


@dataclass(frozen=True)
class Shop:
    """What a shop has sold."""

    sales: int = 0
    cents: int = 0


def shop_of(sale: Sale) -> str:
    """Return the key of a sale."""
    return sale.shop


def update(model: Shop, msg: Sale) -> Shop:
    """Count a sale."""
    return Shop(model.sales + 1, model.cents + msg.cents)


shops = gs.reducer(Shop, update)


@ray.remote(max_retries=-1)
def work(folder: Path, part: int) -> int:
    """Process one part; the first try dies in the middle, as a machine may."""
    sales = gs.sources.part(gs.sources.JSONLines(folder / "sales.jsonl", Sale), part, of=PARTS, key=shop_of)
    with gs.LMDBStore(folder / "shops.lmdb") as store:
        first = not (folder / f"tried {part}").exists()
        (folder / f"tried {part}").touch()
        limit = 1000 if first else None
        gs.aggregate(shops, sales, store=store, key=shop_of, snapshots=gs.Snapshots(every=100), limit=limit)
        if first:
            os._exit(1)
    return part


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "sales.jsonl").open("w") as file:
            for n in range(20_000):
                print(json.dumps({"shop": f"shop {n % 40}", "cents": n}), file=file)
        ray.init(include_dashboard=False)
        print("parts done:", sorted(ray.get([work.remote(folder, part) for part in range(PARTS)])))
        ray.shutdown()
        with gs.LMDBStore(folder / "shops.lmdb") as store:
            models = [gs.load_model(shops, store=store, key=f"shop {n}") for n in range(40)]
        found = {model and model.sales for model in models}
        print("sales of each of the 40 shops:", *found)
        print("cents of all:", sum(model.cents for model in models if model), "of", sum(range(20_000)))


if __name__ == "__main__":
    main()
