"""Two counters that a tick moves: children mapped into their parent, and one program in all three modes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

import go_state as gs

# ---------------------------------------------------------------- the child: a counter that knows nothing of tickers


class Count(Enum):
    UP = 1
    DOWN = -1


def update_counter(count: int, msg: Count) -> gs.Step[int, Count]:
    return count + msg.value, ()


def move_counter(steps: int) -> list[gs.Command[Count]]:
    """Return the commands that take a counter so many steps up, or down."""
    return [gs.Cmd.send(Count.UP if steps > 0 else Count.DOWN)] * abs(steps)


# ---------------------------------------------------------------- the parent


@dataclass(frozen=True)
class Ticker:
    horizontal: int = 0
    vertical: int = 0
    horizontal_by: int = 0  # the multipliers: how many steps a tick is
    vertical_by: int = 0


@dataclass(frozen=True)
class Horizontal:
    msg: Count


@dataclass(frozen=True)
class Vertical:
    msg: Count


@dataclass(frozen=True)
class Multiply:
    horizontal_by: int
    vertical_by: int


@dataclass(frozen=True)
class Tick:
    """Move both counters by their multipliers."""


Msg: TypeAlias = Horizontal | Vertical | Multiply | Tick


def init() -> gs.Step[Ticker, Msg]:
    return Ticker(), ()


def update(model: Ticker, msg: Msg) -> gs.Step[Ticker, Msg]:
    match msg:
        case Horizontal(child):
            count, commands = update_counter(model.horizontal, child)
            return replace(model, horizontal=count), gs.Cmd.map(commands, Horizontal)  # Count.UP becomes Horizontal(Count.UP)
        case Vertical(child):
            count, commands = update_counter(model.vertical, child)
            return replace(model, vertical=count), gs.Cmd.map(commands, Vertical)
        case Multiply(horizontal_by, vertical_by):
            return replace(model, horizontal_by=horizontal_by, vertical_by=vertical_by), ()
        case Tick():
            across = gs.Cmd.map(move_counter(model.horizontal_by), Horizontal)
            return model, [*across, *gs.Cmd.map(move_counter(model.vertical_by), Vertical)]


ticker = gs.Program(init, update)

MESSAGES: list[Msg] = [
    Horizontal(Count.UP), Horizontal(Count.UP), Vertical(Count.DOWN), Horizontal(Count.DOWN),
    Multiply(1, -1), Tick(), Tick(), Tick(), Multiply(-10, 10), Tick(), Tick(),
]  # fmt: skip


def main() -> None:
    with gs.Buffer[Msg]() as buffer:
        buffer.put(*MESSAGES)
    print("run      ", at(gs.run(ticker, buffer)))  # a queue, until it is closed and drained

    result = gs.batch(ticker, MESSAGES)  # a source, to its end
    print("batch    ", at(result.model), f"{result.processed} messages: {len(MESSAGES)} given, the rest sent by ticks")

    with gs.MemoryStore() as store:  # a source, on from the model in the store
        for _ in range(2):
            print("aggregate", at(gs.aggregate(ticker, MESSAGES, store=store, key="ticker").model))


def at(model: Ticker) -> str:
    return f"horizontal {model.horizontal:>3}, vertical {model.vertical:>3}"


if __name__ == "__main__":
    main()
