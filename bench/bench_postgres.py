"""What does Postgres cost: a save of a thousand models, their load, and saves by four writers at once, against those by one?

The server is Debian's, started by the tests' own `postgres_server.py` in a temporary directory; if that is not possible it says so.
Four writers and their server share the cores of this machine, so they are compared twice: on its disk, whose sync may be so quick that
the cores are what they wait for, and with a sync that takes 2 ms (`commit_delay`), as that of most servers does.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ratio import line, seconds, skip

import go_state as gs

MODELS = 1000
SECONDS = 1.0  # for which each writer saves
CHANGED = 10  # models in each of its saves
WRITERS = 4
_PROCESSES = multiprocessing.get_context("spawn")


def main() -> None:
    try:
        with running() as server:
            save_and_load_of_many(server)
            four_against_one(server, "this disk", "by cores")
            server.execute(
                "ALTER SYSTEM SET commit_delay = 2000", "ALTER SYSTEM SET commit_siblings = 0", "SELECT pg_reload_conf()"
            )
            four_against_one(server, "2 ms a sync", ">= 3")
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


def save_and_load_of_many(server: Any) -> None:
    """One transaction writes all of them, and a first one is not counted."""
    with gs.PostgresStore(server.dsn, schema="save") as store:
        versions = dict.fromkeys([f"shop-{number}" for number in range(MODELS)], 0)

        def save() -> None:
            versions.update(store.store({key: gs.abc.Write(b'{"sales": 1}', version) for key, version in versions.items()}))

        save()
        took = statistics.median(seconds(save) for _ in range(15)) * 1e3
        line("Postgres, a save of 1,000 changed models", took, "<= 15", unit="ms")
        many = statistics.median(seconds(lambda: store.load_many(versions)) for _ in range(15))
        each = statistics.median(seconds(lambda: [store.load(key) for key in list(versions)[:100]]) for _ in range(5)) * 10
    line("Postgres, a load of 1,000 models at once against one by one", many / each, "<= 0.1", f"{many * 1e3:.1f} ms")


def four_against_one(server: Any, disk: str, budget: str) -> None:
    pairs = [(rate(server, WRITERS), rate(server, 1)) for _ in range(3)]
    four, one = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    line(f"Postgres, saves of four writers against one, {disk}", ratio, budget, f"{four:.0f} against {one:.0f} a second")


def rate(server: Any, writers: int) -> float:
    """Return how many saves a second that many processes make in one schema, each of keys of its own."""
    ready, made = _PROCESSES.Barrier(writers), _PROCESSES.Queue()
    schema = server.fresh_schema()
    arguments = [(server.dsn, schema, number, ready, made) for number in range(writers)]
    processes = [_PROCESSES.Process(target=write, args=each) for each in arguments]
    for process in processes:
        process.start()
    total = sum(made.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    return total / SECONDS


def write(dsn: str, schema: str, number: int, ready: Any, made: Any) -> None:
    """Save for the given time, and count."""
    versions = dict.fromkeys([f"writer-{number}-{each}" for each in range(CHANGED)], 0)
    with gs.PostgresStore(dsn, schema=schema) as store:

        def save() -> None:
            versions.update(store.store({key: gs.abc.Write(b"x" * 200, version) for key, version in versions.items()}))

        save()
        ready.wait(60)
        saves, end = 0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            save()
            saves += 1
    made.put(saves)


if __name__ == "__main__":
    print(__doc__)
    main()
