"""A function handler over a shard of a stream: fetch chunks, stop before the time is up, set poison aside, publish after the save."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import go_state as gs


@dataclass(frozen=True)
class Reading:
    sensor: str
    celsius: float


@dataclass(frozen=True)
class Sensor:
    sensor: str
    count: int = 0
    highest: float = -273.15


def init(sensor: str) -> gs.Step[Sensor, Reading]:
    return Sensor(sensor), ()


def update(model: Sensor, msg: Reading) -> gs.Step[Sensor, Reading]:
    if msg.celsius < -273.15:
        raise ValueError("colder than anything can be")
    return replace(model, count=model.count + 1, highest=max(model.highest, msg.celsius)), ()


def shard(chunks: list[list[Reading]]) -> Callable[[], tuple[list[Reading], bool]]:
    """Return a function that fetches as a shard's iterator does: the records, and whether there are more."""
    left = iter(enumerate(chunks, 1))

    def fetch() -> tuple[list[Reading], bool]:
        number, records = next(left)
        return records, number < len(chunks)

    return fetch


def publish(changed: Mapping[str, Sensor], position: object) -> None:
    for sensor, model in sorted(changed.items()):
        print(f"{sensor}: {model.count} readings, at most {model.highest} °C")


def handle(store: gs.LMDBStore, chunks: list[list[Reading]]) -> None:
    poison: gs.Buffer[gs.FailedMessage[Reading]] = gs.Buffer()
    with gs.signals() as stop:
        result = gs.aggregate(
            gs.Program(init, update), shard(chunks), store=store, key=lambda msg: msg.sensor,
            stop=stop, budget=25.0, on_error=gs.SetAside(poison), on_commit=publish,
        )  # fmt: skip
    print(f"{result.processed} processed, {len(result.set_aside)} set aside, {result.ended}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, gs.LMDBStore(Path(folder, "sensors.lmdb")) as store:
        handle(store, [[Reading("roof", 21.5), Reading("cellar", 12.0)], [Reading("roof", -300.0), Reading("roof", 23.0)]])
        handle(store, [[Reading("roof", 19.0)]])
