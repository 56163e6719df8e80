"""Workers as processes on a real Kafka: killed, stopped, put out of the group, on a broker that is restarted."""

from __future__ import annotations

from pathlib import Path

import pytest
from kafka_server import KafkaServer
from postgres_server import PostgresServer
from sources.streams.kafka import chaos
from sources.streams.kafka.support import Tally, record, tally, wait_for

import go_state as gs

pytestmark = [pytest.mark.slow, pytest.mark.processes]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_every_key_is_exact_on_lmdb(kafka_server: KafkaServer, tmp_path: Path, protocol: str) -> None:
    """Three workers share one file; they are killed and stopped, partitions are added, the broker is restarted."""
    done = chaos.run(
        kafka_server,
        f"lmdb-{protocol}",
        str(tmp_path / "state.lmdb"),
        seconds=10 if protocol == "classic" else 8,
        seed=1,
        restarts=1,
        protocol=protocol,
    )
    assert done["killed"]
    assert done["restarted"]
    assert done["grown"]
    assert done["messages"] > 1000


def test_every_key_is_exact_on_postgres(kafka_server: KafkaServer, postgres_server: PostgresServer) -> None:
    """The same, for workers of several machines."""
    done = chaos.run(kafka_server, "postgres", postgres_server.dsn, seconds=8, seed=2, restarts=1)
    assert done["killed"]


def test_a_worker_that_wakes_after_its_successor_has_saved_is_fenced(kafka_server: KafkaServer, tmp_path: Path) -> None:
    """It saves nothing, sets nothing aside, and performs no command for what its successor has had."""
    where, topic, commands = str(tmp_path / "state.lmdb"), "zombie", tmp_path / "commands"
    commands.mkdir()
    kafka_server.create(topic, 4)
    workers = chaos.Workers(kafka_server, topic, where, env={"GO_STATE_COMMANDS": str(commands), "GO_STATE_SAVE_EVERY": "1000"})
    keys = 40

    def counts() -> set[int]:
        return {model.count for model in chaos.models_of(where, keys).values()}

    try:
        first = workers.start()
        kafka_server.put(topic, *(record(f"k{key}", n, key % 4) for n in range(20) for key in range(keys)))
        noted = commands / str(first.pid)
        wait_for(
            lambda: noted.exists() and noted.read_bytes().count(b"\n") == 20 * keys, "the first to have all in hand, unsaved"
        )
        workers.put_to_sleep(first, 1000)
        workers.env["GO_STATE_SAVE_EVERY"] = "0.2"
        second = workers.start()
        wait_for(lambda: counts() == {20}, "the second to have them, saved")
        kafka_server.put(topic, *(record(f"k{key}", n, key % 4) for n in range(20, 40) for key in range(keys)))
        wait_for(lambda: counts() == {40}, "the second to go on")
        workers.wake(all_of_them=True)
        wait_for(
            lambda: _members(kafka_server, topic) == 2,
            "the first to be back in the group: whatever harm it does is done by then",
        )
        kafka_server.put(topic, *(record(f"k{key}", n, key % 4) for n in range(40, 60) for key in range(keys)))
        workers.env["GO_STATE_SAVE_EVERY"] = "1000"
        wait_for(lambda: len(_ids(commands)) == 60 * keys, "all commands")
        workers.end()
        assert set(chaos.models_of(where, keys).values()) == {Tally(60, 60 * 59 // 2, 59)}
        lines = noted.read_bytes().splitlines()
        before, after, by_second = set(lines[: 20 * keys]), set(lines[20 * keys :]), _ids(commands / str(second.pid))
        assert before < by_second  # what the first had in hand was done again, under the same ids
        assert not after & by_second  # and what it did later is its own
    finally:
        workers.remove()


def test_a_holder_that_was_killed_goes_on_where_it_had_saved(kafka_server: KafkaServer, tmp_path: Path) -> None:
    """The next process under its name claims its partitions as their second holder, reads on, and does again what was not saved."""
    where, topic, commands = str(tmp_path / "state.lmdb"), "restarted", tmp_path / "commands"
    commands.mkdir()
    kafka_server.create(topic, 2)
    workers = chaos.Workers(kafka_server, topic, where, env={"GO_STATE_COMMANDS": str(commands), "GO_STATE_SAVE_EVERY": "0.1"})
    try:
        first = workers.start("worker-1")
        kafka_server.put(topic, *(record(f"k{key}", n, key % 2) for n in range(20) for key in range(4)))
        wait_for(lambda: [model.count for model in chaos.models_of(where, 4).values()] == [20] * 4, "the first to have saved")
        workers.kill(first)
        kafka_server.put(topic, *(record(f"k{key}", n, key % 2) for n in range(20, 40) for key in range(4)))
        second = workers.start("worker-1")
        wait_for(lambda: [model.count for model in chaos.models_of(where, 4).values()] == [40] * 4, "the second to go on")
        workers.end()
    finally:
        workers.remove()
    with gs.LMDBStore(where) as store:
        held = {each.partition: (each.epoch, each.holder.rpartition(":")[2]) for each in gs.positions(store, tally)}
        assert held == {"0": (2, str(second.pid)), "1": (2, str(second.pid))}
    assert set(chaos.models_of(where, 4).values()) == {Tally(40, 40 * 39 // 2, 39)}
    assert len(_ids(commands)) == 160  # each under one name, whoever has performed it
    assert not _ids(commands / str(first.pid)) & _ids(commands / str(second.pid))  # all that the first had done was saved


def _members(server: KafkaServer, topic: str) -> int:
    """Return how many members its group has, once all have joined."""
    group = f"group of {topic}"
    admin = server.admin()
    found = admin.describe_consumer_groups([group])[group].result(30)
    return len(found.members) if found.state.name == "STABLE" else 0


def _ids(path: Path) -> set[bytes]:
    paths = list(path.iterdir()) if path.is_dir() else [path]
    return {line for each in paths for line in each.read_bytes().splitlines()}
