"""The same day without go_state: the same update over the same messages, and the same in dicts that are changed in place.

Both read the file line by line, pass over what is malformed, and save what has changed, with the line that they have come to, into one
sqlite file every so many lines, in one transaction; started again they go on from there. They keep nothing else of what go_state does:
no checksum, no schema, no fence against a second writer, no look at whether what is written reads back as it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from immutables import Map

from day.shop import Customer, Event, Order, Payment, Purchase, Refund, customer_of, init, update

_CLASSES = {"Order": Order, "Payment": Payment, "Refund": Refund}
Row = dict[str, Any]  # as JSON has it


class Table:
    """Customers by name as JSON, and the number of lines that were counted."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE IF NOT EXISTS customers (name TEXT PRIMARY KEY, data BLOB)")
        self._db.execute("CREATE TABLE IF NOT EXISTS place (at INTEGER)")

    def place(self) -> int:
        found = self._db.execute("SELECT at FROM place").fetchone()
        return 0 if found is None else int(found[0])

    def load(self, name: str) -> Row | None:
        found = self._db.execute("SELECT data FROM customers WHERE name = ?", (name,)).fetchone()
        return None if found is None else orjson.loads(found[0])

    def save(self, rows: list[tuple[str, bytes]], place: int) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT OR REPLACE INTO customers VALUES (?, ?)", rows)
        self._db.execute("DELETE FROM place")
        self._db.execute("INSERT INTO place VALUES (?)", (place,))
        self._db.execute("COMMIT")

    def all(self) -> dict[str, Row]:
        return {name: orjson.loads(data) for name, data in self._db.execute("SELECT name, data FROM customers")}

    def close(self) -> None:
        self._db.close()


def fold(lines: Path, into: Path, every: int) -> int:
    """Fold the file with the program's own update; return how many lines were malformed."""
    table = Table(into)
    models: dict[str, Customer] = {}
    changed: set[str] = set()
    bad = 0

    def save(place: int) -> None:
        table.save([(name, orjson.dumps(models[name], default=dict)) for name in changed], place)
        changed.clear()

    place = start = table.place()
    for place, line in _lines(lines, start):
        try:
            row = orjson.loads(line)
            msg: Event = _CLASSES[row.pop("type")](**row)
        except (ValueError, KeyError, TypeError, AttributeError):
            bad += 1
            continue
        name = customer_of(msg)
        model = models.get(name)
        if model is None:
            row = table.load(name)
            model = init(name)[0] if row is None else customer(row)
        models[name], _ = update(model, msg)
        changed.add(name)
        if place % every == 0:
            save(place)
    save(place)
    table.close()
    return bad


def fold_dicts(lines: Path, into: Path, every: int) -> int:
    """Fold the file with dicts that are changed in place; return how many lines were malformed."""
    table = Table(into)
    models: dict[str, Row] = {}
    changed: set[str] = set()
    bad = 0

    def save(place: int) -> None:
        table.save([(name, orjson.dumps(models[name])) for name in changed], place)
        changed.clear()

    place = start = table.place()
    for place, line in _lines(lines, start):
        try:
            msg = orjson.loads(line)
            count, name, order, _ = _COUNT[msg["type"]], msg["customer"], msg["order"], msg["cents"] + msg["at"]
        except (ValueError, KeyError, TypeError, AttributeError):
            bad += 1
            continue
        model = models.get(name)
        if model is None:
            model = models[name] = table.load(name) or _empty(name)
        purchase = model["purchases"].get(order)
        if purchase is None:
            purchase = model["purchases"][order] = {"cents": 0, "paid": 0, "refunded": 0, "events": []}
        count(model, purchase, msg)
        changed.add(name)
        if place % every == 0:
            save(place)
    save(place)
    table.close()
    return bad


def _lines(path: Path, after: int) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        yield from islice(enumerate(file, 1), after, None)


def customer(row: Row) -> Customer:
    purchases = {key: Purchase(**{**each, "events": tuple(each["events"])}) for key, each in row.pop("purchases").items()}
    return Customer(**row, purchases=Map(purchases))


def _empty(name: str) -> Row:
    return {"name": name, "ordered": 0, "paid": 0, "refunded": 0, "last_at": 0, "late": 0, "repeated": 0, "purchases": {}}


def _counting(total: str, part: str, *, once: bool = True) -> Callable[[Row, Row, Row], None]:
    def count(model: Row, purchase: Row, msg: Row) -> None:
        if once and msg["id"] in purchase["events"]:
            model["repeated"] += 1
            return
        model["late"] += msg["at"] < model["last_at"]
        model["last_at"] = max(model["last_at"], msg["at"])
        model[total] += msg["cents"]
        purchase[part] = msg["cents"] + (purchase[part] if part != "cents" else 0)
        purchase["events"].append(msg["id"])

    return count


_COUNT = {
    "Order": _counting("ordered", "cents"),
    "Payment": _counting("paid", "paid"),
    "Refund": _counting("refunded", "refunded", once=False),
}
