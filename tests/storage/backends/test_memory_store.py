"""The store in memory keeps the contract."""

import pytest

import go_state as gs


class TestMemoryStore(gs.testing.StoreContract):
    """The contract, over a MemoryStore."""

    def make(self) -> gs.MemoryStore:
        return gs.MemoryStore()


def test_a_closed_store_is_refused() -> None:
    """After close every use says that the store is closed."""
    with gs.MemoryStore() as store:
        pass
    for use in (lambda: store.load("k"), lambda: store.store({}), lambda: store.keys()):
        with pytest.raises(gs.errors.StoreUnavailable, match="closed"):
            use()


def test_a_loaded_record_does_not_change() -> None:
    """What was loaded is a value: a later write does not change it."""
    store = gs.MemoryStore()
    version = store.store({"k": gs.abc.Write(b"1", 0)})["k"]
    loaded = store.load("k")
    store.store({"k": gs.abc.Write(b"2", version)})
    assert loaded == gs.abc.Stored(b"1", version)


def test_keys_are_those_at_the_call() -> None:
    """Keys that are added while the keys are gone through do not disturb it."""
    store = gs.MemoryStore()
    store.store({"a": gs.abc.Write(b"", 0), "b": gs.abc.Write(b"", 0)})
    keys = store.keys()
    store.store({"c": gs.abc.Write(b"", 0)})
    assert list(keys) == ["a", "b"]
