"""You fixed a bug: find the message that shows it, see from where on the fix makes a difference, and rebuild what is stored, with a diff."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import go_state as gs


@dataclass(frozen=True)
class Paid:
    id: str
    customer: str
    cents: int


@dataclass(frozen=True)
class Refunded:
    id: str
    customer: str
    cents: int


Msg: TypeAlias = Paid | Refunded


@dataclass(frozen=True)
class Customer:
    name: str
    cents: int = 0
    seen: frozenset[str] = frozenset()


def init(name: str) -> gs.Step[Customer, Msg]:
    return Customer(name), ()


def buggy(model: Customer, msg: Msg) -> gs.Step[Customer, Msg]:
    if msg.id in model.seen and isinstance(msg, Paid):  # a refund that comes twice is counted twice
        return model, ()
    return counted(model, msg), ()


def mended(model: Customer, msg: Msg) -> gs.Step[Customer, Msg]:
    if msg.id in model.seen:
        return model, ()
    return counted(model, msg), ()


def counted(model: Customer, msg: Msg) -> Customer:
    cents = msg.cents if isinstance(msg, Paid) else -msg.cents
    return replace(model, cents=model.cents + cents, seen=model.seen | {msg.id})


old = gs.Program(init, buggy, name="customers")
new = gs.Program(init, mended, name="customers", revision=2)  # its update is meant to make something else

LINES = """\
["Paid", {"id": "1", "customer": "ann", "cents": 500}]
["Paid", {"id": "2", "customer": "bob", "cents": 300}]
["Refunded", {"id": "3", "customer": "bob", "cents": 200}]
["Refunded", {"id": "3", "customer": "bob", "cents": 200}]
["Paid", {"id": "4", "customer": "cat", "cents": 100}]
"""


def customer_of(msg: Msg) -> str:
    return msg.customer


def is_wrong(before: Customer, msg: Msg, after: Customer) -> bool:
    return after.cents < 0


def bob(store: gs.LMDBStore, program: gs.Program[Customer, Msg]) -> int:
    model = gs.load_model(program, store=store, key="bob")
    assert model is not None
    return model.cents


def main(folder: Path) -> None:
    (folder / "day.jsonl").write_text(LINES)
    source = gs.sources.JSONLines(folder / "day.jsonl", Msg)
    with gs.LMDBStore(folder / "shop.lmdb") as store:
        gs.aggregate(old, source, store=store, key=customer_of)
        print("stored:", bob(store, old))

        # Which message made it so? The file is the history: a journal would do as well.
        found = gs.first(old, source, is_wrong, key_of=customer_of)
        assert found is not None
        print(f"message {found.position} of {found.key!r} made {found.before.cents} into {found.after.cents}")

        # Does the fix change that, and nothing before it?
        parted = gs.compare(old, new, source, key_of=customer_of).parted
        assert parted is not None
        print(
            f"the two part at {parted.position}, in",
            *[f"{field.path}: {field.expected} or {field.found}" for field in parted.fields],
        )

        # What would a rebuild change? Then do it: all or nothing, and no command is performed.
        for change in gs.rebuild(new, source, store=store, key_of=customer_of, dry_run=True).changes:
            print("would change", change)
        done = gs.rebuild(new, source, store=store, key_of=customer_of)
        print(f"{done.models} models made again, {done.changed} changed")
        print("stored:", bob(store, new))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
