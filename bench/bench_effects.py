"""What do commands cost, against the same work written by hand: inline, as tasks, in threads, as timers; and subscriptions?"""

from __future__ import annotations

import asyncio
import heapq
import queue
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from ratio import compare, line

import go_state as gs

COUNT = 20_000
TIMERS = 100_000
SUBSCRIPTIONS = 10_000
TURNS = 100
AT_ONCE = 100


def work(number: int) -> int:
    return number


async def work_async(number: int) -> int:
    await asyncio.sleep(0)
    return number


@dataclass(frozen=True)
class Done:
    number: int


def program(**how: bool) -> gs.Program[int, int | Done]:
    """Return a program that asks for work at each number, and counts what is done."""
    fn = how.pop("fn", work)

    def update(model: int, msg: int | Done) -> gs.Step[int, int | Done]:
        if type(msg) is Done:
            return model + 1, ()
        return model, [gs.Cmd.call(fn, msg, ok=Done, **how)]  # type: ignore[arg-type]

    return gs.Program(lambda: (0, ()), update)


def main() -> None:
    making()
    inline, tasks, threads = program(), program(fn=work_async), program(thread=True)  # type: ignore[arg-type]
    for name, budget, ours, theirs in (
        ("inline", "<= 4", lambda: through_run(inline), by_hand),
        ("in tasks, 100 at once", "<= 2", lambda: asyncio.run(through_run_async(tasks)), lambda: asyncio.run(tasks_by_hand())),
        ("in threads", "<= 2", lambda: through_run(threads), threads_by_hand),
    ):
        ratio, our, their = compare(ours, theirs, times=7)
        rates = f"{COUNT / our / 1000:.0f} k/s against {COUNT / their / 1000:.0f} k/s"
        line(f"calls {name}, results as messages, against by hand", ratio, budget, rates)
    chance = random.Random(1)
    delays = [chance.uniform(0, 86_400) for _ in range(TIMERS)]
    ratio, our, their = compare(lambda: through_timers(delays), lambda: heap_by_hand(delays), times=5)
    line(
        "100,000 timers of a day, against a bare heap",
        ratio,
        "<= 4",
        f"{our / TIMERS * 1e6:.1f} us against {their / TIMERS * 1e6:.1f} us",
    )
    for name, budget, wanted in (("made anew", "-", made_anew), ("kept", "<= 1 ms", kept_values())):
        ratio, our, their = compare(partial(turns_of, wanted), partial(alone, wanted), times=7)
        each = f"{our / TURNS * 1e3:.2f} ms a turn, against {their / TURNS * 1e3:.2f} ms to ask for them"
        line(f"10,000 timers as subscriptions, {name}, one is another", ratio, budget, each)


# ---------------------------------------------------------------------- making and performing


def making() -> None:
    """How long it takes to make a command, and to perform it, without a run around it."""
    messages = [Done(number) for number in range(COUNT)]
    hand = [Sent((message,)) for message in messages]
    assert len(hand) == COUNT
    for name, ours, theirs in (
        ("Cmd.send made, against an object with one slot", lambda: [gs.Cmd.send(each) for each in messages], plain_objects),
        ("Cmd.call made, against the same", lambda: [gs.Cmd.call(work, each, ok=Done) for each in messages], plain_objects),
        ("Cmd.after made, against the same", lambda: [gs.Cmd.after(1.0, each) for each in messages], plain_objects),
    ):
        ratio, our, their = compare(ours, theirs, times=9)
        line(name, ratio, "-", f"{our / COUNT * 1e6:.2f} us against {their / COUNT * 1e6:.2f} us")


class Sent:
    __slots__ = ("messages",)

    def __init__(self, messages: tuple[object, ...]) -> None:
        self.messages = messages


def plain_objects() -> list[Sent]:
    return [Sent((number,)) for number in range(COUNT)]


# ---------------------------------------------------------------------- calls


def filled() -> gs.Buffer[int | Done]:
    buffer = gs.Buffer[int | Done]()
    buffer.put(*range(COUNT))
    buffer.close()
    return buffer


def through_run(asking: gs.Program[int, int | Done]) -> None:
    assert gs.run(asking, filled()) == COUNT


async def through_run_async(asking: gs.Program[int, int | Done]) -> None:
    assert await gs.run_async(asking, filled()) == COUNT


def by_hand() -> None:
    model = 0
    for _ in [Done(work(number)) for number in range(COUNT)]:
        model += 1
    assert model == COUNT


async def tasks_by_hand() -> None:
    model, room, results = 0, asyncio.Semaphore(AT_ONCE), asyncio.Queue[Done]()

    async def one(number: int) -> None:
        results.put_nowait(Done(await work_async(number)))
        room.release()

    async def all_of_them() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(COUNT):
                await room.acquire()
                group.create_task(one(number))

    asking = asyncio.create_task(all_of_them())
    while model < COUNT:
        await results.get()
        model += 1
    await asking


def threads_by_hand() -> None:
    model, results = 0, queue.SimpleQueue[Done]()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(COUNT):
            pool.submit(lambda number=number: results.put(Done(work(number))))
        while model < COUNT:
            results.get()
            model += 1


# ---------------------------------------------------------------------- timers


def through_timers(delays: list[float]) -> None:
    waiting: gs.Program[int, int] = gs.Program(
        lambda: (0, [gs.Cmd.after(delay, 1) for delay in delays]), lambda model, msg: (model + msg, ())
    )
    clock = gs.testing.SimClock(jumps=True)
    assert gs.batch(waiting, [], clock=clock, effects=gs.Effects(at_once=TIMERS)).model == TIMERS


def heap_by_hand(delays: list[float]) -> None:
    model, heap = 0, []
    for number, delay in enumerate(delays):
        heapq.heappush(heap, (delay, number, 1))
    while heap:
        model += heapq.heappop(heap)[2]
    assert model == TIMERS


# ---------------------------------------------------------------------- subscriptions


@dataclass(frozen=True)
class Board:
    turns: int = 0


def made_anew(board: Board) -> list[gs.Sub[str]]:
    """One of them is another in each turn, and all are other objects."""
    gone = {number % SUBSCRIPTIONS for number in range(board.turns)}
    return [gs.Sub.every(3600.0 + (number in gone), "tick", key=number) for number in range(SUBSCRIPTIONS)]


def kept_values() -> Callable[[Board], list[gs.Sub[str]]]:
    """Return the same of values that are kept, as a program does in its model: by turn, so that both sides find them made."""
    values = [gs.Sub.every(3600.0, "tick", key=number) for number in range(SUBSCRIPTIONS)]
    others = [gs.Sub.every(3601.0, "tick", key=turn * 499 % SUBSCRIPTIONS) for turn in range(TURNS + 1)]

    def kept(board: Board) -> list[gs.Sub[str]]:
        found = list(values)
        found[board.turns * 499 % SUBSCRIPTIONS] = others[board.turns]
        return found

    return kept


def turns_of(wanted: Callable[[Board], list[gs.Sub[str]]]) -> None:
    """Take the turns; to begin the 10,000, before the first of them, takes as long as a few."""
    board: gs.Program[Board, str] = gs.Program(
        lambda: (Board(), ()), lambda model, _: (replace(model, turns=model.turns + 1), ()), subscriptions=wanted
    )
    gs.batch(board, ["turn"] * TURNS, clock=gs.testing.SimClock())


def alone(wanted: Callable[[Board], list[gs.Sub[str]]]) -> None:
    for turn in range(TURNS + 1):
        wanted(Board(turn))


if __name__ == "__main__":
    print(__doc__)
    main()
