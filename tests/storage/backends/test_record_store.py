"""A store of records over a backend that is a dict: what it makes of transactions, whatever lies below."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import go_state as gs
from go_state.storage.backends.record_store import RecordStore
from go_state.storage.records.backend import Backend, Space, Transaction


class Lease:
    """One that is always free."""

    token = b""

    def acquire(self, *how: Any) -> bool:
        return True

    def release(self) -> None: ...


class DictTransaction:
    """A transaction over a copy of the records."""

    def __init__(self, records: dict[bytes, bytes], number: int) -> None:
        self.records, self.number, self.announced = dict(records), number, list[str]()

    def id(self) -> int:
        return self.number

    def get(self, name: bytes) -> bytes | None:
        return self.records.get(name)

    def beginning(self, name: bytes) -> bytes | None:
        return self.records.get(name)

    def get_many(self, names: Collection[bytes]) -> dict[bytes, bytes]:
        return {name: self.records[name] for name in names if name in self.records}

    def at_or_before(self, name: bytes, most: int | None = None) -> tuple[bytes, bytes] | None:
        found = [each for each in sorted(self.records) if each <= name]
        return (found[-1], self.records[found[-1]][:most]) if found else None

    def names(self, prefix: bytes) -> list[bytes]:
        return [name for name in sorted(self.records) if name.startswith(prefix)]

    def items(self, prefix: bytes, since: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return iter([(name, self.records[name]) for name in self.names(prefix) if name >= since])

    def put(self, name: bytes, record: bytes) -> None:
        self.records[name] = record

    def delete(self, name: bytes) -> None:
        self.records.pop(name, None)

    def delete_range(self, first: bytes, end: bytes) -> None:
        for name in [each for each in self.records if first <= each < end]:
            del self.records[name]

    def announce(self, journal: str) -> None:
        self.announced.append(journal)


class DictBackend:
    """Records in a dict."""

    where = "a dict"

    def __init__(self) -> None:
        self.records: dict[bytes, bytes] = {}
        self.number, self.released, self.in_parent = 0, 0, False

    @contextmanager
    def transaction(self, *, write: bool = False, of: Collection[bytes] | None = None) -> Iterator[Transaction]:
        self.check_usable()
        self.number += write
        transaction = DictTransaction(self.records, self.number)
        yield transaction
        if write:
            self.records = transaction.records

    def check_usable(self) -> None:
        if self.released:
            raise gs.errors.StoreUnavailable("closed")

    def check_not_own(self, path: Any) -> None: ...

    def check_damage(self) -> None: ...

    def sizes(self) -> Iterator[tuple[bytes, int]]:
        return iter([(name, len(self.records[name])) for name in sorted(self.records)])

    def space(self) -> Space:
        return Space(sum(size for _, size in self.sizes()), None, None, None, None)

    def compact(self) -> None: ...

    def backup(self, path: str) -> None: ...

    def lease(self, journal: str) -> Lease:
        return Lease()

    def follow(self, journal: str, grown: Callable[[], object]) -> Callable[[], object]:
        return lambda: None

    def release(self) -> None:
        self.released += 1

    def after_fork_in_child(self) -> None:
        self.in_parent = True


@pytest.fixture
def backend() -> Backend:
    return DictBackend()


def test_a_model_is_fenced(backend: DictBackend) -> None:
    """A write names the version it expects, and a transaction that fails leaves nothing."""
    with RecordStore(backend) as store:
        versions = store.store({"a": gs.abc.Write(b"1", 0)})
        with pytest.raises(gs.Conflict):
            store.store({"b": gs.abc.Write(b"2", 0), "a": gs.abc.Write(b"3", 0)})
        assert store.load("a") == gs.abc.Stored(b"1", versions["a"])
        assert list(store.keys()) == ["a"]


def test_a_program_runs_on_any_backend(backend: DictBackend) -> None:
    """Messages are journalled, snapshots kept as keyframes, and the run goes on from them."""
    program = gs.reducer(int, lambda model, message: model + message)
    program = gs.Program(program.init, _update, name="sum")
    for _ in range(2):
        with RecordStore(backend) as store:
            journal = store.journal("sum", of=int)
            journal.put(1, 2, 3)
            journal.close()
            gs.run(program, journal, store=store, key="sum", snapshots=gs.Snapshots(every=2, keep=2))
            assert store.journal_names() == ["sum"]
            assert store.keyframes("sum")
        backend.released = 0
    with RecordStore(backend) as store:
        assert gs.replay(program, store.journal("sum", of=int)) == 12


def _update(model: int, message: int) -> gs.Step[int, int]:
    return model + message, ()


def test_the_backend_is_released_once_the_journals_have_ended(backend: DictBackend) -> None:
    """What was put is written before; also where a journal cannot be written."""
    store = RecordStore(backend)
    store.journal("j", of=int).put(1)
    store.close()
    assert backend.released == 1
    assert any(name.startswith(b"j/j\0b") for name in backend.records)


def test_a_forked_child_lets_go_of_the_backend_first(backend: DictBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the journals give back from then on is not the parent's."""
    store = RecordStore(backend)
    seen: list[bool] = []
    monkeypatch.setattr(store.journals, "leave_to_parent", lambda: seen.append(backend.in_parent))
    store.after_fork_in_child()
    assert seen == [True]


def test_a_store_is_restored_from_any_other(backend: DictBackend) -> None:
    """All that it held is gone, what the other held is there, and no version comes back."""
    other = DictBackend()
    with RecordStore(backend) as store, RecordStore(other) as source:
        store.store({"old": gs.abc.Write(b"1", 0)})
        was = source.store({"a": gs.abc.Write(b"2", 0), "b": gs.abc.Write(b"3", 0)})
        store.store({"a": gs.abc.Write(b"4", 0)})
        assert store.restore_from(source) == 2
        assert {key: stored.data for key, stored in store.snapshots()} == {"a": b"2", "b": b"3"}
        assert all(stored.version > was[key] for key, stored in store.snapshots())
        assert (store.info().keys, store.info().room) == (2, None)
