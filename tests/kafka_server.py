"""A Kafka broker of the test's own: Apache's, one node, in a temporary directory, on a free port of loopback.

`make .venv/kafka` brings it from Maven Central.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from postgres_server import free_port

_MEMORY = (
    "-Xmx384m",
    "-Xms128m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
)  # one small broker beside the tests, quickly started
_CLUSTER = "Z29fc3RhdGUncyB0ZXN0cw"  # any 16 bytes in base64; one that begins with "-" would be taken for an option
_SECONDS = 60.0  # until a broker on a busy machine answers


def jars() -> Path:
    """Return the folder that holds Kafka's jars."""
    found = Path(os.environ.get("KAFKA_JARS", Path(sys.prefix).parent / "kafka"))
    for folder in (found, Path(sys.prefix) / "kafka", Path(__file__).parent.parent / ".venv" / "kafka"):
        if any(folder.glob("kafka_*.jar")):
            return folder
    raise AssertionError("this test starts Apache Kafka: run `make .venv/kafka`")


class KafkaServer:
    """One broker, which can be stopped, killed and started again with what it holds."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="go_state_kafka"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        controller = free_port()
        self._settings = self.folder / "server.properties"
        self._settings.write_text(
            f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{self.port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={self.folder / "log"}
num.network.threads=2
num.io.threads=2
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=3000
group.consumer.heartbeat.interval.ms=500
group.consumer.min.heartbeat.interval.ms=200
log.retention.check.interval.ms=500
log.segment.delete.delay.ms=100
"""
        )
        self._java("kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", str(self._settings))

    @property
    def servers(self) -> str:
        """What a client is given to reach it."""
        return f"127.0.0.1:{self.port}"

    def _command(self, *arguments: str) -> list[str]:
        java = shutil.which("java")
        assert java is not None, "this test starts Apache Kafka: apt-get install default-jre-headless"
        return [java, *_MEMORY, "-cp", f"{jars()}/*", *arguments]

    def _java(self, *arguments: str) -> None:
        ran = subprocess.run(self._command(*arguments), cwd=self.folder, check=False, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                self._command("kafka.Kafka", str(self._settings)),
                cwd=self.folder,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        until = time.monotonic() + _SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "out").read_text()[-4000:]
            assert time.monotonic() < until, "Kafka does not answer"

    def freeze(self) -> None:
        """Stop it as a machine that hangs: it hangs up on nobody, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        with suppress(Exception):
            return bool(self.admin().list_topics(timeout=1).brokers)
        return False

    def admin(self) -> Any:
        """Return an admin client."""
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.servers, "log_level": 0})

    def create(self, topic: str, partitions: int, **settings: str) -> None:
        """Make a topic."""
        from confluent_kafka.admin import NewTopic

        config = {name.replace("_", "."): value for name, value in settings.items()}
        admin = self.admin()  # which ends what it was asked for if it is collected
        admin.create_topics([NewTopic(topic, partitions, 1, config=config)])[topic].result(_SECONDS)

    def delete(self, topic: str) -> None:
        """Delete a topic with all that is in it."""
        admin = self.admin()
        admin.delete_topics([topic])[topic].result(_SECONDS)

    def add_partitions(self, topic: str, total: int) -> None:
        """Grow a topic to `total` partitions."""
        from confluent_kafka.admin import NewPartitions

        admin = self.admin()
        admin.create_partitions([NewPartitions(topic, total)])[topic].result(_SECONDS)

    def truncate(self, topic: str, partition: int, before: int) -> None:
        """Delete the records of the partition before an offset, as its retention would."""
        from confluent_kafka import TopicPartition

        asked, admin = TopicPartition(topic, partition, before), self.admin()
        admin.delete_records([asked])[asked].result(_SECONDS)

    def put(self, topic: str, *records: tuple[str | None, bytes, int]) -> None:
        """Write records (key, value, partition), and wait until all of them are written."""
        from confluent_kafka import Producer

        failed: list[Any] = []
        producer = Producer({"bootstrap.servers": self.servers, "log_level": 0, "linger.ms": 5})
        for key, value, partition in records:
            while True:
                try:
                    producer.produce(
                        topic, value, key, partition, on_delivery=lambda error, _: failed.append(error) if error else None
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
        left = producer.flush(_SECONDS)
        assert not left, f"{left} records were not written"
        assert not failed, failed

    def stop(self, kind: signal.Signals = signal.SIGTERM) -> None:
        """Stop it with a signal: after SIGKILL it finds its log as a crash leaves it."""
        if self._process is not None:
            self._process.send_signal(kind)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Stop it for good."""
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder)


@pytest.fixture(scope="session")
def kafka_server() -> Iterator[KafkaServer]:
    """Give a broker to share, one for each process that tests."""
    server = KafkaServer()
    server.start()
    yield server
    server.remove()


def main(command: list[str]) -> int:
    """Run a command with the address of a broker as its last argument, and return its exit code."""
    server = KafkaServer()
    try:
        server.start()
        return subprocess.run([*command, server.servers], check=False).returncode
    finally:
        server.remove()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
