"""How much slower is a chain, where each turn's command sends the next message, than a bare loop with the same update?"""

from __future__ import annotations

from ratio import compare, line, view

import go_state as gs

COUNT = 100_000


def update(model: int, msg: int) -> gs.Step[int, int]:
    return model + 1, [gs.Cmd.send(msg - 1)] if msg else ()


def main() -> None:
    program = gs.Program(lambda: (0, ()), update, view=view)
    ratio, ours, bare = compare(lambda: through_run(program), bare_loop)
    line(
        "run, a chain of Cmd.send", ratio, "<= 4", f"{ours / COUNT * 1e6:.2f} us against {bare / COUNT * 1e6:.2f} us a message"
    )
    ratio, ours, bare = compare(lambda: gs.batch(program, [COUNT]), bare_loop)
    line("batch, the same", ratio, "<= 4", f"{ours / COUNT * 1e6:.2f} us against {bare / COUNT * 1e6:.2f} us a message")


def through_run(program: gs.Program[int, int]) -> None:
    buffer: gs.Buffer[int] = gs.Buffer()
    buffer.put(COUNT)
    buffer.close()
    gs.run(program, buffer)


def bare_loop() -> None:
    model, msg = 0, COUNT
    while True:
        model, commands = update(model, msg)
        view(model)
        if not commands:
            return
        (command,) = commands
        (msg,) = command.messages  # type: ignore[union-attr]


if __name__ == "__main__":
    print(__doc__)
    main()
