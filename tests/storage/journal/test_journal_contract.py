"""The journal keeps the contract of the buffer, with either durability."""

from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.testing import BufferContract


class TestJournal(BufferContract):
    durability: Any = "group"

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "journal.lmdb"

    def make(self) -> Any:
        self.store = gs.LMDBStore(self.path)
        return self.store.journal("messages", of=int | str, durability=self.durability)


class TestSyncedJournal(TestJournal):
    durability = "put"
