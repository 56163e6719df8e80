"""kill -9 while letters are written and retried: each message is in a model or in a letter, once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import go_state as gs

pytestmark = [pytest.mark.slow, pytest.mark.processes]

ROOT = Path(gs.__file__).parents[1]
ROWS = 9000  # more than the turns of forty lives, which go on while their kill is on its way
COMMON = """
import os, sys
from dataclasses import dataclass
import go_state as gs

@dataclass(frozen=True)
class Row:
    shop: str
    n: int

@dataclass(frozen=True)
class Shop:
    count: int = 0
    total: int = 0

def update(model: Shop, msg: Row) -> gs.Step[Shop, Row]:
    os.write(1, b".")
    if msg.n % 7 == 0 and not mended:
        raise ValueError(msg.n)
    return Shop(model.count + 1, model.total + msg.n), ()

def shop_of(msg): return msg.shop
mended = sys.argv[2] == "mended"
shops = gs.Program(lambda: (Shop(), ()), update, name="shops")
"""
AGGREGATE = """
with gs.LMDBStore("s") as store:
    letters = gs.DeadLetters(store, "night")
    os.write(1, b"b")
    source = gs.sources.JSONLines("rows.jsonl", Row)
    gs.aggregate(shops, source, store=store, key=shop_of, on_error=gs.SetAside(letters), snapshots=gs.Snapshots(every=20))
"""
RETRY = """
import go_state.dead_letters.into_models as into_models
into_models._TOGETHER = 10  # so that there is something to interrupt
with gs.LMDBStore("s") as store:
    os.write(1, b"b")
    gs.DeadLetters(store, "night").retry(shops, key=shop_of)
"""
BOT = """
with gs.LMDBStore("s") as store:
    letters = gs.DeadLetters(store, "bot")
    journal = store.journal("bot", of=Row)
    end = journal.statistics().end
    os.write(1, b"b")
    with gs.start(shops, store=store, key="bot", on_error=gs.SetAside(letters)) as app:
        for n in range(end, 300):
            app.send(Row("a", n))
            if n % 10 == 0:
                app.apply(Row("a", 1))
"""
REBUILD = """
with gs.LMDBStore("s") as store:
    os.write(1, b"b")
    gs.history.rebuild(shops, gs.sources.JSONLines("rows.jsonl", Row), store=store, key_of=shop_of)
"""
RETRY_BOT = """
import go_state.dead_letters.into_journals as into_journals
into_journals._TOGETHER = 3
with gs.LMDBStore("s") as store:
    os.write(1, b"b")
    letters = gs.DeadLetters(store, "bot")
    for letter in letters:
        os.write(1, b".")
        letters.retry(shops, letter.id)
