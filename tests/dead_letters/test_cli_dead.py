"""`go-state dead`: list, show, retry, drop and export."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import go_state as gs

pytestmark = pytest.mark.processes

ROOT = Path(gs.__file__).parents[1]

PROGRAM = """
import json
from dataclasses import dataclass
import go_state as gs

@dataclass(frozen=True)
class Sale:
    shop: str
    amount: int

def update(model: int, msg: Sale) -> gs.Step[int, Sale]:
    if msg.amount == 13:
        raise ValueError("no \\x1b[2J thirteen")
    return model + msg.amount, ()

def mended(model: int, msg: Sale) -> gs.Step[int, Sale]:
    return model + msg.amount, ()

def shop_of(msg): return msg.shop

def fix(raw): return Sale("c", len(raw))

shops = gs.Program(lambda: (0, ()), update, name="shops")
mended = gs.Program(lambda: (0, ()), mended, name="shops")
"""


def go(folder: Path, *args: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "go_state.cli", "dead", *args], cwd=folder, env={"PYTHONPATH": str(ROOT), "COLUMNS": "300"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr + done.stdout
    return done.stdout + done.stderr


def test_the_commands(tmp_path: Path) -> None:
    """From the list to the last letter gone."""
    (tmp_path / "night.py").write_text(PROGRAM)
    (tmp_path / "n.jsonl").write_text(
        '{"shop":"a","amount":1}\n{"shop":"a","amount":13}\n\x1b]0;bad\n{"shop":"b","amount":13}\n'
    )
    script = (
        "import go_state as gs, night\n"
        "with gs.LMDBStore('s') as store:\n"
        "    on_error = gs.SetAside(gs.DeadLetters(store, 'night'))\n"
        "    source = gs.sources.JSONLines('n.jsonl', night.Sale)\n"
        "    gs.aggregate(night.shops, source, store=store, key=night.shop_of, on_error=on_error)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, check=True)
    rows = [json.loads(line) for line in go(tmp_path, "list", "s", "--json").splitlines()]
    assert [(row["name"], row["position"], row["failed"], row["key"]) for row in rows] == [
        ("night", 2, "turn", "a"), ("night", 3, "record", None), ("night", 4, "turn", "b"),
    ]  # fmt: skip
    table = go(tmp_path, "list", "s", "night")
    assert "n.jsonl" in table
    assert "\x1b[2J" not in table
    assert "no letter is under 'nope' in" in go(tmp_path, "list", "s", "nope", code=1)
    assert "there are letters under 'night'" in go(tmp_path, "list", "s", "nope", "--json", code=1)
    shown = json.loads(go(tmp_path, "show", "s", "night", rows[1]["id"]))
    assert shown["raw"] == "\x1b]0;bad"
    assert "there is no letter" in go(tmp_path, "show", "s", "night", "nope", code=1)
    assert go(tmp_path, "export", "s", "night", "out.jsonl") == ""
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3
    again = ("retry", "s", "night", "night:mended")
    assert "1 done, 0 failed" in go(tmp_path, *again, rows[0]["id"], "--key", "night:shop_of")
    said = go(tmp_path, *again, "--key", "night:shop_of", "--json", code=1)
    assert json.loads(said) == {"done": 1, "failed": 1, "left": 0}
    assert "1 done, 0 failed" in go(tmp_path, *again, "--key", "night:shop_of", "--decode", "night:fix")
    assert go(tmp_path, "list", "s", "--json") == ""
    assert "say which" in go(tmp_path, "drop", "s", "night", code=1)
    dropped, said = go(tmp_path, "drop", "s", "night", "--all", "--json").splitlines()
    assert (json.loads(dropped), "there are no letters at all" in said) == ({"dropped": 0}, True)
    assert "no letter is under 'nigth' in" in go(tmp_path, "export", "s", "nigth")
    assert "no letter is under 'nigth' in" in go(tmp_path, "retry", "s", "nigth", "night:mended")
    with gs.LMDBStore(tmp_path / "s") as store:
        sys.path.insert(0, str(tmp_path))
        import night  # type: ignore[import-not-found]

        assert [gs.load_model(night.mended, store=store, key=key) for key in "abc"] == [14, 13, 7]
