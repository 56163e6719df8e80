"""The contract of partitioned sources, over Kinesis. kinesalite stands for AWS here."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from kinesis_server import KinesisServer, kinesis_server
from tallies import Add, encoded

import go_state as gs
from go_state.testing.streams.partition_contract import PartitionContract

__all__ = ["kinesis_server"]

_numbers = itertools.count()


class TestKinesis(PartitionContract):
    """Two shards, each with the hash keys of its half."""

    @pytest.fixture(autouse=True)
    def _stream(self, kinesis_server: KinesisServer) -> None:
        self.name, self.client = f"contract_{next(_numbers)}", kinesis_server.client()
        kinesis_server.create(self.name, 2)
        self.shards = {
            each["ShardId"]: each["HashKeyRange"] for each in self.client.list_shards(StreamName=self.name)["Shards"]
        }

    def partitions(self) -> list[str]:
        return list(self.shards)

    def put(self, partition: str, count: int) -> None:
        key = self.shards[partition]["StartingHashKey"]
        for n in range(count):
            self.client.put_record(StreamName=self.name, PartitionKey="k", ExplicitHashKey=key, Data=encoded(partition, n))

    def source(self) -> Any:
        return gs.sources.Kinesis(self.name, Add, client=self.client)
