"""Machines that share nothing but a real Kafka and a folder of copies: killed at random, stopped, put out of the group."""

from __future__ import annotations

from pathlib import Path

import pytest
from kafka_server import KafkaServer
from sources.streams.kafka import chaos

pytestmark = [pytest.mark.slow, pytest.mark.processes]


def test_every_key_is_exact_when_the_state_moves(kafka_server: KafkaServer, tmp_path: Path) -> None:
    """Each worker that begins is a new machine, which has nothing but copies; half of the kills meet an upload."""
    done = chaos.run(kafka_server, "moving", f"copies:{tmp_path / 'copies'}", seconds=8, seed=3, restarts=0)
    assert done["killed"]
    assert done["messages"] > 1000
