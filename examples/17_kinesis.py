"""A worker that reads a Kinesis stream, together with as many others as there are: start it as often as
you like.

    pip install "go-state[kinesis,postgres]"
    python examples/17_kinesis.py sales postgresql://localhost/shops

Each worker has as many shards as the others, agreed on in the store; one that dies is replaced after
ten seconds, and one that is ended by Ctrl-C or SIGTERM saves and hands its shards over. Every sale is
counted once, in the order of its shard, through splits and merges too. AWS is found as boto3 finds it:
AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL. A path in place of the URL is an LMDB file, which the workers
of one machine can share.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

import boto3  # type: ignore[import-untyped]  # it has no types

import go_state as gs


@dataclass(frozen=True)
class Sale:
    """One sale, as the tills write it: {"shop": "north", "cents": 500}."""

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


def show(changed: Mapping[str, Shop], positions: Mapping[str, str]) -> None:
    """Called when sales are stored."""
    for shop, model in sorted(changed.items()):
        print(f"{shop}: {model.sales} sales, {model.cents / 100:.2f}", flush=True)


def main(stream: str, where: str) -> None:
    sales = gs.sources.Kinesis(stream, Sale, client=boto3.client("kinesis"), share=gs.Leases(seconds=10))
    store = gs.PostgresStore(where) if "://" in where else gs.LMDBStore(where)
    with store, gs.signals() as stop:
        result = gs.aggregate(
            shops,
            sales,
            store=store,
            key=lambda sale: sale.shop,
            snapshots=gs.Snapshots(seconds=1),
            on_commit=show,
            on_error=gs.SetAside(),
            stop=stop,
        )
    print(f"{result.processed} processed, {result.ended}")


if __name__ == "__main__":
    main(*sys.argv[1:])
