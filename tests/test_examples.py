"""Every example runs, and prints what it is there to show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

PRINTS = {
    "02_children.py": """\
Board(left=0, right=0)
Board(left=9, right=0)
Board(left=9, right=2)
Board(left=9, right=2)
Board(left=0, right=2)
Board(left=1, right=2)
""",
    "03_embedded.py": """\
bob has 1 karma
bob: that does not count
bob has 2 karma
{'bob': 2}
""",
    "04_stream.py": """\
cellar: 1 readings, at most 12.0 °C
roof: 2 readings, at most 23.0 °C
3 processed, 1 set aside, exhausted
roof: 3 readings, at most 23.0 °C
1 processed, 0 set aside, exhausted
""",
}


def run(example: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / example],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("example", PRINTS)
def test_example_prints(example: str, tmp_path: Path) -> None:
    """The example ends well and prints exactly this."""
    ended = run(example, tmp_path)
    assert (ended.stdout, ended.stderr, ended.returncode) == (PRINTS[example], "", 0)


@pytest.mark.slow
def test_demo_counts_every_flight_once(tmp_path: Path) -> None:
    """The flights are counted in the first run, and none again in the second, which shows the same table."""
    first, second = run("01_flights.py", tmp_path), run("01_flights.py", tmp_path)
    assert "336,776 flights processed" in first.stdout, first.stderr
    assert "\n0 flights processed" in second.stdout, second.stderr
    assert first.stdout.split("\n336,776")[0] == second.stdout.split("\n0 flights")[0]


def test_every_example_is_tested() -> None:
    """No example is left out."""
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*PRINTS, "01_flights.py"}
