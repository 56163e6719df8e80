"""The store in a Postgres database keeps the contract of stores, and its journal that of buffers."""

from __future__ import annotations

from typing import Any

import postgres_server as servers
import pytest
from postgres_server import PostgresServer

import go_state as gs

postgres_server = servers.postgres_server


class TestPostgresStore(gs.testing.StoreContract):
    """The contract, over a PostgresStore."""

    @pytest.fixture(autouse=True)
    def _server(self, postgres_server: PostgresServer) -> None:
        self.server = postgres_server

    def make(self) -> gs.PostgresStore:
        return gs.PostgresStore(self.server.dsn, schema=self.server.fresh_schema())


class TestPostgresJournal(gs.testing.BufferContract):
    durability: Any = "group"

    @pytest.fixture(autouse=True)
    def _server(self, postgres_server: PostgresServer) -> Any:
        self.server = postgres_server
        self.stores: list[gs.PostgresStore] = []
        yield
        for store in self.stores:
            store.close()

    def make(self) -> Any:
        store = gs.PostgresStore(self.server.dsn, schema=self.server.fresh_schema())
        self.stores.append(store)
        return store.journal("messages", of=int | str, durability=self.durability)


class TestSyncedPostgresJournal(TestPostgresJournal):
    durability = "put"
