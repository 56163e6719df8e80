"""Golden stores: files that older programs have written are read by today's, through its migrations, whatever has changed since.

`tests/golden/make.py` says how they were made.
"""

from __future__ import annotations

import datetime as dt
import enum
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class Account:
    """The account of schema 4: its class has moved here from another module."""

    cents: int = 0
    holder: str = "nobody"


@dataclass(frozen=True)
class Pay:
    cents: int


@gs.stored_as("Renamed", was=("Rename",))
@dataclass(frozen=True)
class Renamed:
    owner: str


def update(model: Account, msg: Pay | Renamed) -> gs.Step[Account, Pay | Renamed]:
    match msg:
        case Pay(cents):
            return Account(model.cents + cents, model.holder), ()
        case Renamed(owner):
            return Account(model.cents, owner), ()


def pay_in_cents(message: list[Any]) -> list[Any]:
    return ["Pay", {"cents": round(message[1]["amount"] * 100)}]


MIGRATIONS: dict[int, Any] = {
    1: gs.Migration(model=lambda model: {"cents": round(model["balance"] * 100)}, message=pay_in_cents),
    2: lambda model: {**model, "owner": "nobody"},
    3: lambda model: {"cents": model["cents"], "holder": model["owner"]},
}
program: gs.Program[Account, Pay | Renamed] = gs.Program(lambda: (Account(), ()), update, schema=4, migrations=MIGRATIONS)
REACHED = {1: Account(375), 2: Account(350), 3: Account(8, "ann")}


@pytest.fixture(params=REACHED)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[int, Path]:
    """A copy of each golden store, and the schema of the program that wrote it."""
    shutil.copy(GOLDEN / f"account_{request.param}.lmdb", tmp_path / "account.lmdb")
    return request.param, tmp_path / "account.lmdb"


def test_every_generation_is_read(golden: tuple[int, Path]) -> None:
    """Models, kept snapshots and messages of every older schema are today's, at every position."""
    schema, path = golden
    with gs.LMDBStore(path) as store:
        journal = store.journal("account")
        assert gs.load_model(program, store=store, key="aggregate") == REACHED[schema]
        assert gs.replay(program, journal) == REACHED[schema]
        assert gs.replay(program, journal, until=0) == Account()
        assert gs.verify(program, journal).ok
        checked = gs.check_store(program, store)
        assert (checked.ok, checked.snapshots >= 3, checked.messages) == (True, True, journal.statistics().end)


@pytest.mark.slow
def test_every_generation_goes_on(golden: tuple[int, Path], drivers: Drivers) -> None:
    """Today's program goes on from each of them, stores its own beside what is there, and reads it all."""
    schema, path = golden
    for times in (1, 2):
        with gs.LMDBStore(path) as store:
            journal = store.journal("account")
            journal.kind.set(Pay | Renamed, program.schema, MIGRATIONS and program.migrations)  # type: ignore[arg-type]
            journal.put(Pay(1))
            journal.close()
            model = drivers.run(program, journal, store=store, key="account", snapshots=gs.Snapshots(every=1))
            assert model.cents == REACHED[schema].cents + times
    with gs.LMDBStore(path) as store:
        assert gs.verify(program, store.journal("account")).ok


def test_the_golden_stores_are_as_they_were_written() -> None:
    """The script that made them makes no others in their place."""
    done = subprocess.run([sys.executable, str(GOLDEN / "make.py")], capture_output=True, text=True, check=False)
    assert (done.returncode, "golden" in done.stderr) == (1, True)


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Rooms(enum.Flag):
    HALL = 1
    STUDY = 2


class FewerColours(enum.Enum):
    RED = 1


class Swapped(enum.Enum):
    GREEN = 1
    RED = 2


def lamps(colours: Any) -> gs.Program[Any, Any]:
    """Return the program of the lamps of the first release, with these colours."""
    model = make_dataclass(
        "Lamps",
        [
            ("colour", colours, colours.RED),
            ("lit", Rooms, Rooms.HALL),
            ("since", tuple[dt.datetime, ...], ()),
            ("watts", dict[str, float], None),
        ],
        frozen=True,
    )
    switch = make_dataclass("Switch", [("colour", colours), ("at", dt.datetime)], frozen=True)

    def switched(lamps: Any, msg: Any) -> Any:
        return model(msg.colour, Rooms.HALL | Rooms.STUDY, (*lamps.since, msg.at), {"hall": 5.0, "study": 2.5}), ()

    switched.__annotations__ = {"lamps": model, "msg": switch}
    return gs.Program(lambda: (model(watts={}), ()), switched)


@pytest.fixture
def first_lamps(tmp_path: Path) -> Iterator[gs.LMDBStore]:
    """A copy of the lamps of the first release, which described an enum by its values alone."""
    shutil.copy(GOLDEN / "lamps.lmdb", tmp_path / "lamps.lmdb")
    with gs.LMDBStore(tmp_path / "lamps.lmdb") as store:
        yield store


def test_values_and_descriptions_of_the_first_release_are_read(first_lamps: gs.LMDBStore) -> None:
    """Times, floats, enums and flags are what they were, and a description without names is no change."""
    model = gs.load_model(lamps(Colour), store=first_lamps, key="aggregate")
    day = dt.datetime(2024, 2, 29, 12, 30)
    since = (day.replace(tzinfo=dt.UTC), day.replace(tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))), day)
    assert repr((model.lit, model.since, model.watts)) == repr((Rooms.HALL | Rooms.STUDY, since, {"hall": 5.0, "study": 2.5}))
    assert model.colour is Colour.GREEN
    assert gs.verify(lamps(Colour), first_lamps.journal("account")).ok
    assert gs.check_store(lamps(Colour), first_lamps)[1:] == (3, ())


@pytest.mark.parametrize(("colours", "ok"), [(FewerColours, False), (Swapped, True)])
def test_a_description_of_the_first_release_tells_of_values_alone(first_lamps: gs.LMDBStore, colours: Any, ok: bool) -> None:
    """A value that is gone is found, as before; that the names of two were swapped, it cannot tell."""
    assert gs.check_store(lamps(colours), first_lamps).ok is ok
