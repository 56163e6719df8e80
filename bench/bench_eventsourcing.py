"""How fast are append and replay of a counter's events, against the library `eventsourcing` on SQLite? (Extra `bench`.)"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from ratio import compare, line

import go_state as gs

COUNT = 20_000
TOGETHER = 1000  # events that one transaction of theirs takes; ours decides by itself


@dataclass(frozen=True, slots=True)
class Add:
    by: int


@dataclass(frozen=True, slots=True)
class Counter:
    count: int = 0


def update(model: Counter, msg: Add) -> gs.Step[Counter, Add]:
    return Counter(model.count + msg.by), ()


class TheirCounter(Aggregate):
    def __init__(self) -> None:
        self.count = 0

    @event("Added")
    def add(self, by: int) -> None:
        self.count += by


PROGRAM: gs.Program[Counter, Add] = gs.Program(lambda: (Counter(), ()), update)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, gs.LMDBStore(Path(folder, "ours.lmdb")) as store:
        numbers = iter(range(1000))
        theirs: Any = Application(
            env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": os.path.join(folder, "theirs.db")}
        )
        ratio, ours, others = compare(lambda: append(store, f"a{next(numbers)}"), lambda: append_theirs(theirs), times=5)
        line("append, against eventsourcing on SQLite", 1 / ratio, ">= 10", rates(ours, others))
        journal = store.journal("a0", of=Add)
        counter = append_theirs(theirs)
        assert gs.replay(PROGRAM, journal).count == theirs.repository.get(counter).count
        ratio, ours, others = compare(lambda: gs.replay(PROGRAM, journal), lambda: theirs.repository.get(counter), times=5)
        line("replay, against eventsourcing on SQLite", 1 / ratio, ">= 25", rates(ours, others))
        theirs.close()


def rates(ours: float, theirs: float) -> str:
    return f"{COUNT / ours / 1e3:.0f} k/s against {COUNT / theirs / 1e3:.1f} k/s"


def append(store: gs.LMDBStore, name: str) -> None:
    journal = store.journal(name, of=Add)
    for number in range(COUNT):
        journal.put(Add(number))
    journal.flush()


def append_theirs(app: Any) -> Any:
    counter = TheirCounter()
    for number in range(COUNT):
        counter.add(number)
        if number % TOGETHER == TOGETHER - 1:
            app.save(counter)
    return counter.id


if __name__ == "__main__":
    print(__doc__)
    main()
