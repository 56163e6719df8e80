"""A Lambda function that reads a Kinesis stream: `handler` is what AWS calls; here it is given events
made by hand.

    python examples/16_lambda.py

The event source mapping needs FunctionResponseTypes=["ReportBatchItemFailures"] and a
ParallelizationFactor of 1. What is in the store is never processed again, whatever Lambda gives a
second time, and a record that fails is named, so that what came before it is kept. In AWS the store is
a Postgres that all invocations share: `gs.PostgresStore(os.environ["DATABASE"])`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import go_state as gs


@dataclass(frozen=True)
class Sale:
    """One sale, as the tills write it."""

    shop: str
    cents: int


@dataclass(frozen=True)
class Shop:
    """What a shop has sold."""

    sales: int = 0
    cents: int = 0


def update(model: Shop, msg: Sale) -> Shop:
    """Count a sale."""
    if msg.cents < 0:
        raise ValueError("a sale of less than nothing")
    return Shop(model.sales + 1, model.cents + msg.cents)


shops = gs.reducer(Shop, update)
store = gs.MemoryStore()  # opened once, for as long as AWS keeps the process


def handler(event: Mapping[str, Any], context: gs.sources.LambdaContext) -> gs.sources.LambdaAnswer:
    """Process one event, and name the first record that is not in the store."""
    records = gs.sources.KinesisEvent(event, Sale)
    result = gs.aggregate(
        shops,
        records,
        store=store,
        key=lambda sale: sale.shop,
        on_error=gs.Halt(),
        budget=records.seconds_left(context),
    )
    if result.failed is not None:
        print("  failed:", result.failed.error)
    return records.answer(result)


# ---------------------------------------------------------------------- what AWS does


class Context:
    """What AWS says of an invocation."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def event_of(first: int, *sales: object) -> dict[str, Any]:
    """Return the event of records that follow one another in their shard."""
    return {
        "Records": [
            {
                "eventSourceARN": "arn:aws:kinesis:eu-west-1:123456789012:stream/sales",
                "eventID": f"shardId-000000000000:{number}",
                "kinesis": {
                    "sequenceNumber": str(number),
                    "data": base64.b64encode(json.dumps(sale).encode()).decode(),
                },
            }
            for number, sale in enumerate(sales, first)
        ]
    }


def main() -> None:
    good = event_of(100, {"shop": "north", "cents": 500}, {"shop": "south", "cents": 250})
    one, many = {"shop": "north", "cents": 100}, {"shop": "south", "cents": "many"}
    bad = event_of(102, one, many, {"shop": "north", "cents": 1})
    mended = event_of(103, {"shop": "south", "cents": 50}, {"shop": "north", "cents": 1})
    events = [("two sales", good), ("the same again", good), ("one is no sale", bad), ("mended", mended)]
    for name, event in events:
        print(name)
        print(" ", handler(event, Context()))
    for shop in ("north", "south"):
        print(shop, gs.load_model(shops, store=store, key=shop))


if __name__ == "__main__":
    main()
