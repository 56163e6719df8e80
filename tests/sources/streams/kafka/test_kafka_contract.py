"""A topic of a real Kafka keeps what every source of partitions keeps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from kafka_server import KafkaServer
from sources.streams.kafka.support import QUICK, Add, record

import go_state as gs
from go_state.testing import PartitionContract

_numbers = count()


@pytest.mark.slow
class TestKafka(PartitionContract):
    @pytest.fixture(autouse=True)
    def _topic(self, kafka_server: KafkaServer) -> None:
        self.server = kafka_server
        self.topic = f"contract-{next(_numbers)}"
        self.counts = dict.fromkeys(self.partitions(), 0)
        kafka_server.create(self.topic, 2)

    def partitions(self) -> Sequence[str]:
        return ["0", "1"]

    def put(self, partition: str, count: int) -> None:
        begin = self.counts[partition]
        self.counts[partition] += count
        self.server.put(self.topic, *(record(partition, n, int(partition)) for n in range(begin, begin + count)))

    def source(self) -> Any:
        return gs.sources.Kafka(self.topic, Add, group=self.topic, servers=self.server.servers, settings=QUICK)
