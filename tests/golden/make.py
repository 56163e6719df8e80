"""Make the golden stores that `tests/modes/test_golden_stores.py` reads: `python tests/golden/make.py` here, once.

Each store was written by the classes of its time, as they stand below. They are never made again: what a release has written
must be read by every later one.
"""

from __future__ import annotations

import datetime
import enum
import pathlib
import sys
from dataclasses import dataclass, field
from typing import Any

import go_state as gs


def account_1() -> tuple[gs.Program[Any, Any], list[Any]]:
    """Return the first program, whose balance is a float, and its messages."""

    @gs.stored_as("Account")
    @dataclass(frozen=True)
    class Account:
        balance: float = 0.0

    @gs.stored_as("Pay")
    @dataclass(frozen=True)
    class Pay:
        amount: float

    def update(model: Any, msg: Any) -> Any:
        return Account(model.balance + msg.amount), ()

    update.__annotations__ = {"model": Account, "msg": Pay}
    return gs.Program(lambda: (Account(), ()), update), [Pay(1.5), Pay(0.0), Pay(2.25)]


def account_2() -> tuple[gs.Program[Any, Any], list[Any]]:
    """Return the second, which counts cents."""

    @gs.stored_as("Account")
    @dataclass(frozen=True)
    class Account:
        cents: int = 0

    @gs.stored_as("Pay")
    @dataclass(frozen=True)
    class Pay:
        cents: int

    def update(model: Any, msg: Any) -> Any:
        return Account(model.cents + msg.cents), ()

    update.__annotations__ = {"model": Account, "msg": Pay}
    return gs.Program(lambda: (Account(), ()), update, schema=2), [Pay(100), Pay(250)]


def account_3() -> tuple[gs.Program[Any, Any], list[Any]]:
    """Return the third, which has owners and withdrawals."""

    @gs.stored_as("Account")
    @dataclass(frozen=True)
    class Account:
        cents: int = 0
        owner: str = "nobody"

    @gs.stored_as("Pay")
    @dataclass(frozen=True)
    class Pay:
        cents: int

    @gs.stored_as("Rename")
    @dataclass(frozen=True)
    class Rename:
        owner: str

    def update(model: Any, msg: Any) -> Any:
        if isinstance(msg, Rename):
            return Account(model.cents, msg.owner), ()
        return Account(model.cents + msg.cents, model.owner), ()

    update.__annotations__ = {"model": Account, "msg": Pay | Rename}
    return gs.Program(lambda: (Account(), ()), update, schema=3), [Pay(7), Rename("ann"), Pay(1)]


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Rooms(enum.Flag):
    HALL = 1
    STUDY = 2


def lamps() -> tuple[gs.Program[Any, Any], list[Any]]:
    """Return a program of the first release with an enum and a flag, whose names that did not store, and with times and floats."""

    @gs.stored_as("Lamps")
    @dataclass(frozen=True)
    class Lamps:
        colour: Colour = Colour.RED
        lit: Rooms = Rooms.HALL
        since: tuple[datetime.datetime, ...] = ()
        watts: dict[str, float] = field(default_factory=dict)

    @gs.stored_as("Switch")
    @dataclass(frozen=True)
    class Switch:
        colour: Colour
        at: datetime.datetime

    def update(model: Any, msg: Any) -> Any:
        return Lamps(msg.colour, Rooms.HALL | Rooms.STUDY, (*model.since, msg.at), {"hall": 5.0, "study": 2.5}), ()

    update.__annotations__ = {"model": Lamps, "msg": Switch}
    day = datetime.datetime(2024, 2, 29, 12, 30)
    zones = (datetime.UTC, datetime.timezone(datetime.timedelta(hours=5, minutes=30)), None)
    return gs.Program(lambda: (Lamps(), ()), update), [Switch(Colour.GREEN, day.replace(tzinfo=zone)) for zone in zones]


def make(path: pathlib.Path, program: gs.Program[Any, Any], messages: list[Any]) -> None:
    """Write a store with a journalled program that is saved at every second message, and with an aggregate."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("account", of=program.update.__annotations__["msg"])
        journal.give_type(program.update.__annotations__["msg"], program.schema)
        journal.put(*messages)
        journal.close()
        gs.run(program, journal, store=store, key="account", snapshots=gs.Snapshots(every=2, keep=9))
        gs.aggregate(program, messages, store=store, key="aggregate")
    for beside in path.parent.glob(f"{path.name}-*"):  # the lock and the lease
        beside.unlink()


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    for account in (account_1, account_2, account_3, lamps):
        target = here / f"{account.__name__}.lmdb"
        if target.exists():
            sys.exit(f"{target} is there, and golden")
        make(target, *account())
