"""Where partitions are kept: all in one store, which every worker shares, or each in a store of its own, which moves with it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from go_state.core.errors import UsageError
from go_state.core.ports import Store
from go_state.core.program import Program
from go_state.modes.aggregate.position_record import this_process

T = TypeVar("T")
Model = TypeVar("Model")
Msg = TypeVar("Msg")


class Places(Protocol):
    """The stores of the partitions of one source."""

    @property
    def moves(self) -> bool:
        """Whether a partition has a store of its own, which is entered before it is looked at, and left."""
        ...

    def enter(self, partitions: Collection[str], holder: str, /) -> None:
        """Open the stores of those partitions that are not open; from here on no earlier holder's state is taken over by anybody."""
        ...

    def of(self, partition: str, /) -> Store:
        """Return the store of a partition that was entered."""
        ...

    def check(self, partition: str, /) -> None:
        """Raise `Conflict` if somebody else has claimed a partition that was entered, as far as that is not in its own store."""
        ...

    def leave(self, partition: str, /, *, is_saved: bool) -> None:
        """Close the store of a partition; if everything is saved in it, and there is time, for whoever has it next."""
        ...


@runtime_checkable
class StoreOfPartitions(Protocol):
    """A store that has one for each partition."""

    def of_source(self, names: Sequence[str], source: str, /) -> Places:
        """Return the stores of the partitions of a source that the program of these names reads."""
        ...


class Shared:
    """One store for all partitions."""

    moves = False

    def __init__(self, store: Store) -> None:
        self._store = store

    def enter(self, partitions: Collection[str], holder: str, /) -> None:
        """Do nothing: it is open."""

    def of(self, partition: str, /) -> Store:
        """Return the store."""
        return self._store

    def check(self, partition: str, /) -> None:
        """Do nothing: the claim is in the store."""

    def leave(self, partition: str, /, *, is_saved: bool) -> None:
        """Do nothing: the others are there as well."""


class Entered:
    """The places of one source, as whoever holds its partitions uses them."""

    def __init__(self, store: Store, names: Sequence[str], source: str) -> None:
        self._places: Places = store.of_source(names, source) if isinstance(store, StoreOfPartitions) else Shared(store)
        self.moves = self._places.moves
        self.of: Callable[[str], Store] = self._places.of
        self.check: Callable[[str], None] = self._places.check

    def enter(self, partitions: Collection[str]) -> None:
        """Open the stores of partitions that are about to be claimed."""
        self._places.enter(partitions, this_process())

    def leave(self, partition: str, *, is_saved: bool) -> None:
        """Close the store of a partition."""
        self._places.leave(partition, is_saved=is_saved)


def by_store(items: Iterable[T], store_of: Callable[[T], Store]) -> Iterable[tuple[Store, list[T]]]:
    """Return the items by the store that each is in."""
    found: dict[int, tuple[Store, list[T]]] = {}
    for item in items:
        store = store_of(item)
        found.setdefault(id(store), (store, []))[1].append(item)
    return found.values()


def check_follows_from_stream(program: Program[Model, Msg]) -> None:
    """Raise `UsageError` for a program whose model does not follow from the messages alone, which a state that moves has to."""
    if program.takes_turn:
        raise refused("its update takes the turn, whose time and chance are others when the message is read again")


def refused(why: str) -> UsageError:
    """Return the error for a program whose state cannot be copied and read on from."""
    return UsageError(
        f"a gs.CopiedStore is for models that follow from the stream alone, because the next holder of a partition reads again what came "
        f"after the last copy, and the model of this program does not: {why}; keep it in a gs.PostgresStore that all workers share"
    )
