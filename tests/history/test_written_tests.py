"""The tests that `to_test` writes, run by pytest: with the program that was recorded, and with one that does something else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from history_worlds import Worlds, keyed, plain, some_sales

import go_state as gs

pytestmark = [pytest.mark.processes, pytest.mark.slow]

ROOT = Path(gs.__file__).parents[1]
WORLDS = [f"{kind} {of}" for kind in ("lmdb", "csv", "jsonlines", "aggregate") for of in ("plain", "keyed")]

OTHER = """
from dataclasses import replace
from history_worlds import keyed, mended, plain
plain, keyed = (replace(each, update=mended) for each in (plain, keyed))
"""


def test_what_is_written_passes_today_and_fails_for_another_update(tmp_path: Path) -> None:
    """Of a plain and a keyed program, of journals, files and aggregates over them; each file is one test."""
    (tmp_path / "other.py").write_text(OTHER)
    for folder in ("same", "changed"):
        (tmp_path / folder).mkdir()
    for each in WORLDS:
        kind, of = each.split()
        name = f"{kind}_{of}"
        (tmp_path / name).mkdir()
        worlds = Worlds(tmp_path / name, None)  # type: ignore[arg-type]  # none of these is in Postgres
        with worlds.ends:
            world = worlds.make(kind, keyed if of == "keyed" else plain, some_sales())
            for folder, module in (("same", "history_worlds"), ("changed", "other")):
                path = tmp_path / folder / f"test_{name}_{folder}.py"
                gs.to_test(world.program, world.history, path, of=f"{module}:{of}", **world.options)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=no", "same", "changed"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = [line.split()[1] for line in ran.stdout.splitlines() if line.startswith("FAILED")]
    assert f"{len(WORLDS)} failed, {len(WORLDS)} passed" in ran.stdout, ran.stdout + ran.stderr
    assert all(each.startswith("changed/") for each in failed)
