"""Checking a store before a deploy: a class that was changed without a new schema is noticed, with its fields and a verdict."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers


@gs.name("State")
@dataclass(frozen=True)
class Old:
    count: int = 0
    names: tuple[str, ...] = ()


@gs.name("State")
@dataclass(frozen=True)
class Grown:
    count: int = 0
    names: tuple[str, ...] = ()
    extra: dict[str, int] = field(default_factory=dict)


@gs.name("State")
@dataclass(frozen=True)
class Risky:
    count: float = 0
    names: tuple[str, ...] = ()


@gs.name("State")
@dataclass(frozen=True)
class Renamed:
    count: int = 0
    titles: tuple[str, ...] = ()


@gs.name("Add")
@dataclass(frozen=True)
class Add:
    by: int


@gs.name("Add")
@dataclass(frozen=True)
class AddFloat:
    by: float


def program(model: Any, message: Any = Add, **options: Any) -> gs.Program[Any, Any]:
    """Return a program with these types."""

    def update(state: Any, msg: Any) -> Any:
        return model(state.count + msg.by), ()

    update.__annotations__ = {"state": model, "msg": message}
    return gs.Program(lambda: (model(), ()), update, **options)


@pytest.fixture
def lived(tmp_path: Path) -> Iterator[gs.LMDBStore]:
    """A store with a journalled program, of which two snapshots are kept, an aggregate, and something that is another's."""
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        journal = store.journal("bot", of=Add)
        journal.put(Add(1), Add(2), Add(3))
        journal.close()
        gs.run(program(Old), journal, store=store, key="bot", snapshots=gs.Snapshots(every=2))
        gs.aggregate(program(Old), [Add(5)], store=store, key="other")
        store.store({"user's": gs.Write(b"bytes", 0)})
        yield store


def test_the_same_program_finds_nothing(lived: gs.LMDBStore) -> None:
    """What today's types have stored is all read, kept snapshots and messages included, and nothing is found."""
    watched: list[int] = []
    assert gs.check_store(program(Old), lived, watch=watched.append) == (3, 3, ())
    assert watched[-1] == 6


@pytest.mark.parametrize(
    ("changed", "verdict", "place"),
    [(Grown, "fine", "extra"), (Risky, "risky", "count"), (Renamed, "impossible", "names")],
)
def test_a_changed_class_is_noticed(lived: gs.LMDBStore, changed: Any, verdict: str, place: str) -> None:
    """A model's class that was changed has a verdict for each field, and the number of snapshots it is true of."""
    found = gs.check_store(program(changed), lived)
    assert (verdict, "bot", place, 3) in {(f.verdict, f.key, f.field, f.records) for f in found.findings}
    assert found.ok == (verdict == "fine")


def test_a_changed_message_is_noticed(lived: gs.LMDBStore) -> None:
    """A message's class that was changed is found in the journal, with the position that it begins at."""
    (found,) = gs.check_store(program(Old, AddFloat), lived).findings
    assert (found.verdict, found.position, found.field, found.records) == ("risky", 0, "by", 3)
    assert "messages from position 0 on: by: it was int and is float, 3 times" in str(found)


def test_a_missing_migration_is_found(lived: gs.LMDBStore) -> None:
    """A new schema without a migration cannot read what is there; with one there is nothing to find."""
    assert not gs.check_store(program(Renamed, schema=2), lived).ok
    migrated = program(Renamed, schema=2, migrations={1: lambda model: {"count": model["count"], "titles": model["names"]}})
    assert gs.check_store(migrated, lived).findings == ()


def test_a_risky_change_warns_at_the_start(drivers: Drivers) -> None:
    """A program whose types may read a stored model as something else says so once, naming the field, and goes on."""
    store = gs.MemoryStore()
    drivers.aggregate(program(Old), [Add(1)], store=store, key="k")
    with pytest.warns(gs.TypesChanged, match=r"'k'.*count: it was int and is float \(risky\)"):
        result = drivers.aggregate(program(Risky), [Add(1)], store=store, key="k")
    assert result.model == Risky(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drivers.aggregate(program(Risky), [Add(1)], store=store, key="k")


def test_a_fine_change_is_silent(drivers: Drivers) -> None:
    """A field with a default may be added without a word, and the older program then refuses rather than erases it."""
    store = gs.MemoryStore()
    drivers.aggregate(program(Old), [Add(1)], store=store, key="k")
    drivers.aggregate(program(Grown), [Add(1)], store=store, key="k")
    with pytest.raises(gs.Incompatible, match="extra"):
        drivers.aggregate(program(Old), [Add(1)], store=store, key="k")


def test_a_keyed_program_warns_once(drivers: Drivers) -> None:
    """A thousand models of other types give one warning, not a thousand."""
    store, many = gs.MemoryStore(), [Add(number) for number in range(1000)]
    drivers.aggregate(program(Old), many, store=store, key=lambda msg: str(msg.by))
    with pytest.warns(gs.TypesChanged) as caught:
        drivers.aggregate(program(Risky), many, store=store, key=lambda msg: str(msg.by))
    assert len(caught) == 1


def test_a_journalled_program_warns(lived: gs.LMDBStore) -> None:
    """A durable run says that the messages of its journal may be read as something else."""
    journal = lived.journal("bot", of=AddFloat)
    journal.close()
    with pytest.warns(gs.TypesChanged, match=r"the journal 'bot'.*by: it was int and is float"):
        gs.run(program(Old, AddFloat), journal, store=lived, key="bot")


def test_a_migration_that_fails_is_a_finding(lived: gs.LMDBStore) -> None:
    """A migration that raises is told with the key, and the rest is checked."""
    broken = program(Renamed, schema=2, migrations={1: lambda model: {"count": model["nope"]}})
    found = gs.check_store(broken, lived)
    assert {(f.verdict, f.key, f.field, f.records) for f in found.findings} == {("impossible", "bot", "migrations", 3)}
    assert found.messages == 3
