"""Three processes read a stream that is split and merged, and are killed and stopped while they do. kinesalite stands for AWS here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kinesis_server import KinesisServer, kinesis_server
from postgres_server import PostgresServer, postgres_server
from stream_workers import workers
from tallies import encoded, lasts, open_store

__all__ = ["kinesis_server", "postgres_server"]

KEYS = [f"k{n}" for n in range(24)]


class Writer:
    """Puts the messages of each key in order."""

    def __init__(self, client: Any, stream: str) -> None:
        self._client, self._stream = client, stream
        self.number = 0

    def put(self, number: int) -> None:
        for n in range(self.number, self.number + number):
            for at in range(0, len(KEYS), 8):
                records = [{"PartitionKey": key, "Data": encoded(key, n)} for key in KEYS[at : at + 8]]
                put = self._client.put_records(StreamName=self._stream, Records=records)
                assert put["FailedRecordCount"] == 0
        self.number += number


def open_shards(client: Any, stream: str) -> list[Any]:
    shards = client.list_shards(StreamName=stream)["Shards"]
    return [shard for shard in shards if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]


def split(server: KinesisServer, client: Any, stream: str) -> None:
    shard = open_shards(client, stream)[0]
    low, high = (int(shard["HashKeyRange"][end]) for end in ("StartingHashKey", "EndingHashKey"))
    client.split_shard(StreamName=stream, ShardToSplit=shard["ShardId"], NewStartingHashKey=str((low + high) // 2))
    server.settle(stream)


def merge(server: KinesisServer, client: Any, stream: str) -> None:
    one, other = sorted(open_shards(client, stream), key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))[:2]
    client.merge_shards(StreamName=stream, ShardToMerge=one["ShardId"], AdjacentShardToMerge=other["ShardId"])
    server.settle(stream)


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("kind", ["lmdb", "postgres"])
def test_every_key_is_exact_after_splits_merges_kills_and_stops(
    kinesis_server: KinesisServer, postgres_server: PostgresServer, tmp_path: Path, kind: str
) -> None:
    """Order is checked by `update`, which fails on a message that does not follow; a process that fails ends, and the test with it."""
    client, stream = kinesis_server.client(), f"orders_{kind}"
    kinesis_server.create(stream, 3)
    where = str(tmp_path / "s") if kind == "lmdb" else f"{postgres_server.dsn} {postgres_server.fresh_schema()}"
    writer = Writer(client, stream)
    writer.put(10)
    script = Path(__file__).with_name("kinesis_worker.py")
    with open_store(where) as store, workers(script, [kinesis_server.url, stream, where], 3) as crew:
        crew.wait(lambda: min(lasts(store, KEYS).values()) >= 0)
        for act in (crew.kill_one, lambda: split(kinesis_server, client, stream), crew.stop_one, crew.kill_one):
            act()
            writer.put(10)
        crew.wait(lambda: min(lasts(store, KEYS).values()) == writer.number - 1)  # the one that is stopped was replaced
        crew.go_on()
        second = (crew.kill_one, lambda: merge(kinesis_server, client, stream), crew.kill_one, crew.stop_one)
        for act in second if kind == "lmdb" else second[1:2]:
            writer.put(10)
            act()
        split(kinesis_server, client, stream)
        writer.put(10)
        crew.go_on()
        crew.wait(lambda: min(lasts(store, KEYS).values()) == writer.number - 1)
        crew.close()
        assert lasts(store, KEYS) == dict.fromkeys(KEYS, writer.number - 1)
        assert (crew.kills, crew.stops) == ((4, 2) if kind == "lmdb" else (2, 1))
