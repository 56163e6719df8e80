"""A running program that others hold: they send to it, ask it and watch it, each from a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import go_state as gs


@dataclass(frozen=True, slots=True)
class Bid:
    who: str
    amount: int


@dataclass(frozen=True, slots=True)
class Close:
    """The hammer falls."""


Msg: TypeAlias = Bid | Close


@dataclass(frozen=True, slots=True)
class Auction:
    highest: int = 0
    leader: str = "nobody"
    is_open: bool = True


def init() -> gs.Step[Auction, Msg]:
    return Auction(), ()


def update(model: Auction, msg: Msg) -> gs.Step[Auction, Msg]:
    match msg:
        case Bid(_, amount) if amount <= model.highest:
            return model, [gs.Cmd.reply(f"too low: {model.highest} is bid")]
        case Bid(who, amount):
            return replace(model, highest=amount, leader=who), [gs.Cmd.reply("you lead")]
        case Close():
            return replace(model, is_open=False), ()


def only_while_open(proposal: gs.middleware.Proposal[Auction, Msg]) -> Generator[Any, Any, None]:
    if not proposal.model.is_open:
        raise gs.Denied("the auction is over")
    yield


auction = gs.Program(init, update, middleware=[only_while_open])


def bidder(sender: gs.app.Sender[Auction, Msg], name: str, most: int) -> None:
    """Bid ten more than whoever leads, up to a limit."""
    for amount in range(10, most + 1, 10):
        sender.ask(Bid(name, amount), timeout=10)


def main() -> None:
    with gs.start(auction) as app, app.changes("leader") as leaders:
        bidders = [
            threading.Thread(target=bidder, args=(app.sender(), name, most)) for name, most in (("ann", 300), ("bob", 500))
        ]
        for each in bidders:
            each.start()
        for each in bidders:
            each.join()
        print("leads in the end:", leaders.get(timeout=10).model.leader)  # the newest, however many there were
        print("ask:", app.ask(Bid("eve", 7), timeout=10))
        print("apply:", app.apply(Close(), timeout=10))
        try:
            app.ask(Bid("eve", 1000), timeout=10)
        except gs.Denied as denied:
            print("denied:", denied.reason)
    print(app.state, "with", app.model)


if __name__ == "__main__":
    main()
