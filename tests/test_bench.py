"""The benches as data: what is kept of a run, what it is compared with, and the table in the documentation that is made of it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module `runs` of the benches, which keeps runs in a folder of the test's own."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    import runs

    monkeypatch.setattr(runs, "FOLDER", tmp_path)
    return runs


@pytest.mark.parametrize(
    ("ratio", "budget", "holds"),
    [
        (1.2, "<= 1.2", True),
        (1.3, "<= 1.2", False),
        (8.0, ">= 8", True),
        (7.9, ">= 8", False),
        (9.0, "~ 1", None),
        (1.0, "", None),
    ],
)
def test_a_budget_holds_or_not(runs: ModuleType, ratio: float, budget: str, holds: bool | None) -> None:
    """A bound is kept or broken; another text says nothing."""
    assert runs.Result("run", "how much?", ratio, budget).holds is holds


def test_a_run_is_kept_and_read_back(runs: ModuleType) -> None:
    """Each run has a file of its own; of a question the newest answer of this machine counts."""
    machine = runs.machine()
    for at, here, ratio in (("2026-01-01T00:00:00", machine, 1.5), ("2026-01-02T00:00:00", {**machine, "cpu": "other"}, 9.0)):
        runs.Run(at, "abc", here, {}, [runs.Result("run", "how much?", ratio)]).save()
    assert [run.results[0].ratio for run in runs.runs()] == [1.5, 9.0]
    assert runs.newest()["how much?"].ratio == 1.5


def test_results_come_from_the_process_of_a_bench(runs: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bench that `python bench` runs appends its results; one that is run by itself keeps none."""
    result = runs.Result("run", "how much?", 1.5, "<= 2", "0.2 us", "us")
    runs.record(result)
    assert runs.recorded(tmp_path / "out") == []
    monkeypatch.setenv(runs._OUT, runs.recording(tmp_path / "out")[runs._OUT])
    runs.record(result)
    runs.record(result)
    assert runs.recorded(tmp_path / "out") == [result, result]


def test_the_page_gets_the_table(runs: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table is put between its marks, again and again, with Go's figures; what was not measured is told."""
    import table

    row = table.ROWS[0]
    results = {question: runs.Result("run", question, 1.234, "<= 1.3") for question in row.measured}
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    for _ in range(2):
        table.write(page, results)
    first, *lines, last = page.read_text().splitlines()
    assert (first, last, len(lines)) == ("before", "after", 5)
    assert lines[3].startswith(f"| {row.question} | 1.2 × (")
    assert lines[3].endswith("| ≤ 1.3 × | 0.50 µs a message |")
    assert table.ROWS[-1].question not in page.read_text()
    assert "not measured" in capsys.readouterr().err
    (tmp_path / "other.md").write_text("no marks")
    with pytest.raises(SystemExit):
        table.write(tmp_path / "other.md", results)


def test_the_page_has_its_marks(runs: ModuleType) -> None:
    """`python bench --write` finds where the table goes."""
    import table

    for name in ("performance", "architecture"):
        page = (ROOT / "docs" / f"{name}.md").read_text()
        assert page.count(table.BEGIN) == page.count(table.END) == 1


def test_journeys_are_a_table_of_counts(runs: ModuleType) -> None:
    """Each journey is a row, whose cells are what was counted of each unit."""
    import table

    counted = [("put: calls", 15, "calls"), ("put: files", 9, "files"), ("get: calls", 7, "calls")]
    results = {name: runs.Result("journeys", name, count, "<= 99", unit=unit) for name, count, unit in counted}
    results["other"] = runs.Result("run", "other", 1.0)
    assert table.journeys(results).splitlines()[2:] == ["| put | 15 | 9 |  |", "| get | 7 |  |  |"]


def test_a_journey_ends_where_its_message_is(runs: ModuleType) -> None:
    """What a thread does after it has woken the next one is not on the message's way; files and their changes are counted by thread."""
    import journeys

    calls = [
        journeys.Call(1, "a.py", "put"),
        journeys.Call(1, "b.py", "Waker.wake"),
        journeys.Call(2, "c.py", "take"),
        journeys.Call(1, "a.py", "put again"),
        journeys.Call(2, "d.py", "view"),
    ]
    journey = journeys.Journey(journeys.on_the_way(calls))
    assert [call.name for call in journey.calls] == ["put", "Waker.wake", "take", "view"]
    assert (journey.files, journey.changes) == (4, 2)
