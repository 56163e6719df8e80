"""What do Lambda, Kinesis and JetStream cost, against the loop by hand with the same client, of which each decodes, updates and saves?

A Lambda event of 1,000 records of 100 keys, with `gs.Halt()` and a MemoryStore; Kinesis on kinesalite, which is no AWS; JetStream on
nats-server, in fetches of 500 by hand. Ratios are of this process's CPU time, since the servers are on the same cores.
"""

from __future__ import annotations

import asyncio
import base64
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from ratio import line, skip

import go_state as gs

sys.path.append(str(Path(__file__).parents[1] / "tests"))

EVENTS, EVENT, LAMBDA_KEYS = 20, 1_000, 100
RECORDS, KEYS, ROUNDS = 20_000, 200, 5


@dataclass(frozen=True, slots=True)
class Add:
    key: str
    n: int


@dataclass(frozen=True, slots=True)
class Tally:
    count: int = 0
    total: int = 0


def init() -> gs.Step[Tally, Add]:
    return Tally(), ()


def update(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
    return Tally(model.count + 1, model.total + msg.n), ()


def key_of(msg: Add) -> str:
    return msg.key


tally = gs.Program(init, update, name="tally")
decode = msgspec.json.Decoder(Add).decode
encode = msgspec.json.encode
decode_model = msgspec.json.Decoder(Tally).decode


def measure(what: str, count: int, budget: str, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
    """Print the median ratio of pairs, in CPU time."""
    pairs = [(timed(ours), timed(theirs)) for _ in range(ROUNDS)]
    ratio = statistics.median(one[0] / other[0] for one, other in pairs)

    def detail(side: int) -> str:
        cpu, wall = (statistics.median(pair[side][n] for pair in pairs) for n in (0, 1))
        return f"{cpu / count * 1e6:.1f} us ({count / wall / 1000:.0f} k/s)"

    line(what, ratio, budget, f"{detail(0)} : {detail(1)}")


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return the CPU time of this process, and the time, of a call."""
    cpu, wall = time.process_time(), time.perf_counter()
    call()
    return time.process_time() - cpu, time.perf_counter() - wall


class ByHand:
    """A dict of models, saved in a store as a whole: no fence, no position."""

    def __init__(self) -> None:
        self.models: dict[str, Tally] = {}

    def take(self, data: bytes) -> None:
        msg = decode(data)
        self.models[msg.key] = update(self.models.get(msg.key) or init()[0], msg)[0]

    def save(self, store: Any) -> None:
        versions = {key: 0 if (found := store.load(key)) is None else found.version for key in self.models}
        store.store({key: gs.abc.Write(encode(model), versions[key]) for key, model in self.models.items()})


# -------------------------------------------------------------------- Lambda


def by_lambda() -> None:
    from sources.kinesis.lambda_events import event

    events = [
        event((n, encode(Add(f"k{n * 7 % LAMBDA_KEYS}", n))) for n in range(first, first + EVENT))
        for first in range(0, EVENTS * EVENT, EVENT)
    ]

    def ours() -> None:
        store = gs.MemoryStore()
        for each in events:
            records = gs.sources.KinesisEvent(each, Add)
            result = gs.aggregate(tally, records, store=store, key=key_of, on_error=gs.Halt())
            assert not records.answer(result)["batchItemFailures"]
            assert result.processed == EVENT

    def theirs() -> None:
        store = gs.MemoryStore()
        for each in events:
            hand = ByHand()
            for record in each["Records"]:
                data = base64.b64decode(record["kinesis"]["data"])
                key = decode(data).key
                if key not in hand.models and (found := store.load(key)) is not None:
                    hand.models[key] = decode_model(found.data)
                hand.take(data)
            hand.save(store)

    measure("Lambda, events of 1,000 records, 100 keys, against by hand", EVENTS * EVENT, "<= 2.5", ours, theirs)


# -------------------------------------------------------------------- Kinesis


def kinesis() -> None:
    from kinesis_server import KinesisServer

    server = KinesisServer()
    server.start()
    try:
        client = server.client()
        server.create("adds", 2)
        for first in range(0, RECORDS, 500):
            entries = [
                {"Data": encode(Add(f"k{n % KEYS}", n)), "PartitionKey": f"k{n % KEYS}"} for n in range(first, first + 500)
            ]
            client.put_records(StreamName="adds", Records=entries)

        def ours() -> None:
            with opened() as store:
                source = gs.sources.Kinesis("adds", Add, client=client)
                result = gs.aggregate(tally, source, store=store, key=key_of, snapshots=gs.Snapshots(seconds=1), limit=RECORDS)
                assert result.processed == RECORDS

        measure("Kinesis on kinesalite, 2 shards, against by hand", RECORDS, "<= 1.3", ours, lambda: kinesis_by_hand(client))
    finally:
        server.stop()


def kinesis_by_hand(client: Any) -> None:
    count, hand = 0, ByHand()
    shards = [shard["ShardId"] for shard in client.list_shards(StreamName="adds")["Shards"]]
    at = {
        shard: client.get_shard_iterator(StreamName="adds", ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        for shard in shards
    }
    while count < RECORDS:
        for shard in shards:
            found = client.get_records(ShardIterator=at[shard], Limit=10_000)
            at[shard] = found["NextShardIterator"]
            for record in found["Records"]:
                hand.take(record["Data"])
            count += len(found["Records"])
    with opened() as store:
        hand.save(store)


@contextmanager
def opened() -> Iterator[gs.LMDBStore]:
    """Give a new store."""
    with tempfile.TemporaryDirectory() as folder, gs.LMDBStore(Path(folder, "state.lmdb")) as store:
        yield store


# -------------------------------------------------------------------- JetStream


def jetstream() -> None:
    from nats_server import NatsServer

    server = NatsServer()
    server.start()
    try:
        asyncio.run(fill(server.url))
        measure(
            "JetStream, 2 subjects, against by hand", RECORDS, "<= 1.3",
            lambda: asyncio.run(jetstream_read(server.url)), lambda: asyncio.run(jetstream_by_hand(server.url)),
        )  # fmt: skip
    finally:
        server.remove()


async def fill(url: str) -> None:
    import nats

    client = await nats.connect(url)
    stream = client.jetstream(publish_async_max_pending=5000)
    await stream.add_stream(name="ADDS", subjects=["adds.>"])
    for n in range(RECORDS):
        await stream.publish_async(f"adds.{n % KEYS % 2}.k", encode(Add(f"k{n % KEYS}", n)))
    await stream.publish_async_completed()
    await client.close()


async def jetstream_read(url: str) -> None:
    import nats

    client = await nats.connect(url)
    subjects = ["adds.0.>", "adds.1.>"]
    with opened() as store:
        source = gs.sources.JetStream("ADDS", Add, client=client, subjects=subjects, share=gs.Leases(seconds=10))
        options: Any = {"snapshots": gs.Snapshots(seconds=1), "limit": RECORDS}
        result = await gs.aggregate_async(tally, source, store=store, key=key_of, **options)
        assert result.processed == RECORDS
    await client.close()


async def jetstream_by_hand(url: str) -> None:
    import nats
    from nats.js.api import AckPolicy, ConsumerConfig

    client = await nats.connect(url)
    stream, hand, count = client.jetstream(), ByHand(), 0
    config = ConsumerConfig(ack_policy=AckPolicy.NONE)
    pulls = [await stream.pull_subscribe(f"adds.{n}.>", stream="ADDS", config=config) for n in range(2)]
    while count < RECORDS:
        for pull in pulls:
            messages = await pull.fetch(500, timeout=5)
            for message in messages:
                hand.take(message.data)
            count += len(messages)
    with opened() as store:
        hand.save(store)
    await client.close()


def main() -> None:
    by_lambda()
    for what, ask in (("Kinesis", kinesis), ("JetStream", jetstream)):
        try:
            ask()
        except (ImportError, AssertionError, OSError) as error:
            skip(what, f"no server can be started here ({error})")


if __name__ == "__main__":
    print(__doc__)
    main()
