"""Ctrl-C at every point of the care of a store: it is whole afterwards, can be used, and no half of a file is left."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from interrupts import Interrupt, at_every_point

import go_state as gs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore::pytest.PytestUnraisableExceptionWarning"
    ),  # a file that is dropped is closed, and says so
]


@dataclass(frozen=True)
class Paid:
    customer: str


def init() -> gs.Step[int, Paid]:
    return 0, ()


def update(model: int, msg: Paid) -> gs.Step[int, Paid]:
    return model + len(msg.customer), ()


shop = gs.Program(init, update, name="shop")


def test_an_interrupted_compaction_leaves_a_store_that_works(tmp_path: Path) -> None:
    """The same store goes on, or says that it has to be opened again; the file is the old or the new."""

    def interrupted(interrupt: Interrupt) -> None:
        folder = tmp_path / f"{interrupt.left}"
        folder.mkdir()
        with gs.LMDBStore(folder / "s") as store:
            version = store.store({"a": gs.abc.Write(b"1", 0)})["a"]
            with interrupt:
                store.compact()
            with suppress(gs.errors.StoreReplaced):  # if the file was exchanged, and could not be opened again
                store.compact()
                version = store.store({"a": gs.abc.Write(b"2", version)})["a"]
        with gs.LMDBStore(folder / "s") as store:
            assert store.load("a").version == version  # type: ignore[union-attr]
            store.compact()
        assert {path.name for path in folder.iterdir()} == {"s", "s-lock"}

    at_every_point(interrupted)


def test_an_interrupted_backup_leaves_a_whole_one_or_none(tmp_path: Path) -> None:
    """And the store goes on."""

    def interrupted(interrupt: Interrupt) -> None:
        folder = tmp_path / f"{interrupt.left}"
        folder.mkdir()
        with gs.LMDBStore(folder / "s") as store:
            version = store.store({"a": gs.abc.Write(b"1", 0)})["a"]
            with interrupt:
                store.backup(folder / "backup")
            store.store({"a": gs.abc.Write(b"2", version)})
        assert {path.name for path in folder.iterdir()} <= {"s", "s-lock", "backup"}
        if (folder / "backup").exists():
            with gs.LMDBStore(folder / "backup", readonly=True) as backup:
                assert backup.load("a").data == b"1"  # type: ignore[union-attr]

    at_every_point(interrupted)


def test_an_interrupted_rewriting_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    """The same journal goes on in either case, and can be rewritten."""

    def without(entry: Any) -> Paid | None:
        return None if entry.message.customer == "bob" else entry.message

    def interrupted(interrupt: Interrupt) -> None:
        with gs.LMDBStore(tmp_path / f"{interrupt.left}") as store:
            with gs.start(shop, store=store, key="shop") as app:
                app.send(Paid("ann"))
                app.apply(Paid("bob"), timeout=30)
            journal = store.journal("shop", of=Paid)
            with interrupt:
                gs.history.rewrite(shop, journal, without)
            found = [each.message for each in journal.read()], gs.load_model(shop, store=store, key="shop")
            assert found in (([Paid("ann"), Paid("bob")], 6), ([Paid("ann"), None], 3))
            gs.history.rewrite(shop, journal, without)
            journal.put(Paid("cleo"))
            journal.close()
            with gs.start(shop, store=store, key="shop") as app:
                assert app.apply(Paid(""), timeout=30) == 7

    nth, came = 1, True
    while came:  # there are thousands of points, so a part of them, never the same distance apart
        interrupt = Interrupt(nth)
        interrupted(interrupt)
        nth, came = nth + 31 + nth % 17, interrupt.came
    assert nth > 500
