"""What the benches share: pairs of timings in one run, and their median ratio, so that a drifting machine drifts for both."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from runs import Result, newest, record

import go_state as gs


@dataclass(frozen=True)
class Counter:
    count: int = 0


@dataclass(frozen=True)
class Add:
    by: int


def init() -> gs.Step[Counter, Add]:
    return Counter(), ()


def update(model: Counter, msg: Add) -> gs.Step[Counter, Add]:
    match msg:
        case Add(by):
            return replace(model, count=model.count + by), ()


def add(model: int, msg: int) -> gs.Step[int, int]:
    return model + msg, ()


def view(model: object) -> None:
    """Look at nothing: the cheapest view there is."""


def seconds(fn: Callable[[], object]) -> float:
    """Return how long one call takes."""
    gc.collect()
    began = time.perf_counter()
    fn()
    return time.perf_counter() - began


def compare(ours: Callable[[], object], theirs: Callable[[], object], times: int = 9) -> tuple[float, float, float]:
    """Return the median ratio of ours to theirs, and the median seconds of each."""
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(times)]
    return (
        statistics.median(our / their for our, their in pairs),
        statistics.median(our for our, _ in pairs),
        statistics.median(their for _, their in pairs),
    )


HEAD = f"{'question':<66} {'ratio':>9}   {'budget':<8} {'last':>6}  measured"


def line(what: str, ratio: float, budget: str, detail: str = "", *, unit: str = "x") -> None:
    """Print one answer beside the last one of this machine, and have it recorded; "!" marks a ratio beyond its budget.

    `budget` is a bound, "<= 1.2" or ">= 8", or says in other words what is hoped for. What is no ratio has another `unit`.
    """
    last = _last().get(what)
    bench = str(sys._getframe(1).f_globals.get("__file__", ""))
    result = Result(Path(bench).stem.removeprefix("bench_"), what, round(ratio, 4), budget, detail, unit)
    mark = "!" if result.holds is False else " "
    before = "" if last is None else f"{last.ratio:.2f}"
    print(f"{what:<66} {ratio:>6.2f} {unit:<2} {mark} {budget:<8} {before:>6}  {detail}", flush=True)
    record(result)


def skip(what: str, why: str) -> None:
    """Say that a question could not be asked here."""
    print(f"{what:<66} skipped: {why}", flush=True)


@cache
def _last() -> dict[str, Result]:
    return newest()
