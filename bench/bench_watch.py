"""What does a program pay for being watched: by nobody, by ten thousand that do not wait, by ten thousand that do?"""

from __future__ import annotations

import asyncio
import statistics
import time

from ratio import Add, Counter, compare, init, line, update

import go_state as gs

COUNT = 200_000
WATCHERS = 10_000


def main() -> None:
    messages = [Add(1)] * COUNT
    program = gs.Program(init, update)
    ratio, ours, theirs = compare(lambda: through_app(program, messages), lambda: through_run(program, messages), times=7)
    line(
        "a backlog through an app, against run without a view",
        ratio,
        "<= 1.4",
        f"{(ours - theirs) / COUNT * 1e9:.0f} ns a turn",
    )
    value = gs.Value(0)
    idle = gs.Value(0)
    watchers = [idle.watch() for _ in range(WATCHERS)]
    for watcher in watchers:
        watcher.get()
    ratio, ours, theirs = compare(lambda: publish(idle), lambda: publish(value), times=7)
    line("publish beside 10,000 idle watchers, against none", ratio, "<= 1.2", f"{ours / COUNT * 1e9:.0f} ns each")
    each = asyncio.run(waited_for())
    line("publish to 10,000 waiting tasks, for each", each * 1e6, "<= 0.3", f"{each * 1e9:.0f} ns", unit="us")


def through_app(program: gs.Program[Counter, Add], messages: list[Add]) -> None:
    buffer: gs.Buffer[Add] = gs.Buffer()
    buffer.put(*messages)
    with gs.start(program, buffer):
        pass


def through_run(program: gs.Program[Counter, Add], messages: list[Add]) -> None:
    buffer: gs.Buffer[Add] = gs.Buffer()
    buffer.put(*messages)
    buffer.close()
    gs.run(program, buffer)


def publish(value: gs.Value[int]) -> None:
    for number in range(COUNT):
        value.slot.publish(number)


async def waited_for() -> float:
    """Return the seconds that one who publishes spends on each task that waits: waking them, not their running."""
    value: gs.Value[int] = gs.Value()
    spent = []
    for number in range(9):
        tasks = [asyncio.create_task(value.watch(since=number).get_async()) for _ in range(WATCHERS)]
        await asyncio.sleep(0)  # after which all of them wait
        assert value.slot.waiting == WATCHERS
        began = time.perf_counter()
        value.slot.publish(number)
        spent.append((time.perf_counter() - began) / WATCHERS)
        await asyncio.gather(*tasks)
    return statistics.median(spent)


if __name__ == "__main__":
    print(__doc__)
    main()
