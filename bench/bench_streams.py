"""What does the holder of a partitioned source cost, against the same loop by hand, and with a thousand partitions on one worker?

A log in memory stands in for the client: 500 thousand JSON messages, 1,000 keys, 8 partitions, LMDB, saved each second. By hand that is
a dict of models and one of positions, and a transaction of both each second.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lmdb
import msgspec
from ratio import compare, line

import go_state as gs
from go_state.core.ports.partitions import Holder

COUNT, KEYS, PARTITIONS, AT_ONCE, MANY = 500_000, 1_000, 8, 5_000, 1_000


@dataclass(frozen=True, slots=True)
class Sale:
    shop: str
    cents: int


@dataclass(frozen=True, slots=True)
class Shop:
    sales: int = 0
    cents: int = 0


def init() -> gs.Step[Shop, Sale]:
    return Shop(), ()


def update(model: Shop, msg: Sale) -> gs.Step[Shop, Sale]:
    return replace(model, sales=model.sales + 1, cents=model.cents + msg.cents), ()


decode = msgspec.json.Decoder(Sale).decode


class Log:
    """Partitions of bytes, as polls of up to AT_ONCE records in turn, as a client gives them."""

    name = "sales"

    def __init__(self, partitions: int, count: int = COUNT) -> None:
        self.records: dict[str, list[tuple[int, bytes]]] = {str(number): [] for number in range(partitions)}
        for i in range(count):
            shop = i * 7919 % KEYS
            records = self.records[str(shop % partitions)]
            records.append((len(records), msgspec.json.encode(Sale(f"shop-{shop}", i % 1000))))
        self.polls = [
            (partition, records[first : first + AT_ONCE])
            for first in range(0, count, AT_ONCE)
            for partition, records in self.records.items()
            if first < len(records)
        ]

    def fingerprint(self, partition: str) -> str:
        return "sales"

    def recognise(self, partition: str, fingerprint: str) -> None:
        """It always is."""

    def open_partitions(self) -> Reading:
        return Reading(self)


class Reading:
    def __init__(self, log: Log) -> None:
        self.log = log
        self.polls = iter(log.polls)
        self.has_begun = False
        self.message = lambda record: decode(record[1])

    def poll(self, seconds: float, holder: Holder[tuple[int, bytes]]) -> bool:
        if not self.has_begun:
            self.has_begun = True
            holder.assigned(list(self.log.records))
        for partition, records in self.polls:
            holder.give(partition, records)
            return True
        return False

    def wake(self) -> None:
        """It never sleeps."""

    def raw(self, record: tuple[int, bytes]) -> bytes:
        return record[1]

    def position(self, record: tuple[int, bytes]) -> int:
        return record[0]

    def time(self, record: tuple[int, bytes]) -> None:
        return None

    def lag(self, partition: str) -> None:
        return None

    def holds(self, partition: str) -> bool:
        return True

    def seek(self, partition: str, after: object) -> None:
        raise NotImplementedError

    def pause(self, partition: str) -> None:
        """It gives one poll after the other."""

    def resume(self, partition: str) -> None:
        """See above."""

    def saved(self, positions: Mapping[str, object]) -> None:
        """Nobody is told."""

    def close(self, holder: Holder[tuple[int, bytes]]) -> None:
        """There is nothing to close."""


def main() -> None:
    log = Log(PARTITIONS)
    with tempfile.TemporaryDirectory() as folder:
        number = iter(range(1000))
        ratio, ours, theirs = compare(
            lambda: aggregate(Path(folder, f"{next(number)}.lmdb"), log),
            lambda: by_hand(Path(folder, f"{next(number)}.lmdb"), log.polls),
            times=5,
        )
        line(
            "a source of 8 partitions against a loop by hand",
            ratio,
            "<= 1.5",
            f"{ours / COUNT * 1e6:.2f} us against {theirs / COUNT * 1e6:.2f} us a message",
        )
        many = Log(MANY)
        ratio, ours, theirs = compare(
            lambda: aggregate(Path(folder, f"{next(number)}.lmdb"), many),
            lambda: aggregate(Path(folder, f"{next(number)}.lmdb"), log),
            times=3,
        )
        line(
            "1,000 partitions on one worker against 8",
            ratio,
            "<= 2.0",
            f"{ours / COUNT * 1e6:.2f} us against {theirs / COUNT * 1e6:.2f} us a message",
        )


def aggregate(path: Path, log: Log) -> None:
    with gs.LMDBStore(path) as store:
        result = gs.aggregate(
            gs.Program(init, update), log, store=store, key=lambda msg: msg.shop, snapshots=gs.Snapshots(seconds=1)
        )
    assert result.processed == COUNT


def by_hand(path: Path, polls: Sequence[tuple[str, Sequence[tuple[int, bytes]]]]) -> None:
    models: dict[str, Shop] = {}
    positions: dict[str, int] = {}
    dirty: set[str] = set()
    env = lmdb.open(str(path), subdir=False, map_size=1 << 36)

    def save() -> None:
        with env.begin(write=True) as transaction:
            for key in dirty:
                transaction.put(key.encode(), msgspec.json.encode(models[key]))
            transaction.put(b"@positions", msgspec.json.encode(positions))
        dirty.clear()

    due = time.monotonic() + 1
    for partition, records in polls:
        for _, data in records:
            msg = decode(data)
            model, _ = update(models.get(msg.shop) or init()[0], msg)
            models[msg.shop] = model
            dirty.add(msg.shop)
        positions[partition] = records[-1][0]
        if time.monotonic() >= due:
            save()
            due = time.monotonic() + 1
    save()
    env.close()


if __name__ == "__main__":
    print(__doc__)
    main()
