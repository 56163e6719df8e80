"""`HolderContract`: an aggregate of partitions over your store keeps its promises in histories with zombies, crashes and failing saves."""

from __future__ import annotations

from go_state.core.ports import Store
from go_state.testing.streams.histories import History


class HolderContract:
    """What an aggregate of a partitioned source keeps over any store; each history is on a fresh one.

    class TestMyStore(HolderContract):
        def make(self) -> MyStore:
            return MyStore(...)

    `seeds` are the histories that are played; a longer list finds more.
    """

    seeds: tuple[int, ...] = tuple(range(12))

    def make(self) -> Store:
        """Return a fresh, empty, open store."""
        raise NotImplementedError("a HolderContract says in make() how to open a fresh store")

    def test_histories(self) -> None:
        """Whatever happens to the members, each key has each of its messages once, in order, and no save takes a position back."""
        for seed in self.seeds:
            store = self.make()
            try:
                History(seed, store).play()
            finally:
                store.close()
