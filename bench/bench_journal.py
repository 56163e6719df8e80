"""How fast is a journal: append, replay, and puts that wait for the disk, against loops that do the same by hand?

The sync of the disk itself is timed too: a put that waits for it cannot be faster.
"""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import msgspec
from ratio import compare, line, seconds

import go_state as gs
from go_state.storage.journal.journal import Journal

COUNT = 300_000


@dataclass(frozen=True, slots=True)
class Add:
    by: int


@dataclass(frozen=True, slots=True)
class Say:
    who: str
    text: str


Msg = Add | Say


def init() -> gs.Step[int, Msg]:
    return 0, ()


def update(model: int, msg: Msg) -> gs.Step[int, Msg]:
    return model + (msg.by if type(msg) is Add else 1), ()


MESSAGES: list[Msg] = [Add(i) if i % 2 else Say("ann", "hello") for i in range(COUNT)]
PROGRAM = gs.Program(init, update)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, gs.LMDBStore(Path(folder, "journal.lmdb")) as store:
        numbers = iter(range(1000))
        ratio, ours, _ = compare(
            lambda: append(store.journal(f"a{next(numbers)}", of=Msg)),
            lambda: append_by_hand(Path(folder, f"{next(numbers)}.lmdb")),
            times=5,
        )
        line(
            "journal, put one by one, against encode and LMDB by hand",
            ratio,
            "",
            f"{COUNT / ours / 1e3:.0f} k/s, synced",
        )
        line("journal, put one by one, a second", COUNT / ours / 1e3, ">= 300", "group commit, synced", unit="k")
        journal = store.journal("a0", of=Msg)
        data = [msgspec.json.encode((type(msg).__name__, msg)) for msg in MESSAGES]
        ratio, ours, _theirs = compare(lambda: gs.replay(PROGRAM, journal), lambda: decode_and_update(data), times=5)
        line("replay against a loop that decodes and calls update", ratio, "<= 1.3", f"{COUNT / ours / 1e3:.0f} k/s")
        for waiters in (1, 8, 64):
            ours, sync = waited_for(store, waiters), synced(store)
            line(
                f"put with durability 'put', {waiters} threads, against one sync",
                ours / sync,
                "",
                f"{1 / ours / 1e3:.1f} k/s",
            )


def append(journal: Journal[Msg]) -> None:
    for msg in MESSAGES:
        journal.put(msg)
    journal.flush()


def append_by_hand(path: Path) -> None:
    env = lmdb.open(str(path), subdir=False, map_size=1 << 32)
    for first in range(0, COUNT, 4096):
        records = [msgspec.json.encode((type(msg).__name__, msg)) for msg in MESSAGES[first : first + 4096]]
        with env.begin(write=True) as transaction:
            transaction.put(b"%020d" % first, b",".join(records))
    env.close()


def decode_and_update(data: list[bytes]) -> int:
    decode = {"Add": msgspec.json.Decoder(Add).decode, "Say": msgspec.json.Decoder(Say).decode}
    envelope: Any = msgspec.json.Decoder(tuple[str, msgspec.Raw]).decode
    model = 0
    for record in data:
        name, fields = envelope(record)
        model, _ = update(model, decode[name](fields))
    return model


def waited_for(store: gs.LMDBStore, waiters: int) -> float:
    """Return the seconds of one message, of many threads that each wait for theirs."""
    journal = store.journal(f"waiters {waiters} {time.monotonic()}", of=Msg, durability="put")
    each = max(2000 // waiters, 30)

    def put() -> None:
        for msg in MESSAGES[:each]:
            journal.put(msg)

    threads = [threading.Thread(target=put) for _ in range(waiters)]

    def work() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return seconds(work) / (each * waiters)


def synced(store: gs.LMDBStore) -> float:
    """Return the seconds of one synced transaction."""
    versions = 0

    def work() -> None:
        nonlocal versions
        for _ in range(200):
            versions = store.store({"sync": gs.Write(b"x", versions)})["sync"]

    took = seconds(work) / 200
    store.store({"sync": gs.Write(None, versions)})
    return took


if __name__ == "__main__":
    print(__doc__)
    main()
