"""The contract of partitioned sources, over the subjects of a JetStream stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nats
import pytest
from nats_server import NatsServer
from tallies import Add, encoded

import go_state as gs
from go_state.testing import AsyncPartitionContract

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    server = NatsServer()
    server.start()
    yield server
    server.remove()


class TestJetStream(AsyncPartitionContract):
    """Two subjects of one stream."""

    @pytest.fixture(autouse=True)
    def _server(self, server: NatsServer) -> None:
        self.server = server

    async def begin(self) -> None:
        self.client: Any = await nats.connect(self.server.url)
        self.js = self.client.jetstream()
        await self.js.add_stream(name="CONTRACT", subjects=["contract.>"])

    async def end(self) -> None:
        await self.js.delete_stream("CONTRACT")
        await self.client.close()

    def partitions(self) -> list[str]:
        return ["contract.0.>", "contract.1.>"]

    async def put_async(self, partition: str, count: int) -> None:
        for n in range(count):
            await self.js.publish(partition.replace(">", "k"), encoded(partition, n))

    def source_async(self) -> Any:
        return gs.sources.JetStream(
            "CONTRACT", Add, client=self.client, subjects=self.partitions(), share=gs.Leases(seconds=30)
        )  # longer than a busy machine stands still
