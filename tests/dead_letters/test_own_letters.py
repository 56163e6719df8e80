"""What a durable program sets aside without naming a place, the order of letters, retries on an event loop, and raw records of a person."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.storage.letters import box as boxes


def strict(model: int, msg: int) -> gs.Step[int, int]:
    if msg < 0:
        raise ValueError("negative")
    return model + msg, [gs.Cmd.call(divide, msg, ok=lambda _: None, thread=True)] if msg == 7 else ()


def divide(by: int) -> float:
    raise ZeroDivisionError(by)


def mended(model: int, msg: int) -> gs.Step[int, int]:
    return model + abs(msg), ()


before: gs.Program[int, int] = gs.Program(lambda: (0, ()), strict)
after: gs.Program[int, int] = gs.Program(lambda: (0, ()), mended)


def test_what_a_journal_sets_aside_is_a_letter(tmp_path: Path) -> None:
    """Of an app, and of the programs of many keys, messages and failed commands are listed, and retried into their journals."""
    with gs.LMDBStore(tmp_path / "s") as store:
        with gs.start(before, store=store, key="bot", on_error=gs.SetAside()) as app:
            app.send(1, -2, 7)
        with gs.start_keyed(before, store=store, prefix="room/", on_error=lambda *_: gs.SetAside()) as rooms:
            rooms["a"].send(-3)
            rooms["b"].send(4, -5)
            rooms.settle(10)
        letters = gs.DeadLetters(store)
        found = [(each.journal, each.position, each.key, each.failed, each.error) for each in letters]
        assert found[:2] == [("bot", 1, None, "turn", "ValueError"), ("bot", 2, None, "command", "ZeroDivisionError")]
        assert sorted(found[2:]) == [("room/a", 0, "a", "turn", "ValueError"), ("room/b", 1, "b", "turn", "ValueError")]
        assert letters.retry(after) == gs.dead_letters.Retried(done=3, failed=0, left=1)
        with gs.start(after, store=store, key="bot") as app:
            app.settle(10)
            assert app.model == 1 + 7 + 2
        with gs.start_keyed(after, store=store, prefix="room/") as rooms:
            assert [rooms[key].apply(0, timeout=10) for key in "ab"] == [3, 9]
        assert [each.failed for each in letters] == ["command"]


@pytest.mark.parametrize("at_once", [2, 200_000])
def test_they_are_in_the_order_in_which_they_were_set_aside(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Whatever their sources are called, and however few of their times are in memory at once."""
    monkeypatch.setattr(boxes, "_SORTED", at_once)
    with gs.MemoryStore() as store:
        letters = gs.DeadLetters(store, "all")
        for number in range(1, 14):
            gs.batch(before, [-number], on_error=gs.SetAside(letters))  # each from a place of its own
        assert [json.loads(letter.message or b"") for letter in letters] == [-number for number in range(1, 14)]
        assert len(letters) == 13
        assert letters.drop_all() == 13


async def test_they_are_retried_on_an_event_loop(tmp_path: Path) -> None:
    """By a coroutine function, which may fail again, and by a program into the journal of an app that runs there."""
    with gs.LMDBStore(tmp_path / "s") as store:
        letters, seen = gs.DeadLetters(store), list[Any]()

        async def look(letter: gs.dead_letters.Letter) -> None:
            await asyncio.sleep(0)
            seen.append(letter.position)
            if letter.position == 1:
                raise KeyError("not yet")

        async with gs.start_async(before, store=store, key="bot", on_error=gs.SetAside()) as app:
            app.send(-1, -2, -3)
            await app.settle_async(10)
            assert await letters.retry_async(look) == gs.dead_letters.Retried(done=2, failed=1)
            assert seen == [0, 1, 2]
            assert [(each.position, each.error, each.tries) for each in letters] == [(1, "KeyError", 2)]
        async with gs.start_async(after, store=store, key="bot") as app:
            assert await letters.retry_async(after) == gs.dead_letters.Retried(done=1)
            await app.settle_async(10)
            assert app.model == 2
        assert len(letters) == 0
        with pytest.raises(gs.UsageError, match="a retry takes"):
            await letters.retry_async(None)  # type: ignore[arg-type]


def test_a_person_in_raw_records_is_found(tmp_path: Path) -> None:
    """`forget` says how many hold her key as text, plain or escaped, and `raw_with` gives them."""
    path = tmp_path / "n.jsonl"
    path.write_bytes('{"who": "änn"\n{"who": "\\u00e4nn", "by": }\n{"who": "bob"\n'.encode())
    with gs.LMDBStore(tmp_path / "s") as store:
        letters = gs.DeadLetters(store, "night")
        gs.aggregate(before, gs.sources.JSONLines(path, int), store=store, key="all", on_error=gs.SetAside(letters))
        assert len(letters) == 3
        assert [letter.position for letter in letters.raw_with("änn")] == [1, 2]
        forgotten = gs.history.forget(store, "änn")
        assert (forgotten.letters, forgotten.raw, bool(forgotten)) == (0, 2, False)
        letters.drop(*(letter.id for letter in letters.raw_with("änn")))
        assert gs.history.forget(store, "änn").raw == 0