"""


def life(folder: Path, script: str, how: str, kill_after: int | None = None) -> bool:
    """Run the script, and kill it after so many turns; return whether it was done before."""
    command = [sys.executable, "-c", COMMON + script, "", how]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}) as worker:
        assert worker.stdout is not None
        told = 0
        while (kill_after is None or told <= kill_after) and (more := os.read(worker.stdout.fileno(), 1)):
            told += len(more)
        if kill_after is not None:
            os.kill(worker.pid, signal.SIGKILL)
        worker.stdout.read()
    if worker.returncode not in (0, -signal.SIGKILL):
        raise AssertionError(f"it ended with {worker.returncode}")
    return worker.returncode == 0


def test_an_aggregate_that_is_killed_has_each_message_once(tmp_path: Path) -> None:
    """Forty kills: every record is in a model or in a letter. Then a retry that is killed as often: every one is in a model."""
    chance, rows = random.Random(14), [("ab"[n % 2], n) for n in range(ROWS)]
    lines = [json.dumps({"shop": shop, "n": n}) for shop, n in rows]
    lines[100:100] = ["{bad"]
    (tmp_path / "rows.jsonl").write_text("".join(line + "\n" for line in lines))
    kills = 0
    while not life(tmp_path, AGGREGATE, "broken", chance.randrange(150) if kills < 40 else None):
        kills += 1
        with gs.LMDBStore(tmp_path / "s") as store:
            positions = [letter.position for letter in gs.DeadLetters(store, "night")]
            marks = positions_of(store)
            expected = [at + 1 for at, line in enumerate(lines[:marks]) if line == "{bad" or json.loads(line)["n"] % 7 == 0]
            assert positions == expected  # none that was not saved, each one once
    assert kills == 40
    with gs.LMDBStore(tmp_path / "s") as store:
        letters = gs.DeadLetters(store, "night")
        assert len(letters) == 1 + sum(n % 7 == 0 for _, n in rows)
    kills = 0
    while not life(tmp_path, RETRY, "mended", chance.randrange(20) if kills < 30 else None):
        kills += 1
    with gs.LMDBStore(tmp_path / "s") as store:
        assert [letter.raw for letter in gs.DeadLetters(store, "night")] == [b"{bad"]
        totals = totals_of(store)
    assert totals == {shop: (ROWS // 2, sum(n for each, n in rows if each == shop)) for shop in "ab"}


def positions_of(store: gs.LMDBStore) -> int:
    from go_state.modes.aggregate.position_record import marks_of_sources

    marks = marks_of_sources(store, ["shops"])
    return int(marks["rows.jsonl"].position) if marks else 0


def totals_of(store: gs.LMDBStore) -> dict[str, tuple[int, int]]:
    from go_state.storage.snapshots.snapshot import read_envelope

    found = {}
    for key in "ab":
        stored = store.load(key)
        assert stored is not None
        model = json.loads(read_envelope(key, stored.data).payload)
        found[key] = model["count"], model["total"]
    return found


def test_a_journalled_program_that_is_killed_has_each_letter_once(tmp_path: Path) -> None:
    """A letter is there if its message is passed over, and after a retry that is killed each message is in the journal once more."""
    chance, kills = random.Random(41), 0
    while not life(tmp_path, BOT, "broken", chance.randrange(60) if kills < 25 else None):
        kills += 1
    with gs.LMDBStore(tmp_path / "s") as store:
        aside, end = store.journal("bot").set_aside(), store.journal("bot").statistics().end
        letters = list(gs.DeadLetters(store, "bot"))
        assert [letter.position for letter in letters] == sorted(aside)
        assert len(letters) > 20
    kills = 0
    while not life(tmp_path, RETRY_BOT, "mended", chance.randrange(4) if kills < 25 else None):
        kills += 1
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("bot")
        assert list(gs.DeadLetters(store, "bot")) == []
        again = [json.dumps(each.message[1]) for each in journal.read(end)]
        assert again == [json.dumps(json.loads(letter.message or b"")[1]) for letter in letters]


def test_a_rebuild_that_is_killed_leaves_models_and_letters_as_they_were_or_as_they_are_to_be(tmp_path: Path) -> None:
    """Each message is in a model or in a letter at any moment, never in both."""
    rows = [("ab"[n % 2], n) for n in range(400)]
    lines = [json.dumps({"shop": shop, "n": n}) for shop, n in rows]
    lines[100:100] = ["{bad"]
    (tmp_path / "rows.jsonl").write_text("".join(line + "\n" for line in lines))
    assert life(tmp_path, AGGREGATE, "broken")
    chance, kills = random.Random(5), 0
    while not life(tmp_path, REBUILD, "mended", chance.randrange(405) if kills < 20 else None):
        kills += 1
        with gs.LMDBStore(tmp_path / "s") as store:
            letters = list(gs.DeadLetters(store, "night"))
            in_models = sum(count for count, _ in totals_of(store).values())
            assert in_models + sum(letter.raw is None for letter in letters) == len(rows)
            assert len(letters) in (1, 1 + sum(n % 7 == 0 for _, n in rows))
    assert kills == 20
    with gs.LMDBStore(tmp_path / "s") as store:
        assert [letter.raw for letter in gs.DeadLetters(store, "night")] == [b"{bad"]
        assert totals_of(store) == {shop: (200, sum(n for each, n in rows if each == shop)) for shop in "ab"}
