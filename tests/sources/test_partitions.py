"""Partitions from plain functions: a folder of files, a table by ranges."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import streams_support
from streams_support import TALLY, Add, Tally, key_of

import go_state as gs
from go_state.core.errors import BadRecord, SourceChanged
from go_state.testing import PartitionContract


class TestFunctions(PartitionContract):
    """It keeps what a partitioned source keeps."""

    def setup_method(self) -> None:
        self.lists: dict[str, list[int]] = {"a": [], "b": []}

    def partitions(self) -> list[str]:
        return list(self.lists)

    def put(self, partition: str, count: int) -> None:
        self.lists[partition] += range(count)

    def source(self) -> Any:
        return gs.sources.Partitions("lists", self.partitions, self.read, idle=0.05)

    def read(self, partition: str, after: int | None) -> list[tuple[int, int]]:
        begin = 0 if after is None else after + 1
        return list(enumerate(self.lists[partition]))[begin : begin + 500]


def folder_source(folder: Path, **options: Any) -> gs.sources.Partitions[Add]:
    """Return a source of which each file of a folder is a partition, read on from a byte."""

    def read(name: str, after: int | None) -> list[tuple[int, bytes]]:
        found, at = [], after or 0
        with open(folder / name, "rb") as file:
            file.seek(at)
            for line in file:
                at += len(line)
                found.append((at, line))
        return found

    def decode(line: bytes) -> Add:
        return Add(**json.loads(line))

    names = lambda: sorted(path.name for path in folder.glob("*.jsonl"))  # noqa: E731
    return gs.sources.Partitions("folder", names, read, decode=decode, ends=True, **options)


def test_each_file_of_a_folder_is_a_partition(tmp_path: Path) -> None:
    """What is appended later is read on from where it stopped, and a new file is a new partition."""
    (tmp_path / "a.jsonl").write_text('{"key":"a","n":0}\n{"key":"a","n":1}\n')
    store = gs.MemoryStore()
    first = gs.aggregate(TALLY, folder_source(tmp_path), store=store, key=key_of)
    assert (first.processed, first.position) == (2, {"a.jsonl": 36})
    with open(tmp_path / "a.jsonl", "a") as file:
        file.write('{"key":"a","n":2}\n')
    (tmp_path / "b.jsonl").write_text('{"key":"b","n":0}\n')
    second = gs.aggregate(TALLY, folder_source(tmp_path), store=store, key=key_of)
    assert second.processed == 2
    assert dict(second.models) == {"a": Tally(3, 2), "b": Tally(1, 0)}


def test_a_line_that_is_no_message_goes_to_on_error(tmp_path: Path) -> None:
    """As a record of a file does."""
    (tmp_path / "a.jsonl").write_text('no json\n{"key":"a","n":0}\n')
    with pytest.raises(BadRecord, match=r"record 8 of folder/a.jsonl: decoding it raised JSONDecodeError"):
        gs.aggregate(TALLY, folder_source(tmp_path), store=gs.MemoryStore(), key=key_of)
    result = gs.aggregate(TALLY, folder_source(tmp_path), store=gs.MemoryStore(), key=key_of, on_error=gs.SetAside())
    assert [failed.message for failed in result.set_aside] == [b"no json\n"]


def test_a_partition_that_is_another_raises(tmp_path: Path) -> None:
    """If it is described otherwise than before, nothing is read."""
    (tmp_path / "a.jsonl").write_text('{"key":"a","n":0}\n')
    store = gs.MemoryStore()
    gs.aggregate(TALLY, folder_source(tmp_path, fingerprint=lambda _: "one"), store=store, key=key_of)
    with pytest.raises(SourceChanged, match=r"folder/a\.jsonl"):
        gs.aggregate(TALLY, folder_source(tmp_path, fingerprint=lambda _: "two"), store=store, key=key_of)


def test_a_table_by_shops() -> None:
    """A partition that is not named any more is saved and let go of, and another one is claimed."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE sales (id INTEGER PRIMARY KEY, shop TEXT, n INTEGER)")
    db.executemany("INSERT INTO sales (shop, n) VALUES (?, ?)", [(f"s{i % 3}", i // 3) for i in range(30)])
    shops = ["s0", "s1"]

    def read(shop: str, after: int | None) -> list[tuple[int, Add]]:
        rows = db.execute("SELECT id, n FROM sales WHERE shop = ? AND id > ? ORDER BY id LIMIT 4", (shop, after or 0))
        return [(number, Add(shop, n)) for number, n in rows]

    def named() -> list[str]:
        found = list(shops)
        shops[:] = ["s1", "s2"]
        return found

    source = gs.sources.Partitions("sales", named, read, idle=1e-6, ends=True)
    result = gs.aggregate(TALLY, source, store=gs.MemoryStore(), key=key_of)
    assert {shop: model.count for shop, model in result.models.items() if shop != "s0"} == {"s1": 10, "s2": 10}
    db.close()


def test_functions_are_checked() -> None:
    """What is no function, and names that are no text, are errors that say so."""
    with pytest.raises(gs.UsageError, match="read is a function"):
        gs.sources.Partitions("x", list, [])  # type: ignore[arg-type]
    with pytest.raises(gs.UsageError, match="idle"):
        gs.sources.Partitions("x", list, lambda *_: [], idle=0)
    numbers: Any = gs.sources.Partitions("x", lambda: [1], lambda *_: [])  # type: ignore[list-item]
    with pytest.raises(gs.UsageError, match="names, which are strings"):
        gs.aggregate(TALLY, numbers, store=gs.MemoryStore(), key=key_of)


def test_it_is_read_on_an_event_loop(tmp_path: Path) -> None:
    """In a thread of its own."""
    (tmp_path / "a.jsonl").write_text('{"key":"a","n":0}\n')
    result = streams_support.WAYS[1].aggregate(TALLY, folder_source(tmp_path), store=gs.MemoryStore())
    assert result.models["a"] == Tally(1, 0)
