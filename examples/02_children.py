"""A board of two counters: child programs inside a parent, their commands mapped to the parent's messages."""

from __future__ import annotations

from dataclasses import dataclass, replace

import go_state as gs

# ---------------------------------------------------------------- the child: a counter that knows nothing of any board


@dataclass(frozen=True)
class Add:
    by: int


@dataclass(frozen=True)
class Reset:
    """Back to zero."""


def update_counter(count: int, msg: Add | Reset) -> gs.Step[int, Add | Reset]:
    match msg:
        case Add(by) if count + by >= 10:
            return count, [gs.Cmd.send(Reset()), gs.Cmd.send(Add(1))]  # a full counter begins anew
        case Add(by):
            return count + by, ()
        case Reset():
            return 0, ()


# ---------------------------------------------------------------- the parent


@dataclass(frozen=True)
class Board:
    left: int = 0
    right: int = 0


@dataclass(frozen=True)
class OnSide:
    side: str
    msg: Add | Reset


def init() -> gs.Step[Board, OnSide]:
    return Board(), ()


def update(board: Board, msg: OnSide) -> gs.Step[Board, OnSide]:
    count, commands = update_counter(getattr(board, msg.side), msg.msg)
    return replace(board, **{msg.side: count}), gs.Cmd.map(commands, OnSide, msg.side)  # Add(1) becomes OnSide("left", Add(1))


board = gs.Program(init, update, view=print)


if __name__ == "__main__":
    gs.batch(board, [OnSide("left", Add(9)), OnSide("right", Add(2)), OnSide("left", Add(1))])
