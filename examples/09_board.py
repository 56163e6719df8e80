"""A board of cards, each a child program with a timer and a slow call of its own: what a removed card was waiting for never comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import go_state as gs

DAY = 86400.0

# ---------------------------------------------------------------- the child: a card, which knows nothing of any board


@dataclass(frozen=True)
class Card:
    title: str
    days: int = 0
    estimate: str = "being estimated"


@dataclass(frozen=True)
class DayPassed:
    pass


@dataclass(frozen=True)
class Estimated:
    hours: int


@dataclass(frozen=True)
class NoEstimate:
    why: str


CardMsg = DayPassed | Estimated | NoEstimate


class Estimator(Protocol):
    async def estimate(self, title: str) -> int: ...


async def ask(title: str) -> int:
    return await gs.env(Estimator).estimate(title)


def new_card(title: str) -> gs.Step[Card, CardMsg]:
    return Card(title), [gs.Cmd.call(ask, title, ok=Estimated, err=lambda failure: NoEstimate(failure.text), timeout=7 * DAY)]


def update_card(card: Card, msg: CardMsg) -> gs.Step[Card, CardMsg]:
    match msg:
        case DayPassed():
            return replace(card, days=card.days + 1), ()
        case Estimated(hours):
            return replace(card, estimate=f"{hours} h"), ()
        case NoEstimate(why):
            return replace(card, estimate=why), ()


def card_subscriptions(card: Card) -> Sequence[gs.Sub[CardMsg]]:
    return [gs.Sub.every(DAY, DayPassed(), key="days")]


# ---------------------------------------------------------------- the parent: cards come and go


@dataclass(frozen=True)
class Add:
    number: int
    title: str


@dataclass(frozen=True)
class Remove:
    number: int


@dataclass(frozen=True)
class OnCard:
    number: int
    msg: CardMsg


Board = dict[int, Card]


def update(board: Board, msg: Add | Remove | OnCard) -> gs.Step[Board, Add | Remove | OnCard]:
    match msg:
        case Add(number, title):
            card, commands = new_card(title)
            return board | {number: card}, gs.Cmd.map(commands, OnCard, number)
        case Remove(number):  # with all that it has under way, and nothing of the others
            left = {each: card for each, card in board.items() if each != number}
            return left, gs.Cmd.map([gs.Cmd.cancel()], OnCard, number)
        case OnCard(number, of_card):
            card, commands = update_card(board[number], of_card)  # never of a removed card: no KeyError
            return board | {number: card}, gs.Cmd.map(commands, OnCard, number)


def subscriptions(board: Board) -> list[gs.Sub[OnCard]]:
    return [sub for number, card in board.items() for sub in gs.Sub.map(card_subscriptions(card), OnCard, number)]


program = gs.Program(lambda: ({}, ()), update, subscriptions=subscriptions, name="board")


class SlowEstimator:
    def __init__(self, clock: gs.testing.SimClock) -> None:
        self.clock = clock

    async def estimate(self, title: str) -> int:
        await self.clock.sleep(DAY * len(title) / 2)
        return len(title)


if __name__ == "__main__":
    clock = gs.testing.SimClock()  # a week passes at once
    with gs.start(program, clock=clock, env=SlowEstimator(clock)) as app:
        app.send(Add(1, "mow"), Add(2, "wash"), Add(3, "paint the fence"))
        clock.advance(1.75 * DAY)
        print(*app.model.values(), sep="\n")
        app.apply(Remove(2))  # a quarter of a day before its estimate
        clock.advance(5.25 * DAY)
        print("a week later", *app.model.values(), sep="\n")
