"""Checking a store before a deploy: a class that was changed without a new schema is noticed, with its fields and a verdict."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Union

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers


@gs.stored_as("State")
@dataclass(frozen=True)
class Old:
    count: int = 0
    names: tuple[str, ...] = ()


@gs.stored_as("State")
@dataclass(frozen=True)
class Grown:
    count: int = 0
    names: tuple[str, ...] = ()
    extra: dict[str, int] = field(default_factory=dict)


@gs.stored_as("State")
@dataclass(frozen=True)
class Risky:
    count: float = 0
    names: tuple[str, ...] = ()


@gs.stored_as("State")
@dataclass(frozen=True)
class Renamed:
    count: int = 0
    titles: tuple[str, ...] = ()


@gs.stored_as("Add")
@dataclass(frozen=True)
class Add:
    by: int


@gs.stored_as("Add")
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
    assert gs.check_store(program(Old), lived, progress=watched.append) == (3, 3, ())
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
    assert {(f.verdict, f.key, f.field, f.records) for f in found.findings} == {("impossible", "bot", "model", 3)}
    assert "its migration from schema 1 to 2 raised KeyError" in found.findings[0].why
    assert found.messages == 3


# ---------------------------------------------------------------- what could not be matched


@dataclass(frozen=True)
class Tally:
    count: int = 0
    names: tuple[str, ...] = ()


@gs.stored_as("Add")
@dataclass(frozen=True)
class AddName:
    name: str


@dataclass(frozen=True)
class Say:
    text: str


def test_a_renamed_class_is_impossible(lived: gs.LMDBStore) -> None:
    """A model's class that has another name and no `was` is found, under each key, though not one snapshot was read."""
    found = gs.check_store(program(Tally), lived)
    assert not found.ok
    assert (found.findings[0].verdict, found.findings[0].field, found.findings[0].records) == (
        "impossible",
        "schema name",
        3 - 1,
    )
    assert "it is 'State', and the program's is 'Tally'" in found.findings[0].why
    with pytest.raises(gs.Incompatible):
        gs.run(program(Tally), store=lived, key="bot")


def test_a_key_whose_journal_holds_the_programs_messages_is_the_programs(lived: gs.LMDBStore) -> None:
    """A snapshot of another name beside a journal of the program's messages is its own, also where others were read."""
    gs.aggregate(program(Tally), [Add(1)], store=lived, key="new")
    found = gs.check_store(program(Tally), lived)
    assert {(f.verdict, f.key) for f in found.findings} == {("impossible", "bot"), ("other", "other")}


def test_what_is_another_programs_is_told_and_harmless(lived: gs.LMDBStore) -> None:
    """A store of several programs is checked for each; what is the others' is told, and no reason to stop."""

    def talk(model: str, msg: Say) -> gs.Step[str, Say]:
        return model + msg.text, ()

    with gs.start(gs.Program(lambda: ("", ()), talk, name="talk"), store=lived, key="talk") as app:
        app.apply(Say("hello"))
    found = gs.check_store(program(Old), lived)
    assert found.ok
    assert [(f.verdict, f.key) for f in found.findings] == [("other", "talk")]


def test_a_journal_without_a_snapshot_is_read(tmp_path: Path) -> None:
    """Messages that were put before any program has run are checked like all others."""
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        store.journal("bot", of=Add).put(Add(1))
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        assert gs.check_store(program(Old, AddFloat), store).messages == 1
        assert not gs.check_store(program(Old, AddFloat), store).ok


@pytest.mark.parametrize(
    ("written", "message", "found"),
    [
        (Add, Add(1), []),
        (AddFloat, AddFloat(1), ["risky"]),
        (AddName, AddName("a"), ["impossible"]),
        (Say, Say("a"), ["other"]),
    ],
)
def test_a_journal_that_no_snapshot_belongs_to_is_not_passed_over(
    lived: gs.LMDBStore, written: Any, message: Any, found: list[str]
) -> None:
    """Where one of its classes is the program's it is read; else it is told of, since nobody knows whose it is."""
    with lived.journal("alone", of=written) as journal:
        journal.put(message)
    findings = gs.check_store(program(Old), lived).findings
    assert sorted({finding.verdict for finding in findings if finding.key == "alone"}) == found


