"""What does a keyed app with a store cost: to start, in CPU time, in memory beside its model, and how much do 2,000 of them do?"""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ratio import line

import go_state as gs

APPS = 200
GUILDS = 2000
MESSAGES = 50  # for each


@dataclass(frozen=True, slots=True)
class Room:
    said: int = 0


@dataclass(frozen=True, slots=True)
class Say:
    text: str


def update(model: Room, msg: Say) -> gs.Step[Room, Say]:
    return replace(model, said=model.said + 1), ()


ROOM: gs.Program[Room, Say] = gs.Program(lambda: (Room(), ()), update, name="room")


def main() -> None:
    took, without, answered = (
        statistics.median([started(measure=time.process_time, **how) for _ in range(5)]) / APPS * 1e3
        for how in ({}, {"store": False}, {"answers": True})
    )
    told = f"until it is ready; {answered:.2f} ms until it has answered a first message; {without:.2f} ms without a store"
    line("a keyed app with a store, CPU time to start", took, "<= 1", told, unit="ms")
    kept = started(measure=traced, answers=True) / APPS / 1024
    line(
        "a keyed app with a store, memory beside its model",
        kept,
        "<= 40",
        "of Python's objects, as tracemalloc sees them",
        unit="KB",
    )
    ready, rate, cpu = asyncio.run(at_scale())
    line("2,000 guilds with a store, until all are ready", ready, "<= 3", "on an event loop", unit="s")
    line("messages a second over 2,000 guilds", rate / 1e3, ">= 30", f"{cpu:.0f} us of CPU time a message", unit="k/s")


async def at_scale() -> tuple[float, float, float]:
    """Return the seconds until all guilds are ready, the messages a second that they process then, and the CPU time of one."""
    with (
        tempfile.TemporaryDirectory() as folder,
        gs.LMDBStore(Path(folder, "guilds.lmdb"), map_size=1 << 32) as store,
    ):
        async with gs.start_keyed_async(ROOM, store=store) as guilds:
            begin = time.perf_counter()
            await asyncio.gather(*(guilds[str(number)].ready_async() for number in range(GUILDS)))
            ready = time.perf_counter() - begin
            begin, cpu = time.perf_counter(), time.process_time()
            for _ in range(MESSAGES):
                for number in range(GUILDS):
                    guilds.send(str(number), Say("hello"))
                await asyncio.sleep(0)
            await guilds.settle_async()
            number = GUILDS * MESSAGES
            return ready, number / (time.perf_counter() - begin), (time.process_time() - cpu) / number * 1e6


def traced() -> float:
    gc.collect()
    return float(tracemalloc.get_traced_memory()[0])


def started(*, measure: Callable[[], float], store: bool = True, answers: bool = False) -> float:
    """Return by how much the measure grows while apps are started, until each is ready, or has answered a first message, but for a first one."""
    if measure is traced:
        tracemalloc.start()
    with (
        tempfile.TemporaryDirectory() as folder,
        gs.LMDBStore(Path(folder, "rooms.lmdb")) as kept,
        gs.start_keyed(ROOM, store=kept if store else None) as rooms,
    ):
        rooms["first"].apply(Say("hello"))
        before = measure()
        for number in range(APPS):
            room = rooms[f"room {number}"]
            room.apply(Say("hello")) if answers else room.ready()
        grown = measure() - before
    if measure is traced:
        tracemalloc.stop()
    return grown


if __name__ == "__main__":
    print(__doc__)
    main()
