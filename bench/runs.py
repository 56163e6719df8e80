"""Runs of the benches as data: one JSON file each, with the machine and the versions, in `runs/`, which git ignores.

    {"at": "2026-11-27T15:30:00", "commit": "ab92ddf", "machine": {...}, "versions": {...},
     "results": [{"bench": "run", "question": "...", "ratio": 1.1, "budget": "<= 1.2", "detail": "..."}, ...]}

A ratio is compared with the last of the same question on the same machine: figures of two machines say nothing about each other.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

FOLDER = Path(__file__).parent / "runs"
PACKAGES = ("janus", "lmdb", "msgspec", "orjson", "eventsourcing", "psycopg")


@dataclass(frozen=True)
class Result:
    """One answer: how many times as much, or how much of a unit; its budget, such as "<= 1.2"; and the figures, as text."""

    bench: str
    question: str
    ratio: float
    budget: str = ""
    detail: str = ""
    unit: str = "x"

    @property
    def holds(self) -> bool | None:
        """Whether the ratio is within its budget; None if the budget is no bound, such as "~ 1"."""
        sign, _, bound = self.budget.partition(" ")
        if sign not in ("<=", ">="):
            return None
        try:
            limit = float(bound)
        except ValueError:  # it has a unit of its own: "300 k/s"
            return None
        return self.ratio <= limit if sign == "<=" else self.ratio >= limit


@dataclass(frozen=True)
class Run:
    """One call of `python bench`."""

    at: str
    commit: str
    machine: dict[str, str]
    versions: dict[str, str]
    results: list[Result] = field(default_factory=list)

    def save(self) -> Path:
        """Write the run into a file of its own, and return that."""
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / f"{self.at.replace(':', '')}.json"
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")
        return path


def this_run() -> Run:
    """Return a run of now, on this machine, without results."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=FOLDER.parent, check=False
    )
    return Run(datetime.now().isoformat(timespec="seconds"), commit.stdout.strip(), machine(), versions())


def machine() -> dict[str, str]:
    """Return what is known of the machine."""
    info = Path("/proc/cpuinfo")
    models = (
        [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    cpu = models[0] if models else platform.processor()
    return {
        "cpu": cpu,
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """Return the versions of what is measured, and measured against."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def runs() -> Iterator[Run]:
    """Give every run that was kept, the oldest first."""
    for path in sorted(FOLDER.glob("*.json")):
        data = json.loads(path.read_text())
        yield Run(**{**data, "results": [Result(**each) for each in data["results"]]})


def newest() -> dict[str, Result]:
    """Return the newest result of each question that this machine has answered."""
    here = machine()
    return {result.question: result for run in runs() if run.machine == here for result in run.results}


# ---------------------------------------------------------------------- between `python bench` and the process of each bench

_OUT = "GO_STATE_BENCH_OUT"  # the environment's name of the file to which a bench appends its results, a line of JSON each


def recording(path: Path) -> dict[str, str]:
    """Return the environment of a bench that is to append its results to the file."""
    return {**os.environ, _OUT: str(path), "PYTHONPATH": str(FOLDER.parents[1])}  # what is measured is this checkout


def record(result: Result) -> None:
    """Append a result, if `python bench` runs this bench; by itself it only prints."""
    path = os.environ.get(_OUT)
    if path is not None:
        with open(path, "a") as file:
            file.write(json.dumps(asdict(result)) + "\n")


def recorded(path: Path) -> list[Result]:
    """Return what was appended to the file."""
    return [Result(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []
