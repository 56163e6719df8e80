"""What does a turn cost that changes one of 10,000 entities, each of which wants a timer?"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ratio import compare, line

import go_state as gs

ENTITIES = 10_000
TURNS = 20


@dataclass(frozen=True)
class Reminders:
    wanted: tuple[gs.Sub[int], ...] = tuple([gs.Sub.at(2e9 + number, number, key=number) for number in range(ENTITIES)])


def update(model: Reminders, msg: int) -> gs.Step[Reminders, int]:
    """Move one reminder."""
    moved = gs.Sub.at(3e9 + msg, msg, key=("moved", msg))
    return replace(model, wanted=(*model.wanted[:msg], moved, *model.wanted[msg + 1 :])), ()


WITH: gs.Program[Reminders, int] = gs.Program(lambda: (Reminders(), ()), update, subscriptions=lambda model: model.wanted)
WITHOUT: gs.Program[Reminders, int] = gs.Program(lambda: (Reminders(), ()), update)


def main() -> None:
    ratio, ours, theirs = compare(lambda: through(WITH), lambda: through(WITHOUT), times=7)
    each = (ours - theirs) / TURNS * 1e3
    line("10,000 subscriptions of which one changes, a turn", each, "<= 1", f"{ratio:.0f} x a turn without", unit="ms")


def through(program: gs.Program[Reminders, int]) -> None:
    """Take the turns; what the first model's subscriptions cost to start is part of it."""
    buffer: gs.Buffer[int] = gs.Buffer()
    with gs.start(program, buffer, clock=gs.testing.SimClock()) as app:
        for number in range(TURNS):
            app.apply(number)


if __name__ == "__main__":
    print(__doc__)
    main()
