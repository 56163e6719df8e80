"""What does a keyed app with a store cost: to start, in CPU time, and in memory beside its model?"""

from __future__ import annotations

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
    starts = [started(measure=time.process_time) for _ in range(5)]
    alone = [started(measure=time.process_time, store=False) for _ in range(5)]
    took = statistics.median(starts) / APPS * 1e3
    without = statistics.median(alone) / APPS * 1e3
    line("a keyed app with a store, CPU time to start", took, "<= 1", f"{without:.2f} ms without a store", unit="ms")
    kept = started(measure=traced) / APPS / 1024
    line(
        "a keyed app with a store, memory beside its model",
        kept,
        "<= 40",
        "of Python's objects, as tracemalloc sees them",
        unit="KB",
    )


def traced() -> float:
    gc.collect()
    return float(tracemalloc.get_traced_memory()[0])


def started(*, measure: Callable[[], float], store: bool = True) -> float:
    """Return by how much the measure grows while apps are started, each by the answer to its first message, less a first one."""
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
            rooms[f"room {number}"].apply(Say("hello"))
        grown = measure() - before
    if measure is traced:
        tracemalloc.stop()
    return grown


if __name__ == "__main__":
    print(__doc__)
    main()
