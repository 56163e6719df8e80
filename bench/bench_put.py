"""A thread puts one message at a time while `run` consumes: how much slower than a bare loop, how much faster than janus?

janus is measured as the queue between the thread and the same loop, with one item a message: in a thread, and, which is what it
is made for, on an event loop.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
from collections.abc import Callable
from typing import Any

import janus
from ratio import Add, add, init, line, seconds, update, view

import go_state as gs

COUNT = 100_000
JANUS_COUNT = 10_000


def main() -> None:
    hand_over()
    counter: gs.Program[Any, Any] = gs.Program(init, update, view=view)
    total: gs.Program[Any, Any] = gs.Program(lambda: (0, ()), add, view=view)
    for name, program, message in (("Counter", counter, Add(1)), ("int", total, 1)):
        report(name, "in a thread", program, message, beside_run, beside_janus)
        report(name, "on a loop", program, message, beside_run_async, beside_janus_async)


def hand_over() -> None:
    """Compare the queues alone: a thread puts, this one takes, nothing is computed."""
    rounds = [(seconds(buffer_alone) / COUNT, seconds(janus_alone) / JANUS_COUNT) for _ in range(9)]
    our, their = (statistics.median(each) * 1e6 for each in zip(*rounds, strict=True))
    line(
        "janus against Buffer, handing over alone",
        statistics.median(t / o for o, t in rounds),
        ">= 10",
        f"{their:.2f} us against {our:.2f} us",
    )


def buffer_alone() -> None:
    buffer: gs.Buffer[int] = gs.Buffer()
    thread = putting(buffer, 1)
    with buffer.consumer() as consumer:
        try:
            while True:
                consumer.wait()
                consumer.settle(len(consumer.take(1024)))
        except gs.Closed:
            thread.join()


def janus_alone() -> None:
    queue: janus.Queue[Any] = janus.Queue()
    thread = putting_into_janus(queue, 1)
    while queue.sync_q.get() is not None:
        pass
    thread.join()
    queue.close()


def report(name: str, where: str, program: Any, message: Any, ours: Callable[..., Any], theirs: Callable[..., Any]) -> None:
    rounds = [
        (
            seconds(lambda: ours(program, message)) / COUNT,
            seconds(lambda: bare_loop(program, message)) / COUNT,
            seconds(lambda: theirs(program, message)) / JANUS_COUNT,
        )
        for _ in range(7)
    ]
    our, bare, their = (statistics.median(each) * 1e6 for each in zip(*rounds, strict=True))
    budget = {"Counter": "<= 1.3", "int": "<= 2.5"}[name] if where == "in a thread" else ""
    line(
        f"put beside run {where}, {name}, against a bare loop",
        statistics.median(o / b for o, b, _ in rounds),
        budget,
        f"{our:.2f} us against {bare:.2f} us",
    )
    line(
        f"janus {where}, {name}, against put beside run",
        statistics.median(t / o for o, _, t in rounds),
        "",
        f"{their:.2f} us against {our:.2f} us",
    )


def putting(buffer: gs.Buffer[Any], message: Any) -> threading.Thread:
    def put() -> None:
        for _ in range(COUNT):
            buffer.put(message)
        buffer.close()

    thread = threading.Thread(target=put)
    thread.start()
    return thread


def beside_run(program: gs.Program[Any, Any], message: Any) -> None:
    buffer: gs.Buffer[Any] = gs.Buffer()
    thread = putting(buffer, message)
    gs.run(program, buffer)
    thread.join()


def beside_run_async(program: gs.Program[Any, Any], message: Any) -> None:
    buffer: gs.Buffer[Any] = gs.Buffer()
    thread = putting(buffer, message)
    asyncio.run(gs.run_async(program, buffer))
    thread.join()


def bare_loop(program: gs.Program[Any, Any], message: Any) -> None:
    update = program.update
    model, _ = program.init()
    for msg in [message] * COUNT:
        model, _ = update(model, msg)
        view(model)


def putting_into_janus(queue: janus.Queue[Any], message: Any) -> threading.Thread:
    def put() -> None:
        for _ in range(JANUS_COUNT):
            queue.sync_q.put(message)
        queue.sync_q.put(None)

    thread = threading.Thread(target=put)
    thread.start()
    return thread


def beside_janus(program: gs.Program[Any, Any], message: Any) -> None:
    queue: janus.Queue[Any] = janus.Queue()
    thread = putting_into_janus(queue, message)
    update = program.update
    model, _ = program.init()
    while (msg := queue.sync_q.get()) is not None:
        model, _ = update(model, msg)
        view(model)
    thread.join()
    queue.close()


def beside_janus_async(program: gs.Program[Any, Any], message: Any) -> None:
    async def consume() -> None:
        queue: janus.Queue[Any] = janus.Queue()
        thread = putting_into_janus(queue, message)
        update = program.update
        model, _ = program.init()
        while (msg := await queue.async_q.get()) is not None:
            model, _ = update(model, msg)
            view(model)
        thread.join()
        await queue.aclose()

    asyncio.run(consume())


if __name__ == "__main__":
    print(__doc__)
    main()
