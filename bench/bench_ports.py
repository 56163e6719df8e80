"""How much slower is `run` over a producer and consumer of one's own, one message at a time, than a bare loop?"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from ratio import Add, add, compare, init, line, update, view

import go_state as gs

COUNT = 100_000


class Queue:
    """The least a queue of one's own can be."""

    def __init__(self, messages: Iterable[Any]) -> None:
        self.messages = deque(messages)

    def put(self, *messages: Any) -> None:
        self.messages.extend(messages)

    def get(self) -> Any:
        if not self.messages:
            raise gs.Closed
        return self.messages.popleft()

    def commit(self) -> None: ...

    def rollback(self) -> None: ...


def main() -> None:
    for name, first, fn, message, budget in (
        ("Counter of the README", init, update, Add(1), "<= 1.3"),
        ("int model, one-line update", lambda: (0, ()), add, 1, "<= 3"),
    ):
        program: gs.Program[Any, Any] = gs.Program(first, fn, view=view)
        ratio, ours, bare = compare(
            lambda p=program, m=message: through_ports(p, m), lambda f=fn, i=first, m=message: bare_loop(f, i, m)
        )
        line(f"ports, {name}", ratio, budget, f"{ours / COUNT * 1e6:.3f} us against {bare / COUNT * 1e6:.3f} us a message")


def through_ports(program: gs.Program[Any, Any], message: Any) -> None:
    queue = Queue([message] * COUNT)
    gs.run(program, producer=queue, consumer=queue)


def bare_loop(fn: Callable[[Any, Any], Any], first: Callable[[], Any], message: Any) -> None:
    """Get, update, view, commit, as the simplest loop over the same queue does."""
    queue = Queue([message] * COUNT)
    model, _ = first()
    while queue.messages:
        model, _ = fn(model, queue.get())
        view(model)
        queue.commit()


if __name__ == "__main__":
    print(__doc__)
    main()
