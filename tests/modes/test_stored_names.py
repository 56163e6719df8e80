"""A class that is renamed or moved goes on from what it has stored, its sources' positions included."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers


@dataclass(frozen=True)
class Sale:
    shop: str
    cents: int


@dataclass(frozen=True)
class Shop:
    cents: int = 0


@gs.stored_as("New", was=("Shop",))
@dataclass(frozen=True)
class Renamed:
    cents: int = 0


@gs.stored_as("Newest", was=("New", "Shop"))
@dataclass(frozen=True)
class RenamedAgain:
    cents: int = 0


def summing(kind: Any) -> gs.Program[Any, Sale]:
    """Return a program whose model is of that class."""

    def sell(model: Any, msg: Sale) -> Any:
        return replace(model, cents=model.cents + msg.cents)

    sell.__annotations__["model"] = kind
    return gs.reducer(kind, sell)


@pytest.mark.parametrize("key", ["k", lambda sale: sale.shop], ids=["one", "keyed"])
def test_positions_follow_a_rename(drivers: Drivers, tmp_path: Path, key: str | Callable[[Sale], str]) -> None:
    """Renamed, and renamed again, a model counts only the rows that are new, and those once."""
    path, store, processed = tmp_path / "sales.csv", gs.MemoryStore(), []
    path.write_text("shop,cents\nnorth,100\nsouth,20\n")
    for kind in (Shop, Renamed, Renamed, RenamedAgain, RenamedAgain):
        source = gs.sources.CSV(path, Sale)
        processed.append(drivers.aggregate(summing(kind), source, store=store, key=key).processed)
        if len(processed) % 2 == 0:  # the second under a name, which the next of the same name reads
            with path.open("a") as file:
                file.write("north,3\n")
    assert processed == [2, 0, 1, 0, 1]
    models = [gs.load_model(summing(RenamedAgain), store=store, key=name) for name in ("k", "north", "south")]
    assert models == ([RenamedAgain(126), None, None] if key == "k" else [None, RenamedAgain(106), RenamedAgain(20)])


@pytest.mark.parametrize("key", ["k", lambda sale: sale.shop], ids=["one", "keyed"])
def test_positions_skip_a_name(drivers: Drivers, tmp_path: Path, key: str | Callable[[Sale], str]) -> None:
    """Of the marks that were stored under several earlier names, the newest counts."""
    path, store, processed = tmp_path / "sales.csv", gs.MemoryStore(), []
    path.write_text("shop,cents\n")
    for kind in (Shop, Renamed, RenamedAgain):
        with path.open("a") as file:
            file.write("north,1\n")
        processed.append(drivers.aggregate(summing(kind), gs.sources.CSV(path, Sale), store=store, key=key).processed)
    assert processed == [1, 1, 1]
    name = key if isinstance(key, str) else "north"
    assert gs.load_model(summing(RenamedAgain), store=store, key=name) == RenamedAgain(3)


MODULE = """
from dataclasses import dataclass
import go_state as gs

@dataclass(frozen=True)
class On:
    n: int = 0

@dataclass(frozen=True)
class Off:
    n: int = 0

def flip(model: On | Off, msg: int) -> On | Off:
    return (Off if isinstance(model, On) else On)(model.n + msg)

def note(model: dict[str, On | Off | None], msg: int) -> dict[str, On | Off | None]:
    return {**model, str(msg): On(msg)}

switch, notes = gs.reducer(Off, flip), gs.reducer(dict, note)
"""


@pytest.fixture
def moved() -> Iterator[tuple[ModuleType, ModuleType]]:
    """Give two modules of the same contents, before and after the move."""
    modules = ModuleType("go_state_test_before"), ModuleType("go_state_test_after")
    for module in modules:
        sys.modules[module.__name__] = module
        exec(MODULE, vars(module))
    yield modules
    for module in modules:
        del sys.modules[module.__name__]


@pytest.mark.parametrize("program", ["switch", "notes"])
def test_a_union_model_is_named_without_modules(moved: tuple[ModuleType, ModuleType], program: str) -> None:
    """A model whose type is a union, or holds one, goes on when its classes have moved to another module."""
    store, (before, after) = gs.MemoryStore(), moved
    gs.aggregate(getattr(before, program), [1], store=store, key="k")
    stored = store.load("k")
    assert stored is not None
    assert before.__name__.encode() not in stored.data
    model = gs.aggregate(getattr(after, program), [2], store=store, key="k").model
    assert model == (after.Off(3) if program == "switch" else {"1": after.On(1), "2": after.On(2)})
