"""The bug in refunds: the first message that shows it, where the fix makes a difference, and the models made again, by three calls.

`python -m day.bug FOLDER`, after the work of both days.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import go_state as gs
from day.reading import Lines
from day.shop_two import Customer, Event, customer_of, mended_shop, parse, shop
from day.work import FILE


def has_too_much_back(before: Customer, msg: Event, after: Customer) -> bool:
    """Return whether more is refunded of an order than was paid for it."""
    purchase = after.purchases.get(msg.order)
    return purchase is not None and purchase.refunded > max(purchase.paid, purchase.cents)


def main(folder: Path) -> None:
    events: Lines[Any] = Lines(folder / FILE, parse)
    with gs.LMDBStore(folder / "shop.lmdb") as store:
        found = gs.first(shop, events, has_too_much_back, key_of=customer_of)
        assert found is not None
        print(f"first: message {found.position} of {found.key} made {found.before.refunded} into {found.after.refunded}")
        parted = gs.compare(shop, mended_shop, events, key_of=customer_of).parted
        assert parted is not None
        fields = [f"{each.path}: {each.expected} or {each.found}" for each in parted.fields]
        print(f"compare: the two part at message {parted.position} of {parted.key}, in {'; '.join(fields)}")
        done = gs.rebuild(mended_shop, events, store=store, key_of=customer_of)
        print(f"rebuild: {done.models} models made again, {done.changed} changed")
        for change in done.changes:
            if change.path == ".refunded":
                print(f"  {change}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
