"""The files of a shop's day: one event a line, as others send them, with all that is wrong with them.

One line in a hundred is malformed, two in a hundred come again some thousand lines later, and three in a hundred are late: their time
is before that of lines that came earlier. On the second day the other side has a new field, a renamed one and one of another type.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Event = dict[str, Any]  # as JSON has it

_MORNING = 1_790_000_000
_AGAIN = 4_000  # lines, at most, until one comes again
_BROKEN = (
    '{"type": "Order", "id": ',
    "",
    "null",
    '{"type": "Order"}',
    "\x00\x01\x02",
    '["Order", 1]',
    '{"type": "Gift", "id": 1}',
)


def write_day(path: Path, number: int, customers: int, *, day: int = 1) -> dict[str, int]:
    """Write the file of a day, and return how many lines of each kind are in it."""
    chance = random.Random(f"{day} {number}")
    counted = {"lines": 0, "malformed": 0, "repeated": 0, "late": 0}
    with path.open("w", encoding="utf-8") as file:
        waiting: list[tuple[int, str]] = []  # what comes again, and at which line
        for at, event in enumerate(_events(chance, number, customers, day)):
            line = json.dumps(event)
            if chance.random() < 0.01:
                counted["malformed"] += 1
                file.write(chance.choice([line[: len(line) // 2], *(each for each in _BROKEN if each)]) + "\n")
            if chance.random() < 0.03:
                counted["late"] += 1
                line = json.dumps(_earlier(event, chance))
            if chance.random() < 0.02:
                waiting.append((at + chance.randrange(1, _AGAIN), line))
            file.write(line + "\n")
            counted["lines"] += 1
            due = [each for _, each in waiting if _ <= at] if waiting and at % 64 == 0 else []
            for again in due:
                counted["repeated"] += 1
                file.write(again + "\n")
            if due:
                waiting = [each for each in waiting if each[0] > at]
    return counted


def _events(chance: random.Random, number: int, customers: int, day: int) -> Iterator[Event]:
    """Give orders, each with its payments, and some with a refund, in the order of their times."""
    open_orders: list[tuple[str, str, int]] = []
    for count in range(number):
        at = _MORNING + (day - 1) * 86_400 + count * 86_400 // number
        common = {"id": f"{day}-{count}"}
        kind = chance.random()
        if kind < 0.45 or not open_orders:
            order, customer, cents = f"{day}o{count}", f"c{chance.randrange(customers)}", chance.randrange(100, 20_000)
            open_orders.append((order, customer, cents))
            event = {"type": "Order", **common, "order": order, "customer": customer, "at": at, "cents": cents}
        else:
            place = chance.randrange(len(open_orders))
            order, customer, cents = open_orders[place]
            refund = kind > 0.9
            open_orders[place] = open_orders[-1]
            if kind < 0.85:
                open_orders.pop()
            event = {
                "type": "Refund" if refund else "Payment",
                **common,
                "order": order,
                "customer": customer,
                "at": at,
                "cents": cents,
            }
        yield _of_day_two(event, chance) if day > 1 else event


def _of_day_two(event: Event, chance: random.Random) -> Event:
    """Return the event as the second day has it: `channel` is new, `cents` is called `amount`, and `at` is text."""
    at = dt.datetime.fromtimestamp(event["at"], dt.UTC).isoformat()
    rest = {name: value for name, value in event.items() if name not in ("cents", "at")}
    return {**rest, "at": at, "amount": event["cents"], "channel": chance.choice(["web", "app"])}


def _earlier(event: Event, chance: random.Random) -> Event:
    if isinstance(event["at"], str):
        return {**event, "at": (dt.datetime.fromisoformat(event["at"]) - dt.timedelta(hours=1)).isoformat()}
    return {**event, "at": event["at"] - 3600}
