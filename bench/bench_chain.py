"""How much slower is a chain, in which each turn's command sends the next message, than the same by hand; and making a command?

By hand is a deque: take a message, update, perform the commands, put what they send. The Go original with bigbuff takes 0.50 us.
"""

from __future__ import annotations

import timeit
from collections import deque
from functools import partial

from ratio import compare, line, view

import go_state as gs

COUNT = 100_000


def callables(model: int, msg: int) -> gs.Step[int, int]:
    return model + 1, [lambda: msg - 1] if msg else ()


def sends(model: int, msg: int) -> gs.Step[int, int]:
    return model + 1, [gs.Cmd.send(msg - 1)] if msg else ()


def main() -> None:
    for name, update, by_hand, budget in (
        ("bare callables", callables, callables_by_hand, "<= 2.1"),
        ("Cmd.send", sends, sends_by_hand, "<= 1.35"),
    ):
        program = gs.Program(lambda: (0, ()), update, view=view)
        ratio, ours, theirs = compare(partial(through_run, program), by_hand)
        line(f"run, a chain of {name}", ratio, budget, figures(ours, theirs))
    ratio, ours, theirs = compare(lambda: gs.batch(gs.Program(lambda: (0, ()), sends, view=view), [COUNT]), sends_by_hand)
    line("batch, the same", ratio, "<= 2", figures(ours, theirs))
    making = min(timeit.repeat(lambda: gs.Cmd.send(1), number=COUNT)) - min(timeit.repeat(lambda: 1, number=COUNT))
    line("making a Cmd.send", making / COUNT * 1e6, "<= 0.16", unit="us")


def figures(ours: float, theirs: float) -> str:
    return f"{ours / COUNT * 1e6:.2f} us against {theirs / COUNT * 1e6:.2f} us a message"


def through_run(program: gs.Program[int, int]) -> None:
    buffer: gs.Buffer[int] = gs.Buffer()
    buffer.put(COUNT)
    buffer.close()
    gs.run(program, buffer)


def callables_by_hand() -> None:
    model, queue = 0, deque([COUNT])
    while queue:
        model, commands = callables(model, queue.popleft())
        view(model)
        for command in commands or ():
            message = command()  # type: ignore[operator]
            queue.append(message)


def sends_by_hand() -> None:
    model, queue = 0, deque([COUNT])
    while queue:
        model, commands = sends(model, queue.popleft())
        view(model)
        for command in commands or ():
            queue.extend(command.messages)  # type: ignore[union-attr]


if __name__ == "__main__":
    print(__doc__)
    main()
