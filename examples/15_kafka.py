"""The flights of 01_flights.py through a Kafka topic of 8 partitions: three workers, of which one is
killed and one stopped midway.

`python examples/15_kafka.py 127.0.0.1:9092` writes the flights into a topic, starts the workers, does
them harm, and prints the same table. A worker alone is `python examples/15_kafka.py 127.0.0.1:9092
--work TOPIC`: start it as often as you like, on as many machines as share a Postgres; here they share
an LMDB file. `make demo-kafka` starts a broker for it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

try:
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic
except ImportError:
    sys.exit('pip install "go-state[cli,kafka,persistent]" first (make demo-kafka does it)')

import go_state as gs

one = importlib.import_module("01_flights")  # the program and its table: nothing in them knows of Kafka
SETTINGS = {"session.timeout.ms": 6000}  # a worker that is gone for so long is replaced


def work(servers: str, topic: str, path: str) -> None:
    """Read what the group gives this worker, until it is asked to end."""
    flights = gs.sources.Kafka(topic, one.Flight, group="airlines", servers=servers, settings=SETTINGS)
    with gs.LMDBStore(path) as store, gs.signals() as stop:
        gs.aggregate(
            one.airlines,
            flights,
            store=store,
            key=lambda msg: msg.carrier,
            snapshots=gs.Snapshots(seconds=0.5),
            stop=stop,
        )


def main(servers: str, path: str) -> None:
    topic = f"flights-{time.time_ns()}"
    total = produce(servers, topic)
    print(f"{total:,} flights are in the topic {topic}, keyed by airline, in 8 partitions.")
    command = [sys.executable, __file__, servers, "--work", topic, "--path", path]
    workers = [subprocess.Popen(command) for _ in range(3)]
    killed, stopped, last = workers
    try:
        wait(path, total * 0.1, "one of three workers is killed (kill -9)")
        killed.kill()
        wait(path, total * 0.3, "another is stopped, and does not know that the group goes on without it")
        stopped.send_signal(signal.SIGSTOP)
        wait(path, total, "the third has counted everything; the stopped one goes on, and is fenced")
        stopped.send_signal(signal.SIGCONT)
        for worker in (stopped, last):
            worker.terminate()
            worker.wait(60)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    names = {
        row["carrier"]: row["name"]
        for row in gs.sources.CSV(one.flights_data() / "airlines.csv").read()
        if isinstance(row, dict)
    }
    models = counted(path)
    one.show(sorted(models, key=lambda model: -model.flights), names)
    print(f"\n{sum(model.flights for model in models):,} flights counted, each of them once.")


def produce(servers: str, topic: str) -> int:
    """Write all flights into a new topic and return how many they are."""
    admin = AdminClient({"bootstrap.servers": servers})  # gives up what it was asked for if it is collected
    admin.create_topics([NewTopic(topic, 8, 1)])[topic].result(30)
    settings = {"bootstrap.servers": servers, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000}
    producer = Producer(settings)
    total = 0
    data = one.flights_data() / "flights.csv.zip"
    for flight in gs.sources.CSV(data, one.Flight, missing=("", "NA")).read():
        value = {name: getattr(flight, name) for name in one.Flight.__slots__}
        producer.produce(topic, json.dumps(value), value["carrier"])
        total += 1
        if total % 10_000 == 0:
            producer.poll(0)
    producer.flush()
    return total


def counted(path: str) -> list[Any]:
    """Return the airlines as they are in the store."""
    with gs.LMDBStore(path) as store:
        keys = [key for key in store.keys() if not key.startswith("@")]  # noqa: SIM118  - a store is no dict
        return [gs.load_model(one.airlines, store=store, key=key) for key in keys]


def wait(path: str, flights: float, then: str) -> None:
    """Wait until so many flights are counted, and say what comes next."""
    while (count := sum(model.flights for model in counted(path))) < flights:
        time.sleep(0.1)
    print(f"{count:>9,} counted: {then}.", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", help="brokers, as host:port")
    parser.add_argument("--work", metavar="TOPIC", help="be one worker, for this topic")
    parser.add_argument("--path", help="the LMDB file that the workers share (a temporary one)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = given.path or f"{folder}/flights.lmdb"
        main(given.servers, path) if given.work is None else work(given.servers, given.work, path)
