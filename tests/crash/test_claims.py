"""Processes that read one source by mistake, or each its own: who was overtaken saves nothing, and who was killed loses nothing."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import postgres_server as servers
import pytest
from postgres_server import PostgresServer

import go_state as gs

pytestmark = [pytest.mark.slow, pytest.mark.processes]
postgres_server = servers.postgres_server

ROOT = Path(gs.__file__).parents[1]
KEYS, EACH = 7, 300
WORKER = """
import sys
from dataclasses import dataclass, replace
import go_state as gs

@dataclass(frozen=True)
class Line:
    key: str
    number: int

@dataclass(frozen=True)
class Seen:
    count: int = 0
    last: int = -1

def update(model: Seen, msg: Line) -> gs.Step[Seen, Line]:
    if msg.number <= model.last:
        raise ValueError("the model is ahead of its message")
    return Seen(model.count + 1, msg.number), [lambda: performed.append(msg.number)]

performed = []
program = gs.Program(lambda: (Seen(), ()), update, name="Seen")
where, schema, path, stop_at, every = sys.argv[1:6]
store = gs.PostgresStore(where, schema=schema) if where.startswith("postgres") else gs.LMDBStore(where)

class Stops(gs.sources.JSONLines):
    def open_once(self):
        return Opened(super().open_once())

class Opened:
    def __init__(self, inner):
        self.__dict__.update(name=inner.name, fingerprint=inner.fingerprint, recognise=inner.recognise, close=inner.close, inner=inner)
    def read(self, after=None):
        return Reading(self.inner.read(after))

class Reading:
    def __init__(self, inner):
        self.inner, self.close = inner, inner.close
    @property
    def position(self):
        return self.inner.position
    def __iter__(self):
        for message in self.inner:
            if self.position == int(stop_at):
                print("stopped", flush=True)
                sys.stdin.readline()
            elif int(stop_at) < 0 and self.position % 10 == 0:
                print(".", flush=True)
            yield message

with store:
    try:
        result = gs.aggregate(program, Stops(path, Line), store=store, key=lambda line: line.key,
                              snapshots=gs.Snapshots(every=int(every)), on_error=gs.SetAside())
    except gs.errors.TakenOver as error:
        print("taken over", error.epoch, max(performed, default=-1), flush=True)
    else:
        print("done", result.processed, len(result.set_aside), flush=True)
"""


@contextmanager
def worker(where: str, schema: str, path: Path, stop_at: int, every: int) -> Iterator[subprocess.Popen[str]]:
    arguments = [where, schema, str(path), str(stop_at), str(every)]
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WORKER, *arguments],
        cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(params=["lmdb", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Where the store is: the path of a file, or a server and a schema."""
    if request.param == "lmdb":
        return str(tmp_path / "s"), ""
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.dsn, server.fresh_schema()


def lines(path: Path, name: str = "k") -> Path:
    """Write a source of lines, each with a key and a number that grows."""
    path.write_text("".join(f'{{"key": "{name}-{number % KEYS}", "number": {number}}}\n' for number in range(KEYS * EACH)))
    return path


def opened(place: tuple[str, str]) -> Any:
    return gs.PostgresStore(place[0], schema=place[1]) if place[1] else gs.LMDBStore(place[0])


def counts(place: tuple[str, str]) -> list[int]:
    with opened(place) as store:
        keys = [key for key in store.keys() if not key.startswith("@")]  # noqa: SIM118  - a store is not a mapping
        stored = store.load_many(keys)
        return [int(stored[key].data.rpartition(b'"count":')[2].split(b",")[0]) for key in keys]


@pytest.mark.parametrize("every", [20, 10_000], ids=["saved before", "never saved"])
def test_a_zombie_wakes_after_its_successor_has_saved(place: tuple[str, str], tmp_path: Path, every: int) -> None:
    """It ends at its next save or load: nothing is set aside, and it performs no command after the look at the claim."""
    path = lines(tmp_path / "lines.jsonl")
    with worker(*place, path, 1003, every) as zombie:
        assert zombie.stdout is not None
        assert zombie.stdout.readline() == "stopped\n"
        with worker(*place, path, 0, 100) as successor:
            out, errors = successor.communicate(timeout=100)
        assert errors == ""
        assert out == f"done {KEYS * EACH - (1000 if every == 20 else 0)} 0\n"
        out, errors = zombie.communicate("go on\n", timeout=100)
    assert errors == ""
    taken_over, epoch, last = out.rsplit(maxsplit=2)
    assert (taken_over, epoch) == ("taken over", "2")
    assert int(last) <= 1020 if every == 20 else int(last) == KEYS * EACH - 1
    assert counts(place) == [EACH] * KEYS


def test_workers_with_a_source_each_are_killed_and_lose_nothing(place: tuple[str, str], tmp_path: Path) -> None:
    """Three of them in one store, each killed again and again: every line counts once, and none has a conflict."""
    chance, until = random.Random(3), monotonic() + 8
    paths = [lines(tmp_path / f"lines-{name}.jsonl", name) for name in "abc"]
    while monotonic() < until:
        with ExitStack() as running:
            workers = [running.enter_context(worker(*place, path, -1, 7)) for path in paths]
            for each in chance.sample(workers, 3):
                assert each.stdout is not None
                for _ in range(chance.randint(0, 20)):
                    each.stdout.readline()
                each.kill()
            said = [each.communicate()[1] for each in workers]
        assert said == [""] * 3
    for path in paths:
        with worker(*place, path, 0, 100) as last:
            out, errors = last.communicate(timeout=100)
        assert (out.split()[0], out.split()[2], errors) == ("done", "0", "")
    assert counts(place) == [EACH] * (KEYS * 3)
