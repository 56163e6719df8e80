"""What does a journal of a million messages cost: to live through, to replay, to look into at any position, and in memory?"""

from __future__ import annotations

import random
import resource
import statistics
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from ratio import line, seconds

import go_state as gs

FEW, MANY = 100_000, 1_000_000
FLUSHED = 10_000
EVERY = 1000  # messages between two snapshots, so that a jump replays half of that on average


@dataclass(frozen=True, slots=True)
class Add:
    by: int


@dataclass(frozen=True, slots=True)
class Counter:
    count: int = 0


def update(model: Counter, msg: Add) -> gs.Step[Counter, Add]:
    return replace(model, count=model.count + msg.by), ()


PROGRAM: gs.Program[Counter, Add] = gs.Program(lambda: (Counter(), ()), update)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        few = lived(folder, "few", FEW)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        many = lived(folder, "many", MANY)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        line(
            "a journalled run, 1 million against 100 thousand, a message",
            many / few,
            "<= 1.2",
            f"{many * 1e6:.2f} us against {few * 1e6:.2f} us; memory grew by {grown} KiB",
        )
        with gs.LMDBStore(Path(folder, "many.lmdb")) as store:
            journal = store.journal("k", of=Add)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            start = gs.replay(PROGRAM, journal, until=EVERY)
            positions = [random.Random(1).randrange(MANY) for _ in range(50)]
            jumps = [seconds(lambda p=position: gs.replay(PROGRAM, journal, until=p)) for position in positions]
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            assert start.count == sum(range(EVERY))
        line(
            f"a jump into a million messages, a snapshot at every {EVERY} kept",
            statistics.median(jumps) * 1e3 / 5,
            "<= 1",
            f"{statistics.median(jumps) * 1e3:.1f} ms, at most {max(jumps) * 1e3:.1f} ms, of 5 ms; memory grew by {grown} KiB",
        )
        plain, saving = snapshots(folder, None), snapshots(folder, 1000)
        line(
            "a journalled run that saves every 1,000 messages, against never",
            saving / plain,
            "<= 1.5",
            f"{saving * 1e6:.2f} us",
        )


def lived(folder: str, name: str, count: int) -> float:
    """Return the seconds of each message, from its put to the end of the run."""
    with gs.LMDBStore(Path(folder, f"{name}.lmdb")) as store:
        journal = store.journal("k", of=Add)

        def work() -> None:
            for first in range(0, count, FLUSHED):
                journal.put(*map(Add, range(first, first + FLUSHED)))
                journal.flush()  # what is on disk need not be in memory
            journal.close()
            gs.run(PROGRAM, journal, store=store, key="k", snapshots=gs.Snapshots(every=EVERY, keep=count // EVERY + 1))

        return seconds(work) / count


def snapshots(folder: str, every: int | None) -> float:
    with gs.LMDBStore(Path(folder, f"{every}.lmdb")) as store:
        journal = store.journal("k", of=Add)
        journal.put(*map(Add, range(FEW)))
        journal.close()
        return seconds(lambda: gs.run(PROGRAM, journal, store=store, key="k", snapshots=gs.Snapshots(every=every))) / FEW


if __name__ == "__main__":
    print(__doc__)
    main()
