"""How much slower is a keyed aggregate than a hand-written dict loop that decodes, updates and writes the same LMDB?

A million JSON messages over 10 thousand keys, and a model a key.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import lmdb
import msgspec
from ratio import compare, line

import go_state as gs

COUNT, KEYS = 1_000_000, 10_000


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


def main() -> None:
    lines = [msgspec.json.encode(Sale(f"shop-{i * 7919 % KEYS}", i % 1000)) for i in range(COUNT)]
    decode = msgspec.json.Decoder(Sale).decode
    with tempfile.TemporaryDirectory() as folder:
        number = iter(range(1000))
        ratio, ours, theirs = compare(
            lambda: aggregate(Path(folder, f"{next(number)}.lmdb"), lines, decode),
            lambda: by_hand(Path(folder, f"{next(number)}.lmdb"), lines, decode),
            times=5,
        )
    line(
        "keyed aggregate against a dict loop",
        ratio,
        "<= 1.5",
        f"{ours / COUNT * 1e6:.2f} us against {theirs / COUNT * 1e6:.2f} us a message",
    )


def aggregate(path: Path, lines: list[bytes], decode: Callable[[bytes], Sale]) -> None:
    with gs.LMDBStore(path) as store:
        gs.aggregate(gs.Program(init, update), map(decode, lines), store=store, key=lambda msg: msg.shop)


def by_hand(path: Path, lines: list[bytes], decode: Callable[[bytes], Sale]) -> None:
    models: dict[str, Shop] = {}
    for data in lines:
        msg = decode(data)
        model, _ = update(models.get(msg.shop) or init()[0], msg)
        models[msg.shop] = model
    env = lmdb.open(str(path), subdir=False, map_size=1 << 36)
    with env.begin(write=True) as transaction:
        for key, model in models.items():
            transaction.put(key.encode(), msgspec.json.encode(model))
    env.close()


if __name__ == "__main__":
    print(__doc__)
    main()
