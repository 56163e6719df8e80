"""Many processes write one Postgres schema side by side, and are killed: each save is whole or not there, and none waits in a circle."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from time import monotonic

import postgres_server as servers
import pytest
from postgres_server import PostgresServer

import go_state as gs

pytestmark = [pytest.mark.slow, pytest.mark.processes]
postgres_server = servers.postgres_server

ROOT = Path(gs.__file__).parents[1]
KEYS = [f"shared-{number}" for number in range(8)]
SECONDS = 6.0
WRITER = """
import json, random, sys, time
import go_state as gs

dsn, schema, own, seed, keys, seconds = *sys.argv[1:5], json.loads(sys.argv[5]), float(sys.argv[6])
chance, end = random.Random(int(seed)), time.monotonic() + seconds
with gs.PostgresStore(dsn, schema=schema, timeout=20) as store:
    while time.monotonic() < end:
        some = [own, *chance.sample(keys, chance.randint(1, 5))]
        chance.shuffle(some)
        found = store.load_many(some)
        added, deleted = json.loads(found[own].data) if own in found else (0, 0)
        writes = {}
        for key in some:
            stored = found.get(key, gs.abc.Stored(b"0", 0))
            if key != own and stored.version and chance.random() < 0.2:
                deleted += int(stored.data)
                writes[key] = gs.abc.Write(None, stored.version)
            elif key != own:
                added += 1
                writes[key] = gs.abc.Write(b"%d" % (int(stored.data) + 1), stored.version)
            else:
                writes[key] = gs.abc.Write(b"", stored.version)
        writes[own] = writes[own]._replace(data=json.dumps([added, deleted]).encode())
        try:
            versions = store.store(writes)
        except gs.Conflict as conflict:
            assert conflict.key in writes, conflict.key
            print("conflict", flush=True)
        else:
            for key in some:
                if versions[key]:
                    print(key, versions[key], flush=True)
"""


def started(server: PostgresServer, schema: str, own: str, seed: int, seconds: float) -> subprocess.Popen[str]:
    arguments = [server.dsn, schema, own, str(seed), json.dumps(KEYS), str(seconds)]
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WRITER, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_writers_side_by_side_lose_nothing_when_they_are_killed(postgres_server: PostgresServer) -> None:
    """What was added is what is there and what was deleted, whoever was killed where; no key is twice at a version."""
    schema, chance = postgres_server.fresh_schema(), random.Random(7)
    with gs.PostgresStore(postgres_server.dsn, schema=schema, timeout=20) as store:
        lasting = [started(postgres_server, schema, f"own-{number}", number, SECONDS) for number in range(3)]
        killed, until = [], monotonic() + SECONDS
        while monotonic() < until or len(killed) < 3:
            victim = started(postgres_server, schema, "own-victim", 100 + len(killed), SECONDS)
            assert victim.stdout is not None
            lines = [victim.stdout.readline() for _ in range(chance.randint(1, 60))]
            victim.kill()
            killed.append("".join(lines) + victim.communicate()[0].rpartition("\n")[0])
        ended = [process.communicate(timeout=60) for process in lasting]
        assert [(process.returncode, errors) for process, (_, errors) in zip(lasting, ended, strict=True)] == [(0, "")] * 3
        counts = [json.loads(store.load(key).data) for key in store.keys("own-")]  # type: ignore[union-attr]
        there = sum(int(stored.data) for stored in store.load_many(KEYS).values())
        assert sum(added - deleted for added, deleted in counts) == there
    lines_of_all = [line for text in (*killed, *(out for out, _ in ended)) for line in text.splitlines()]
    versions = [line for line in lines_of_all if line != "conflict" and not line.startswith("own-")]
    assert len(versions) == len(set(versions)) > 100
    assert "conflict" in lines_of_all  # they did meet


def _add(model: int, msg: int) -> int:
    return model + msg


def test_a_journal_is_written_beside_them(postgres_server: PostgresServer) -> None:
    """Its messages and its snapshots are behind the same locks, and nobody who writes models holds it up for good."""
    schema = postgres_server.fresh_schema()
    program: gs.Program[int, int] = gs.reducer(int, _add)
    with gs.PostgresStore(postgres_server.dsn, schema=schema, timeout=20) as store:
        others = [started(postgres_server, schema, f"own-{number}", number, 3.0) for number in range(2)]
        with gs.start(program, store.journal("sum", of=int), store=store, key="sum", snapshots=gs.Snapshots(every=20)) as app:
            for number in range(200):
                app.apply(number, timeout=30)
        for other in others:
            assert other.communicate(timeout=60)[1] == ""
        assert gs.load_model(program, store=store, key="sum") == sum(range(200))
        assert gs.verify(program, store.journal("sum")).ok
