"""What does a save to Postgres cost: of a thousand models that have changed, and by four writers at once, against one?

The server is Debian's, started by the tests' own `postgres_server.py` in a temporary directory; if that is not possible it says so.
"""

from __future__ import annotations

import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ratio import line, seconds, skip

import go_state as gs

MODELS = 1000
SAVES = 200  # of each writer
WRITERS = 4


def main() -> None:
    try:
        with running() as server:
            save_of_many(server)
            four_against_one(server)
    except (ImportError, AssertionError, OSError) as error:
        skip("Postgres", f"no server can be started here ({error})")


@contextmanager
def running() -> Iterator[Any]:
    """Start a server, and remove it."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from postgres_server import PostgresServer

    server = PostgresServer()
    server.start()
    try:
        yield server
    finally:
        server.remove()


def save_of_many(server: Any) -> None:
    """One transaction writes all of them, and a first one is not counted."""
    with gs.PostgresStore(server.dsn, schema="save") as store:
        versions = dict.fromkeys([f"shop-{number}" for number in range(MODELS)], 0)

        def save() -> None:
            versions.update(store.store({key: gs.Write(b'{"sales": 1}', version) for key, version in versions.items()}))

        save()
        took = statistics.median(seconds(save) for _ in range(15)) * 1e3
    line("Postgres, a save of 1,000 changed models", took, "<= 15", unit="ms")


def four_against_one(server: Any) -> None:
    pairs = [(rate(server, f"four_{number}", WRITERS), rate(server, f"one_{number}", 1)) for number in range(5)]
    four, one = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    line("Postgres, saves a second of four writers against one", ratio, ">= 3", f"{four:.0f} against {one:.0f} a second")


def rate(server: Any, schema: str, writers: int) -> float:
    """Return how many saves a second that many writers make, each with a store and a key of its own."""
    stores = [gs.PostgresStore(server.dsn, schema=schema) for _ in range(writers)]

    def write(number: int) -> None:
        version = 0
        for _ in range(SAVES):
            version = stores[number].store({f"key-{number}": gs.Write(b"x" * 100, version)})[f"key-{number}"]

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]

    def work() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    took = seconds(work)
    for store in stores:
        store.close()
    return writers * SAVES / took


if __name__ == "__main__":
    print(__doc__)
    main()
