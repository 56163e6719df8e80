"""Does a save cost what has changed, or what is kept? Ten of a million keys change, and ten of ten thousand."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from ratio import compare, line

import go_state as gs

MANY, FEW = 1_000_000, 10_000


@dataclass(frozen=True, slots=True)
class Shop:
    sales: int = 0


def update(model: Shop, msg: str) -> gs.Step[Shop, str]:
    return replace(model, sales=model.sales + 1), ()


PROGRAM: gs.Program[Shop, str] = gs.Program(lambda: (Shop(), ()), update)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, filled(folder, MANY) as many, filled(folder, FEW) as few:
        ratio, ours, theirs = compare(lambda: change_ten(many), lambda: change_ten(few), times=21)
    line(
        "ten changes among 1,000,000 against among 10,000 models",
        ratio,
        "<= 1.2",
        f"{ours * 1e3:.2f} ms against {theirs * 1e3:.2f} ms",
    )


def filled(folder: str, count: int) -> gs.LMDBStore:
    store = gs.LMDBStore(Path(folder, f"{count}.lmdb"))
    gs.aggregate(PROGRAM, (str(i) for i in range(count)), store=store, key=str, snapshots=gs.Snapshots(every=100_000))
    return store


def change_ten(store: gs.LMDBStore) -> None:
    gs.aggregate(PROGRAM, [str(i * 997) for i in range(10)], store=store, key=str)


if __name__ == "__main__":
    print(__doc__)
    main()
