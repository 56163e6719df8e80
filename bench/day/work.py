"""The work of a day, in a process that may be killed: `python -m day.work FOLDER DAY EVERY` folds FOLDER/events.jsonl into FOLDER/shop.lmdb.

The file grows from day to day, and the program of the second day reads the lines of the first one as well.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import go_state as gs
from day import shop, shop_two
from day.reading import Lines

FILE = "events.jsonl"
_SHOPS: dict[int, Any] = {1: shop, 2: shop_two}


def work(folder: Path, day: int, every: int, *, store: str = "shop.lmdb") -> tuple[int, int]:
    """Fold what the file has beyond the last save; return how many events that were, and how many lines were malformed."""
    of = _SHOPS[day]
    lines: Lines[Any] = Lines(folder / FILE, of.parse)
    with gs.LMDBStore(folder / store) as kept:
        result = gs.aggregate(of.shop, lines, store=kept, key=of.customer_of, snapshots=gs.Snapshots(every=every))
    return result.processed, len(lines.malformed)


if __name__ == "__main__":
    if int(sys.argv[2]) not in _SHOPS:
        sys.exit(f"there is no day {sys.argv[2]}")
    print(*work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
