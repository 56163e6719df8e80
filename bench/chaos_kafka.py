"""Do workers stay exact for long? `python bench/chaos_kafka.py [seconds] [seed]`: on LMDB, on Postgres, and with Kafka's newer protocol.

Three workers on a real Kafka, killed (kill -9) and stopped at random; the broker is restarted twice, partitions are added. At the end
every key has each of its messages once, in order. It is `tests/sources/streams/kafka/chaos.py`, whose shorter runs are tests.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]


def main(seconds: float = 100, seed: int = 1) -> None:
    from kafka_server import KafkaServer
    from postgres_server import PostgresServer
    from sources.streams.kafka import chaos

    with tempfile.TemporaryDirectory() as folder:
        postgres = PostgresServer()
        postgres.start()
        try:
            for what, where, protocol in (
                ("LMDB", f"{folder}/classic.lmdb", "classic"),
                ("Postgres", postgres.dsn, "classic"),
                ("LMDB, protocol=consumer", f"{folder}/consumer.lmdb", "consumer"),
            ):
                server = KafkaServer()
                server.start()
                try:
                    done = chaos.run(server, "adds", where, seconds=seconds, seed=seed, restarts=2, protocol=protocol)
                finally:
                    server.remove()
                print(f"{what}: every key is exact after {chaos.described(done)}", flush=True)
        finally:
            postgres.remove()


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:3]))
