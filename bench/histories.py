"""Plays many random histories of a group: python bench/histories.py [memory|lmdb|postgres] [how many] [the first seed].

Not a speed: it looks for an order of events that breaks a promise, longer than a test suite can. The suite plays a dozen.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import go_state as gs
from go_state.core.ports import Store
from go_state.testing.streams.histories import History


@contextlib.contextmanager
def stores(kind: str) -> Iterator[Callable[[], Store]]:
    """Give what makes fresh stores."""
    with contextlib.ExitStack() as stack:
        if kind == "postgres":
            from postgres_server import PostgresServer

            server = PostgresServer()
            server.start()
            stack.callback(server.remove)
            yield lambda: gs.PostgresStore(server.dsn, schema=server.fresh_schema())
        elif kind == "lmdb":
            yield lambda: gs.LMDBStore(Path(stack.enter_context(tempfile.TemporaryDirectory()), "state.lmdb"))
        else:
            yield gs.MemoryStore


def main(kind: str = "memory", count: str = "200", first: str = "0") -> None:
    """Play them."""
    counts: Counter[str] = Counter()
    began = time.monotonic()
    with stores(kind) as make:
        for seed in range(int(first), int(first) + int(count)):
            store = make()
            history = History(seed, store)
            try:
                history.play()
            except BaseException:
                print(f"seed {seed}")
                raise
            finally:
                store.close()
            counts += history.counts
    print(f"{count} histories on {kind}: {dict(counts)}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
