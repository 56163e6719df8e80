"""Does `verify` cost what a message changes, or what the model keeps? And what does taking a journal in from its export cost?

Each message changes one entry of a persistent map (`immutables`), once of ten entries, once of three thousand, and once of a hundred
thousand. When the whole model was encoded for every message, one cost 27 ms of three thousand entries and 2.2 s of a hundred thousand.
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import immutables
from ratio import compare, line, seconds

import go_state as gs

MESSAGES = 500
LARGE_MESSAGES = 20_000  # for the largest model, of which a few looks at the whole are taken
IMPORTED = 50_000
NONE, FEW, MANY = 0, 10, 3_000  # of none no message is verified: what is left is the check of the whole file
LARGE = 100_000


@dataclass(frozen=True, slots=True)
class Set:
    key: int
    value: int


@dataclass(frozen=True, slots=True)
class Table:
    entries: immutables.Map[int, int]


def update(model: Table, msg: Set) -> gs.Step[Table, Set]:
    return replace(model, entries=model.entries.set(msg.key, msg.value)), ()


def program(entries: int) -> gs.Program[Table, Set]:
    first = Table(immutables.Map(dict.fromkeys(range(entries), 0)))
    return gs.Program(lambda: (first, ()), update, name="table")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, gs.LMDBStore(Path(folder, "verify.lmdb")) as store:
        for entries in (NONE, FEW, MANY):
            lived(store, entries)
        rounds = [[seconds(lambda e=entries: verified(store, e)) for entries in (NONE, FEW, MANY)] for _ in range(3)]
        none, few, many = (statistics.median(each) for each in zip(*rounds, strict=True))
        line(
            "verify, a model of 3,000 entries against one of 10, a message",
            (many - none) / (few - none),
            "<= 2",
            f"{(many - none) / MESSAGES * 1e6:.0f} us against {(few - none) / MESSAGES * 1e6:.0f} us",
        )
        large(store)
        imported(store, Path(folder, "export.jsonl"))


def large(store: gs.LMDBStore) -> None:
    """Say what verify and compare cost for each message if the model has a hundred thousand entries."""
    lived(store, LARGE, LARGE_MESSAGES)
    took = seconds(lambda: verified(store, LARGE, LARGE_MESSAGES))
    line("verify, a model of 100,000 entries, a message", took / LARGE_MESSAGES * 1e6, "", f"{took:.1f} s in all")
    once = seconds(lambda: gs.replay(program(LARGE), store.journal(f"table {LARGE}", of=Set), start=0))
    line("against a replay of all of them", took / once, "", f"{once:.2f} s")
    with store.journal(f"table {LARGE}", of=Set) as journal:
        took = seconds(lambda: gs.history.compare(program(LARGE), program(LARGE), journal))
        line("compare, the same", took / LARGE_MESSAGES * 1e6, "", f"{took:.1f} s in all")


def lived(store: gs.LMDBStore, entries: int, messages: int = MESSAGES) -> None:
    """Run the messages through a journal, with the snapshots at its two ends."""
    journal = store.journal(f"table {entries}", of=Set)
    journal.put(*[Set(number % entries, number) for number in range(messages if entries else 0)])
    journal.close()
    gs.run(program(entries), journal)


def verified(store: gs.LMDBStore, entries: int, messages: int = MESSAGES) -> None:
    with store.journal(f"table {entries}", of=Set) as journal:
        found = gs.verify(program(entries), journal)
        assert found.ok, found
        assert found.messages == (messages if entries else 0)


def imported(store: gs.LMDBStore, path: Path) -> None:
    messages = [Set(number, number) for number in range(IMPORTED)]
    with store.journal("exported", of=Set) as journal:
        journal.put(*messages)
        journal.export_to(path)
    numbers = iter(range(1000))

    def take_in() -> None:
        with store.journal(f"in {next(numbers)}", of=Set) as journal:
            assert journal.import_from(path) == IMPORTED

    def put() -> None:
        with store.journal(f"put {next(numbers)}", of=Set) as journal:
            for msg in messages:
                journal.put(msg)

    ratio, ours, theirs = compare(take_in, put, times=5)
    detail = f"{IMPORTED / ours / 1e3:.0f} k/s against {IMPORTED / theirs / 1e3:.0f} k/s"
    line("journal import, against putting the same messages", ratio, "", detail)


if __name__ == "__main__":
    print(__doc__)
    main()
