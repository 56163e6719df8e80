"""How much slower is a queued backlog through `run` than a bare loop with the same update and view?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ratio import Add, add, compare, init, line, update, view

import go_state as gs

COUNT = 200_000


def main() -> None:
    for name, first, fn, message, budget in (
        ("Counter of the README", init, update, Add(1), "<= 1.2"),
        ("int model, one-line update", lambda: (0, ()), add, 1, "<= 1.9"),
    ):
        messages = [message] * COUNT
        program: gs.Program[Any, Any] = gs.Program(first, fn, view=view)
        ratio, ours, bare = compare(
            lambda p=program, m=messages: through_run(p, m), lambda f=fn, i=first, m=messages: bare_loop(f, i, m)
        )
        line(f"run, {name}", ratio, budget, f"{ours / COUNT * 1e6:.3f} us against {bare / COUNT * 1e6:.3f} us a message")


def through_run(program: gs.Program[Any, Any], messages: list[Any]) -> None:
    buffer: gs.Buffer[Any] = gs.Buffer()
    buffer.put(*messages)
    buffer.close()
    gs.run(program, buffer)


def bare_loop(fn: Callable[[Any, Any], Any], first: Callable[[], Any], messages: list[Any]) -> None:
    model, _ = first()
    for msg in messages:
        model, _ = fn(model, msg)
        view(model)


if __name__ == "__main__":
    print(__doc__)
    main()
