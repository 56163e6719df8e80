"""A thread puts one message at a time while `run` consumes: how much slower than a bare loop, how much faster than janus?"""

from __future__ import annotations

import statistics
import threading

import janus
from ratio import Add, init, line, seconds, update, view

import go_state as gs

COUNT = 100_000
JANUS_COUNT = 10_000
MESSAGE = Add(1)


def main() -> None:
    rounds = [
        (seconds(while_putting) / COUNT, seconds(bare_loop) / COUNT, seconds(through_janus) / JANUS_COUNT) for _ in range(7)
    ]
    ours, bare, theirs = (statistics.median(each) for each in zip(*rounds, strict=True))
    line(
        "put beside run, against a bare loop",
        statistics.median(o / b for o, b, _ in rounds),
        "<= 2.5",
        f"{ours * 1e6:.2f} us against {bare * 1e6:.2f} us",
    )
    line(
        "janus, one item a message, against put beside run",
        statistics.median(j / o for o, _, j in rounds),
        ">= 10",
        f"{theirs * 1e6:.2f} us against {ours * 1e6:.2f} us",
    )
    alone = statistics.median(seconds(put_alone) / COUNT for _ in range(7))
    janus_alone = statistics.median(seconds(janus_hand_over) / JANUS_COUNT for _ in range(7))
    line(
        "the same without update: janus against Buffer",
        janus_alone / alone,
        "",
        f"{janus_alone * 1e6:.2f} us against {alone * 1e6:.2f} us",
    )


def while_putting() -> None:
    buffer: gs.Buffer[Add] = gs.Buffer()

    def put() -> None:
        for _ in range(COUNT):
            buffer.put(MESSAGE)
        buffer.close()

    thread = threading.Thread(target=put)
    thread.start()
    gs.run(gs.Program(init, update, view=view), buffer)
    thread.join()


def bare_loop() -> None:
    model, _ = init()
    for msg in [MESSAGE] * COUNT:
        model, _ = update(model, msg)
        view(model)


def through_janus() -> None:
    queue: janus.Queue[Add | None] = janus.Queue()

    def put() -> None:
        for _ in range(JANUS_COUNT):
            queue.sync_q.put(MESSAGE)
        queue.sync_q.put(None)

    thread = threading.Thread(target=put)
    thread.start()
    model, _ = init()
    while (msg := queue.sync_q.get()) is not None:
        model, _ = update(model, msg)
        view(model)
    thread.join()
    queue.close()


def put_alone() -> None:
    buffer: gs.Buffer[Add] = gs.Buffer()

    def put() -> None:
        for _ in range(COUNT):
            buffer.put(MESSAGE)
        buffer.close()

    with buffer.consumer() as consumer:
        thread = threading.Thread(target=put)
        thread.start()
        try:
            while True:
                consumer.wait()
                consumer.settle(len(consumer.take(1024)))
        except gs.Closed:
            thread.join()


def janus_hand_over() -> None:
    queue: janus.Queue[Add | None] = janus.Queue()

    def put() -> None:
        for _ in range(JANUS_COUNT):
            queue.sync_q.put(MESSAGE)
        queue.sync_q.put(None)

    thread = threading.Thread(target=put)
    thread.start()
    while queue.sync_q.get() is not None:
        pass
    thread.join()
    queue.close()


if __name__ == "__main__":
    print(__doc__)
    main()