def test_what_was_set_aside_is_not_counted_as_impossible(tmp_path: Path) -> None:
    """A message that no run will read is none that has to be readable, and those that have to be are counted one by one."""
    with gs.LMDBStore(tmp_path / "s.lmdb") as store, store.journal("bot", of=Add | Say) as journal:
        journal.put(Add(1), Say("a"), Say("b"), Add(2))
        journal.skip(1)
        journal.flush()
        found = [f for f in gs.check_store(program(Old), store).findings if f.verdict == "impossible"]
        assert [(f.position, f.field, f.records) for f in found] == [(2, "message", 1)]


def test_what_is_true_of_many_messages_is_one_finding(lived: gs.LMDBStore) -> None:
    """A journal of a class that is gone gives one finding with their number, however many there are."""
    with gs.start(program(Old), store=lived, key="bot") as app:
        for number in range(20):
            app.apply(Add(number), timeout=10)
    found = [f for f in gs.check_store(program(Old, Say), lived).findings if f.field == "message"]
    assert [(f.verdict, f.position, f.records) for f in found] == [("impossible", 0, 23)]


def test_the_order_of_a_unions_members_is_no_change(drivers: Drivers) -> None:
    """A model that is one of several classes is read whichever is written first, and under names that they had before."""
    store = gs.MemoryStore()

    def keeping(*members: Any) -> gs.Program[Any, Any]:
        def update(state: Any, msg: Any) -> Any:
            return state, ()

        update.__annotations__ = {"state": Union[members], "msg": Add}
        return gs.Program(lambda: (Tally(1), ()), update)

    drivers.aggregate(keeping(Tally, Old), [Add(1)], store=store, key="k")
    again = gs.stored_as("Count", was=("Tally",))(dataclass(frozen=True)(type("Count", (Tally,), {})))
    for program_ in (keeping(Old, Tally), keeping(Old, again)):
        assert gs.check_store(program_, store) == (1, 0, ())
    assert drivers.aggregate(keeping(Old, Tally), [], store=store, key="k").model == Tally(1)


# ---------------------------------------------------------------- what is impossible does not go on


@gs.stored_as("State")
@dataclass(frozen=True)
class Nested:
    cards: tuple[Old, ...] = ()


@gs.stored_as("State")
@dataclass(frozen=True)
class NestedRenamed:
    cards: tuple[Renamed, ...] = ()


def test_an_impossible_change_stops_a_model_that_shows_nothing_of_it(drivers: Drivers) -> None:
    """A model that happens to hold none of a changed class is refused all the same: what it wrote next could not be told apart."""
    store = gs.MemoryStore()

    def keep(kind: Any) -> gs.Program[Any, Any]:
        def update(state: Any, msg: Any) -> Any:
            return state, ()

        update.__annotations__ = {"state": kind, "msg": Add}
        return gs.Program(lambda: (kind(), ()), update)

    drivers.aggregate(keep(Nested), [Add(1)], store=store, key="k")
    before = store.load("k")
    for _ in range(2):
        with pytest.raises(gs.Incompatible, match=r"cards\[\]\.names: .*removed or has another name.*schema= and migrations="):
            drivers.aggregate(keep(NestedRenamed), [Add(1)], store=store, key="k")
    assert store.load("k") == before


@gs.stored_as("Add")
@dataclass(frozen=True)
class AddMore:
    amount: int


def test_an_impossible_change_of_a_message_stops_the_program(tmp_path: Path) -> None:
    """A durable program whose messages have other fields than those on disk ends before its first turn, though all are processed."""
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        with gs.start(program(Old), store=store, key="bot") as app:
            app.apply(Add(1))
        end = store.journal("bot").statistics().end

        def more(state: Old, msg: AddMore) -> gs.Step[Old, AddMore]:
            return Old(state.count + msg.amount), ()

        with (
            pytest.raises(gs.Incompatible, match=r"'bot'.*by: .*removed"),
            gs.start(gs.Program(lambda: (Old(), ()), more), store=store, key="bot") as app,
        ):
            app.apply(AddMore(1))
        assert store.journal("bot").statistics().end == end


def test_a_writer_cannot_add_other_shapes_under_the_same_schema(tmp_path: Path) -> None:
    """Whoever only puts messages is stopped as well, and one that knows other classes of the journal is not."""
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        store.journal("bot", of=Add).put(Add(1))
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        store.journal("bot", of=Say).put(Say("x"))
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        store.journal("bot", of=Add | Say).put(Add(2))
    with pytest.raises(gs.Incompatible, match=r"by: .*removed"), gs.LMDBStore(tmp_path / "s.lmdb") as store:
        store.journal("bot", of=AddMore).put(AddMore(1))
    with gs.LMDBStore(tmp_path / "s.lmdb") as store:
        assert store.journal("bot").statistics().end == 3
