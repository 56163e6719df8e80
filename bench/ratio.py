"""What the benches share: pairs of timings in one run, and their median ratio, so that a drifting machine drifts for both."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

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


def line(what: str, ratio: float, budget: str, detail: str = "") -> None:
    """Print one answer."""
    print(f"{what:<66} {ratio:>5.2f} x   {budget:<9} {detail}", flush=True)
