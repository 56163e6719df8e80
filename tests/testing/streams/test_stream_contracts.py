"""The contracts of partitioned sources and holders, over what go_state has itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import postgres_server as servers
import pytest
from postgres_server import PostgresServer

import go_state as gs
from go_state.core.ports import Store
from go_state.testing import AsyncPartitionContract, HolderContract, PartitionContract, PartitionedLog
from go_state.testing.streams.log import AsyncLogSource

postgres_server = servers.postgres_server


class TestLog(PartitionContract):
    """The log in memory."""

    def setup_method(self) -> None:
        self.log: PartitionedLog[int] = PartitionedLog(2)

    def partitions(self) -> list[str]:
        return list(self.log.records)

    def put(self, partition: str, count: int) -> None:
        self.log.put(partition, *range(count))

    def source(self) -> Any:
        return self.log.source()


class TestLogOnALoop(AsyncPartitionContract):
    """The log in memory, on an event loop."""

    def setup_method(self) -> None:
        self.log: PartitionedLog[int] = PartitionedLog(2)

    def partitions(self) -> list[str]:
        return list(self.log.records)

    async def put_async(self, partition: str, count: int) -> None:
        self.log.put(partition, *range(count))

    def source_async(self) -> Any:
        return AsyncLogSource(self.log.source())


@pytest.mark.slow
class TestInMemory(HolderContract):
    """Histories on a MemoryStore."""

    def make(self) -> Store:
        return gs.MemoryStore()


@pytest.mark.slow
class TestOnLMDB(HolderContract):
    """Histories on LMDB."""

    seeds = (1, 2, 3)

    @pytest.fixture(autouse=True)
    def _folders(self) -> Iterator[None]:
        with ExitStack() as self.stack:
            yield

    def make(self) -> Store:
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        return gs.LMDBStore(Path(folder, "state.lmdb"))


@pytest.mark.slow
@pytest.mark.processes
class TestOnPostgres(HolderContract):
    """Histories on Postgres."""

    seeds = (1,)

    @pytest.fixture(autouse=True)
    def _server(self, postgres_server: PostgresServer) -> None:
        self.server = postgres_server

    def make(self) -> Store:
        return gs.PostgresStore(self.server.dsn, schema=self.server.fresh_schema())
