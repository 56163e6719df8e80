"""A nightly job over files from elsewhere: bad lines are kept, repeated ones count once, a killed night is resumed, a report at the end."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
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
    repeated: int = 0
    seen: frozenset[str] = field(default_factory=frozenset)


def init(name: str) -> gs.Step[Customer, Msg]:
    return Customer(name), ()


def update(model: Customer, msg: Msg) -> gs.Step[Customer, Msg]:
    if msg.id in model.seen:
        return replace(model, repeated=model.repeated + 1), ()
    cents = msg.cents if isinstance(msg, Paid) else -msg.cents
    if model.cents + cents < 0:
        raise ValueError("more is refunded than was paid")  # set aside as well: a person looks at it
    return replace(model, cents=model.cents + cents, seen=model.seen | {msg.id}), ()


customers = gs.Program(init, update, name="customers")


def night(store: gs.LMDBStore, file: Path) -> None:
    """Count what the file has beyond the last save: start it as often as you like, at any time, whatever became of the last try."""
    letters = gs.DeadLetters(store, "nights")
    with gs.signals() as stop:  # SIGTERM: end between two lines, save, and say so
        result = gs.aggregate(
            customers,
            gs.sources.JSONLines(file, Msg, tag="type"),
            store=store,
            key=lambda msg: msg.customer,
            snapshots=gs.Snapshots(every=10_000, seconds=10),
            on_error=gs.SetAside(letters),  # written with the save, so each is there once
            stop=stop,
            budget=3600,
        )
    print(f"{file.name}: {result.processed} counted, {result.letters} set aside, {result.ended} at line {result.position}")


def report(store: gs.LMDBStore) -> None:
    for letter in gs.DeadLetters(store, "nights"):
        print(f"  {letter.source} line {letter.position}: {letter.error}")
    models = gs.aggregate(customers, [], store=store, key=lambda msg: msg.customer).models
    for customer in sorted(models.values(), key=lambda customer: customer.name):
        print(f"  {customer.name}: {customer.cents} cents, {customer.repeated} repeated")


MONDAY = """\
{"type": "Paid", "id": "1", "customer": "ann", "cents": 500}
{"type": "Paid", "id": "2", "customer": "bob", "cents": 100}
{"type": "Paid", "id": "3", "custo
{"type": "Paid", "id": "1", "customer": "ann", "cents": 500}
{"type": "Refunded", "id": "4", "customer": "bob", "cents": 300}
"""
TUESDAY = """\
{"type": "Paid", "id": "5", "customer": "bob", "cents": 900}
{"type": "Gift", "id": "6", "customer": "bob", "cents": 900}
"""


def main(folder: Path) -> None:
    for name, text in [("monday.jsonl", MONDAY), ("tuesday.jsonl", TUESDAY)]:
        (folder / name).write_text(text)
    with gs.LMDBStore(folder / "nightly.lmdb") as store:
        for name in ("monday.jsonl", "monday.jsonl", "tuesday.jsonl"):  # the second try finds nothing new
            night(store, folder / name)
        report(store)
        letters = gs.DeadLetters(store, "nights")
        refunds = [letter.id for letter in letters if letter.failed == "turn"]  # bob has paid since: his refund can be counted
        print("tried again:", letters.retry(customers, *refunds, key=lambda msg: msg.customer).done)
        report(store)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
