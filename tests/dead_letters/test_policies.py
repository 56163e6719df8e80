"""Every mode, every policy, and every way to fail: a bad record, update, a command."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import both_drivers
import pytest
from both_drivers import Drivers

import go_state as gs

drivers = both_drivers.drivers


@dataclass(frozen=True)
class Shop:
    total: int = 0
    seen: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sale:
    shop: str
    amount: int


@dataclass(frozen=True)
class Note:
    """Sent by a command of each sale."""

    shop: str
    amount: int


def fail(amount: int) -> None:
    raise ValueError(f"no {amount}")


BAD, BAD_COMMAND, BAD_LATER, BAD_NOTE = -1, -2, -3, -4


def update(model: Shop, msg: Sale | Note) -> gs.Step[Shop, Sale | Note]:
    if isinstance(msg, Note):
        if msg.amount == BAD_NOTE:
            raise ValueError("no note")
        return replace(model, seen=(*model.seen, msg.amount)), ()
    if msg.amount == BAD:
        raise ValueError("no sale")
    commands: list[Any] = [gs.Cmd.send(Note(msg.shop, msg.amount))]
    if msg.amount == BAD_COMMAND:
        commands.append(lambda: fail(1))
    if msg.amount == BAD_LATER:
        commands.append(gs.Cmd.call(fail, 2, thread=True))
    return replace(model, total=model.total + msg.amount), commands


shops: gs.Program[Shop, Sale | Note] = gs.Program(lambda: (Shop(), ()), update)
GOOD = [1, 2, 4, 8, 16]


def shop_of(msg: Sale | Note) -> str:
    return msg.shop


def lines(path: Path, bad: int | str | None, at: int = 2) -> Path:
    """Write good sales with a bad one, or a line that is none, among them."""
    rows = [json.dumps({"shop": "ab"[each % 2], "amount": each}) for each in GOOD]
    if bad is not None:
        rows.insert(at, bad if isinstance(bad, str) else json.dumps({"shop": "a", "amount": bad}))
    path.write_text("".join(row + "\n" for row in rows))
    return path


def source(path: Path) -> gs.sources.JSONLines[Sale]:
    return gs.sources.JSONLines(path, Sale, finished=True)


WAYS = ["{bad", BAD, BAD_COMMAND, BAD_LATER, BAD_NOTE]


@pytest.mark.parametrize("bad", WAYS)
def test_halt_keeps_what_came_before_and_the_next_run_begins_there(tmp_path: Path, drivers: Drivers, bad: Any) -> None:
    """Batch and aggregate end before the failing message, name it, and once it is mended the next run counts each message once."""
    path = lines(tmp_path / "sales.jsonl", bad)
    found = drivers.batch(shops, source(path), on_error=gs.Halt())
    assert found.ended == "failed"
    assert found.failed is not None
    assert (found.position, found.processed, found.model) == (2, 4, Shop(3, (1, 2)))
    with gs.LMDBStore(tmp_path / "s") as store:
        first = drivers.aggregate(shops, source(path), store=store, key="all", on_error=gs.Halt())
        assert (first.ended, first.position, first.model) == ("failed", 2, Shop(3, (1, 2)))
        assert gs.load_model(shops, store=store, key="all") == Shop(3, (1, 2))
        again = drivers.aggregate(shops, source(path), store=store, key="all", on_error=gs.Halt())
        assert (again.ended, again.processed, again.position) == ("failed", 0, 2)
        last = drivers.aggregate(shops, source(path), store=store, key="all", on_error=gs.SetAside())
        assert (last.ended, last.position) == ("exhausted", 6)
        assert set(GOOD) <= set(last.model.seen)
        assert len(last.set_aside) == 1


@pytest.mark.parametrize("bad", WAYS)
def test_halt_in_a_keyed_aggregate(tmp_path: Path, drivers: Drivers, bad: Any) -> None:
    """The models of all keys are those before the failing message."""
    path = lines(tmp_path / "sales.jsonl", bad)
    with gs.LMDBStore(tmp_path / "s") as store:
        for _ in range(2):
            found = drivers.aggregate(shops, source(path), store=store, key=shop_of, on_error=gs.Halt())
            assert (found.ended, found.position) == ("failed", 2)
            assert dict(found.models) == {"a": Shop(2, (2,)), "b": Shop(1, (1,))}
        lines(path, None)
    with gs.LMDBStore(tmp_path / "t") as store:
        lines(tmp_path / "sales.jsonl", bad, at=0)
        found = drivers.aggregate(shops, source(path), store=store, key=shop_of, on_error=gs.Halt())
        assert (found.ended, found.position, found.processed, dict(found.models)) == ("failed", 0, 0, {})


@pytest.mark.parametrize("bad", WAYS)
@pytest.mark.parametrize("key", ["all", shop_of])
def test_letters_of_an_aggregate(tmp_path: Path, drivers: Drivers, bad: Any, key: Any) -> None:
    """What is set aside is a letter, all else is folded, and the result says how many there are."""
    path = lines(tmp_path / "sales.jsonl", bad)
    with gs.LMDBStore(tmp_path / "s") as store:
        letters = gs.DeadLetters(store, "night")
        found = drivers.aggregate(shops, source(path), store=store, key=key, on_error=gs.SetAside(letters))
        assert (found.ended, found.position, found.letters, found.set_aside) == ("exhausted", 6, 1, ())
        (letter,) = letters
        assert (letter.source, letter.position) == ("sales.jsonl", 3)
        assert letter.failed == {"{bad": "record", BAD_LATER: "command"}.get(bad, "turn")
        assert letter.error == ("BadRecord" if bad == "{bad" else "ValueError")
        if bad == "{bad":
            assert letter.raw == b"{bad"
        else:
            kind = "Note" if bad == BAD_NOTE else "Sale"
            assert json.loads(letter.message or b"") == [kind, {"shop": "a", "amount": bad}]
            assert letter.key == ("all" if key == "all" else "a")


@pytest.mark.parametrize("bad", WAYS)
def test_raise_ends_with_the_error_of_the_message(tmp_path: Path, drivers: Drivers, bad: Any) -> None:
    """The default: the error is raised, and nothing is saved."""
    path = lines(tmp_path / "sales.jsonl", bad)
    with gs.LMDBStore(tmp_path / "s") as store:
        with pytest.raises(ValueError, match=r"record 3 of .*sales.jsonl" if bad == "{bad" else "no "):
            drivers.aggregate(shops, source(path), store=store, key="all")
        assert [key for key in store.keys() if not key.startswith("@claims/")] == []  # noqa: SIM118  - the source is claimed before it is read
