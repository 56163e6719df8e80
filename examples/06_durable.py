"""An account that survives any crash: its messages lie in a journal, its model in snapshots, and both can be checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import go_state as gs


@dataclass(frozen=True, slots=True)
class Deposit:
    cents: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    cents: int


Msg: TypeAlias = Deposit | Withdraw


@dataclass(frozen=True, slots=True)
class Account:
    cents: int = 0
    receipts: tuple[str, ...] = ()


def init() -> gs.Step[Account, Msg]:
    return Account(), ()


def update(model: Account, msg: Msg, turn: gs.Turn) -> gs.Step[Account, Msg]:
    receipt = str(turn.uuid())  # chance and time come from the turn, so that a replay makes the same of it
    match msg:
        case Deposit(cents):
            return replace(model, cents=model.cents + cents, receipts=(*model.receipts, receipt)), ()
        case Withdraw(cents) if cents > model.cents:
            return model, [gs.Cmd.call(print, "  refused:", cents)]
        case Withdraw(cents):
            return replace(model, cents=model.cents - cents, receipts=(*model.receipts, receipt)), [gs.Cmd.call(pay, cents)]


def pay(cents: int) -> None:
    # A payment may be asked for again after a crash: the bank knows it by this name.
    print("  paid", cents, "under a name that never changes:", gs.effect_id().endswith("/0"))


account = gs.Program(init, update, name="account")


def main(path: str = "account.lmdb") -> None:
    for day, messages in enumerate([(Deposit(100), Withdraw(30)), (Withdraw(500), Deposit(1))], start=1):
        with gs.LMDBStore(path) as store:  # each day a new process, after whatever has happened to the last one
            journal = store.journal("account", of=Msg, durability="put")
            journal.put(*messages)  # returns when it is on disk
            journal.close()
            print(f"day {day}")
            model = gs.run(account, journal, store=store, key="account", snapshots=gs.Snapshots(every=1000, keep=3))
            print(f"  {model.cents} cents, {len(model.receipts)} receipts")

    with gs.LMDBStore(path) as store:
        journal = store.journal("account")
        print("at first", gs.replay(account, journal, until=1).cents, "cents")
        print(gs.verify(account, journal))


if __name__ == "__main__":
    main()
