"""What does a whole working day cost, against the same update folded by hand into sqlite, and against dicts changed in place?

500,000 lines of JSON, one in a hundred malformed and two in a hundred repeated, over 20,000 customers, saved every 50,000 lines; and where
the time goes: each part alone, over the same lines.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
from day import by_hand, shop
from day.lines import write_day
from day.work import FILE, work
from ratio import line, seconds

import go_state as gs

LINES, CUSTOMERS, EVERY = 500_000, 20_000, 50_000


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, number = Path(name), count()
        file = folder / FILE
        write_day(file, LINES, CUSTOMERS)
        ways: list[Callable[[], object]] = [
            lambda: work(folder, 1, EVERY, store=f"{next(number)}.lmdb"),
            lambda: by_hand.fold(file, folder / f"{next(number)}.db", EVERY),
            lambda: by_hand.fold_dicts(file, folder / f"{next(number)}.db", EVERY),
        ]
        runs = [[seconds(way) for way in ways] for _ in range(3)]
        ours, hand, dicts = (statistics.median(each) for each in zip(*runs, strict=True))
        to_hand = statistics.median(run[0] / run[1] for run in runs)
        to_dicts = statistics.median(run[0] / run[2] for run in runs)
        line(
            "a day of 500,000 lines against the same update by hand in sqlite",
            to_hand,
            "<= 2",
            f"{ours:.1f} s against {hand:.1f} s",
        )
        line("... against dicts that are changed in place", to_dicts, "said", f"{ours:.1f} s against {dicts:.1f} s")
        for what, part in parts(file).items():
            line(f"... of that, {what}", part / ours, "said", f"{part:.1f} s", unit="")


def parts(file: Path) -> dict[str, float]:
    """Return how long each part of the work takes alone, in seconds."""
    lines = file.read_bytes().splitlines()
    parse, messages = shop.parse, list[Any]()

    def decode() -> None:
        for each in lines:
            with suppress(ValueError, KeyError, TypeError):
                messages.append(parse(each))

    models: dict[str, shop.Customer] = {}

    def fold() -> None:
        for msg in messages:
            models[msg.customer], _ = shop.update(models.get(msg.customer) or shop.Customer(msg.customer), msg)

    decoding, folding = seconds(decode), seconds(fold)
    some = list(models.values())[:1000]
    replacing = _each(lambda: [replace(each, paid=1, late=2, last_at=3) for each in some], len(some)) * len(messages)
    setting = _each(lambda: [each.purchases.set("new", shop.Purchase()) for each in some], len(some)) * len(messages)
    codec: gs.JsonCodec[shop.Customer] = gs.JsonCodec(shop.Customer)
    saves = LINES / EVERY * len(models) / 2  # on the average a model has half of what it has in the end
    encoding = _each(lambda: [codec.encode(each) for each in some], len(some)) * saves
    writing = _each(lambda: [msgspec.json.encode(each, enc_hook=dict) for each in some], len(some)) * saves
    return {
        "decoding the lines": decoding,
        "the update": folding,
        "... dataclasses.replace, one of its two": replacing,
        "... a persistent map's set": setting,
        "models to JSON, with the proof that it reads back": encoding,
        "... the writing alone": writing,
    }


def _each(fn: Callable[[], object], number: int) -> float:
    return statistics.median(seconds(fn) for _ in range(5)) / number


if __name__ == "__main__":
    print(__doc__)
    main()
