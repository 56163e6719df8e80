"""Events as Lambda makes them, and a shard whose events are given as Lambda gives them: again from the record that is answered."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from typing import Any

ARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders"


def event(records: Iterable[tuple[int, bytes]], shard: str = "shardId-000000000000", arn: str = ARN) -> dict[str, Any]:
    """Return the event of numbered records, whose sequence numbers have gaps as in a real stream."""
    return {
        "Records": [
            {
                "eventSource": "aws:kinesis",
                "eventSourceARN": arn,
                "eventID": f"{shard}:{number_of(n)}",
                "kinesis": {
                    "partitionKey": "k",
                    "sequenceNumber": number_of(n),
                    "data": base64.b64encode(data).decode(),
                    "approximateArrivalTimestamp": 1545084650.987,
                },
            }
            for n, data in records
        ]
    }


def number_of(n: int) -> str:
    """Return the sequence number of the n-th record of a shard: they are not next to each other, and get longer."""
    return str(9_000_000_000_000_000_000 + n * 1_000_000_000_000_000_037)


class EventSource:
    """One shard of an event source mapping: batches in order, and the rest of a batch again until all of it is done."""

    def __init__(self, shard: str, records: list[bytes], handler: Callable[[Any], Mapping[str, Any]]) -> None:
        self.shard, self._records, self._handler = shard, list(enumerate(records)), handler
        self.tries = 0

    def deliver(self, size: int, loses: Callable[[], bool] = lambda: False, most: int = 1000) -> None:
        """Give all records; an answer that is lost has Lambda give the same batch again."""
        at = 0
        while at < len(self._records) and self.tries < most:
            batch = self._records[at : at + size]
            self.tries += 1
            answer = self._handler(event(batch, self.shard))
            if loses():
                continue
            failures = answer["batchItemFailures"]
            if not failures:
                at += len(batch)
            else:
                failed = failures[0]["itemIdentifier"]
                at = next(n for n, _ in batch if number_of(n) == failed)
