r"""A worker that reads a JetStream stream, together with as many others as there are: start it as often
as you like.

    pip install "go-state[nats]"
    nats stream add SALES --subjects "sales.*" --transform-source "sales.*" \
        --transform-destination "sales.{{partition(8,1)}}.{{wildcard(1)}}"
    python examples/18_jetstream.py nats://localhost:4222 shops.lmdb

The subject transform makes eight subjects of the shops' names, sales.0.> to sales.7.>; each is read by
one worker at a time, in order. Nothing is acknowledged and nothing delivered again: what was not saved
is read again from its position. So every sale is counted once, whichever worker is killed, and whenever
the server is started again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import nats

import go_state as gs

SUBJECTS = [f"sales.{n}.>" for n in range(8)]


@dataclass(frozen=True)
class Sale:
    """One sale, as the tills send it: {"shop": "north", "cents": 500}."""

    shop: str
    cents: int


@dataclass(frozen=True)
class Shop:
    """What a shop has sold."""

    sales: int = 0
    cents: int = 0


def update(model: Shop, msg: Sale) -> Shop:
    """Count a sale."""
    return Shop(model.sales + 1, model.cents + msg.cents)


shops = gs.reducer(Shop, update)


def show(changed: Mapping[str, Shop], positions: Mapping[str, int]) -> None:
    """Called when sales are stored."""
    for shop, model in sorted(changed.items()):
        print(f"{shop}: {model.sales} sales, {model.cents / 100:.2f}", flush=True)


async def main(url: str, path: str) -> None:
    client = await nats.connect(url, max_reconnect_attempts=-1)
    sales = gs.sources.JetStream("SALES", Sale, client=client, subjects=SUBJECTS, share=gs.Leases(seconds=10))
    with gs.LMDBStore(path) as store, gs.signals() as stop:
        result = await gs.aggregate_async(
            shops,
            sales,
            store=store,
            key=lambda sale: sale.shop,
            snapshots=gs.Snapshots(seconds=1),
            on_commit=show,
            on_error=gs.SetAside(),
            stop=stop,
        )
    await client.close()
    print(f"{result.processed} processed, {result.ended}")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
