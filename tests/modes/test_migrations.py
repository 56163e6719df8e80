"""Migrations: what older programs have stored becomes what today's reads, or is refused with the field that does not fit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers


# ---------------------------------------------------------------- three generations of one program


@gs.stored_as("Account")
@dataclass(frozen=True)
class AccountV1:
    balance: float


@gs.stored_as("Pay")
@dataclass(frozen=True)
class PayV1:
    amount: float


@gs.stored_as("Account")
@dataclass(frozen=True)
class AccountV2:
    cents: int


@gs.stored_as("Pay")
@dataclass(frozen=True)
class PayV2:
    cents: int


@gs.stored_as("Account")
@dataclass(frozen=True)
class AccountV3:
    cents: int
    owner: str


def update1(model: AccountV1, msg: PayV1) -> gs.Step[AccountV1, PayV1]:
    return AccountV1(model.balance + msg.amount), ()


def update2(model: AccountV2, msg: PayV2) -> gs.Step[AccountV2, PayV2]:
    return AccountV2(model.cents + msg.cents), ()


def update3(model: AccountV3, msg: PayV2) -> gs.Step[AccountV3, PayV2]:
    return AccountV3(model.cents + msg.cents, model.owner), ()


def to_cents(model: dict[str, Any]) -> dict[str, Any]:
    return {"cents": round(model["balance"] * 100)}


def message_to_cents(message: list[Any]) -> list[Any] | None:
    return None if message[1]["amount"] == 0 else ["Pay", {"cents": round(message[1]["amount"] * 100)}]


ONE_TO_TWO = gs.Migration(model=to_cents, message=message_to_cents)
MIGRATIONS: dict[int, Any] = {1: ONE_TO_TWO, 2: lambda model: {**model, "owner": "nobody"}}

v1: gs.Program[Any, Any] = gs.Program(lambda: (AccountV1(0.0), ()), update1)
v2: gs.Program[Any, Any] = gs.Program(lambda: (AccountV2(0), ()), update2, schema=2, migrations={1: ONE_TO_TWO})
v3: gs.Program[Any, Any] = gs.Program(lambda: (AccountV3(0, ""), ()), update3, schema=3, migrations=MIGRATIONS)


def lived(drivers: Drivers, path: Path, program: gs.Program[Any, Any], kind: type, *messages: Any) -> Any:
    """Run the program over the messages, durably, and return its model."""
    with gs.LMDBStore(path) as store:
        journal = store.journal("account")
        journal.kind.set(kind, program.schema)
        journal.put(*messages)
        journal.close()
        return drivers.run(program, journal, store=store, key="account", snapshots=gs.Snapshots(every=2, keep=9))


def test_models_and_messages_go_through_every_migration(drivers: Drivers, tmp_path: Path) -> None:
    """A store of the first program is read by the third, snapshots and messages, and by each in between."""
    path = tmp_path / "account.lmdb"
    assert lived(drivers, path, v1, PayV1, PayV1(1.5), PayV1(0), PayV1(2.25)) == AccountV1(3.75)
    with gs.LMDBStore(path) as store:
        assert gs.load_model(v3, store=store, key="account") == AccountV3(375, "nobody")
        assert gs.replay(v3, store.journal("account"), until=1) == AccountV3(150, "nobody")
    assert lived(drivers, path, v2, PayV2, PayV2(1)) == AccountV2(376)
    assert lived(drivers, path, v3, PayV2, PayV2(1)) == AccountV3(377, "nobody")
    with gs.LMDBStore(path) as store:
        assert gs.replay(v3, store.journal("account")) == AccountV3(377, "nobody")


def test_messages_keep_the_schema_they_were_written_in(drivers: Drivers, tmp_path: Path) -> None:
    """The journal of three generations is read whole; what a migration gives up is None."""
    path = tmp_path / "account.lmdb"
    lived(drivers, path, v1, PayV1, PayV1(1.5), PayV1(0))
    lived(drivers, path, v2, PayV2, PayV2(1))
    with gs.LMDBStore(path) as store:
        journal = store.journal("account")
        gs.replay(v3, journal)
        assert [recorded.message for recorded in journal.read()] == [PayV2(150), None, PayV2(1)]


def test_an_aggregate_migrates_its_model(drivers: Drivers) -> None:
    """A model that an older aggregate has stored is migrated, and stored anew."""
    store = gs.MemoryStore()
    drivers.aggregate(v1, [PayV1(1.5)], store=store, key="account")
    assert drivers.aggregate(v3, [PayV2(1)], store=store, key="account").model == AccountV3(151, "nobody")
    stored = store.load("account")
    assert stored is not None
    assert b'"schema":["Account",3]' in stored.data


def test_without_a_migration_the_field_is_named(drivers: Drivers) -> None:
    """A snapshot of an older schema that nothing migrates is refused, with the first field that does not fit."""
    store = gs.MemoryStore()
    drivers.aggregate(v1, [PayV1(1.5)], store=store, key="account")
    bare: gs.Program[Any, Any] = gs.Program(v2.init, update2, schema=2)
    with pytest.raises(gs.errors.Incompatible, match=r"no migration from 1.*`cents`|no migration from 1.*balance") as raised:
        drivers.aggregate(bare, [], store=store, key="account")
    assert raised.value.field == "schema number"


def test_the_older_program_refuses_what_the_newer_has_stored(drivers: Drivers, tmp_path: Path) -> None:
    """Rolling back does not erase: the older program stops before it has written anything."""
    path = tmp_path / "account.lmdb"
    lived(drivers, path, v3, PayV2, PayV2(5))
    with gs.LMDBStore(path) as store:
        before = store.load("account")
        with pytest.raises(gs.errors.Incompatible, match="of a newer program"):
            drivers.run(v1, store=store, key="account")
        assert store.load("account") == before


def test_a_message_that_a_migration_breaks_is_named(drivers: Drivers, tmp_path: Path) -> None:
    """What a migration makes of a message has to fit, and the position says which did not."""
    path = tmp_path / "account.lmdb"
    lived(drivers, path, v1, PayV1, PayV1(1.5), PayV1(2.5))
    broken = gs.Migration(model=to_cents, message=lambda message: ["Pay", {"cents": message[1]["amount"] * 1.1}])
    program: gs.Program[Any, Any] = gs.Program(v2.init, update2, schema=2, migrations={1: broken})
    with gs.LMDBStore(path) as store, pytest.raises(gs.errors.Incompatible, match="message at position 0"):
        gs.replay(program, store.journal("account"), until=1)


@pytest.mark.parametrize(
    ("raising", "says"),
    [
        (lambda stored: {}["secret"], "its migration from schema 1 to 2 raised KeyError"),
        (lambda stored: int("secret"), "its migration from schema 1 to 2 raised ValueError"),
        (lambda stored: {"secret": math.nan}, "its migration from schema 1 to 2 made a NaN"),
        (lambda stored: {"secret"} and Path, "its migration from schema 1 to 2 made what JSON cannot hold"),
    ],
)
def test_a_migration_that_raises_is_named_with_key_position_and_schema(tmp_path: Path, raising: Any, says: str) -> None:
    """What a migration raises names whose value it was, and is the cause of the error; contents are not repeated."""
    path = tmp_path / "account.lmdb"
    with gs.LMDBStore(path) as store:
        journal = store.journal("account", of=PayV1)
        journal.put(PayV1(1.5), PayV1(2.5))
        journal.close()
        gs.run(v1, journal, store=store, key="account")
    both = gs.Migration(model=raising, message=raising)
    program: gs.Program[Any, Any] = gs.Program(v2.init, update2, schema=2, migrations={1: both})
    with gs.LMDBStore(path) as store:
        with pytest.raises(gs.errors.Incompatible, match=rf"'account'.*model: .*{says}") as of_model:
            gs.load_model(program, store=store, key="account")
        journal = store.journal("account", of=PayV2)
        journal.kind.set(PayV2, 2, program.migrations)  # type: ignore[arg-type]
        with pytest.raises(gs.errors.Incompatible, match=rf"'account'.*message at position 0: .*{says}") as of_message:
            list(journal.read())
    for raised in (of_model, of_message):
        assert "nan" in says.lower() or raised.value.__cause__ is not None
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("schema", "migrations", "teaches"),
    [
        (2, {2: to_cents}, "from the schemas 1 to 1 to the next, not from 2"),
        (3, {"1": to_cents}, "not from '1'"),
        (2, {1: "cents"}, "is a function of a stored model, or a gs.Migration"),
    ],
)
def test_wrong_migrations_teach(schema: int, migrations: Any, teaches: str) -> None:
    """A migration that could never run is refused when the program is made."""
    with pytest.raises(gs.UsageError, match=teaches):
        gs.Program(v2.init, update2, schema=schema, migrations=migrations)
