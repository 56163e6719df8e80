"""Machines that share nothing but a real Kafka and a folder of copies: killed at random, stopped, put out of the group."""

from __future__ import annotations

from pathlib import Path

import pytest
from kafka_server import KafkaServer
from sources.streams.kafka import chaos
from sources.streams.kafka.support import QUICK, Add, Worker, record, records, wait_for_count

import go_state as gs

pytestmark = [pytest.mark.slow, pytest.mark.processes]


def test_every_key_is_exact_when_the_state_moves(kafka_server: KafkaServer, tmp_path: Path) -> None:
    """Each worker that begins is a new machine, which has nothing but copies; half of the kills meet an upload."""
    done = chaos.run(kafka_server, "moving", f"copies:{tmp_path / 'copies'}", seconds=8, seed=3, restarts=0)
    assert done["killed"]
    assert done["messages"] > 1000


def test_a_topic_that_has_got_partitions_is_not_read(kafka_server: KafkaServer, tmp_path: Path) -> None:
    """A key's next record may be in another partition than its state; while it is read, and at the next begin on any machine."""
    topic = "growing"
    kafka_server.create(topic, 2)
    kafka_server.put(topic, *records(4, 10, 2))
    settings = {**QUICK, "topic.metadata.refresh.interval.ms": 500}
    source = gs.sources.Kafka(topic, Add, group="growing", servers=kafka_server.servers, settings=settings)
    with gs.CopiedStore(tmp_path / "a", tmp_path / "copies") as store:
        worker = Worker(source, store)
        wait_for_count(store, 4, 10)
        kafka_server.add_partitions(topic, 3)
        with pytest.raises(gs.errors.SourceChanged, match="3 where there were 2") as raised:
            worker.ended()
        assert 'grown="pass"' in str(raised.value)
    with gs.CopiedStore(tmp_path / "b", tmp_path / "copies") as store, pytest.raises(gs.errors.SourceChanged):
        Worker(source, store).ended()
    with gs.CopiedStore(tmp_path / "b", tmp_path / "copies", grown="pass") as store:
        kafka_server.put(topic, *(record("k4", n, 2) for n in range(10)))
        worker = Worker(source, store)
        wait_for_count(store, 5, 10)
        worker.end()
