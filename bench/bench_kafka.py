"""What does a topic of Kafka cost: 500,000 messages of 1,000 keys in 8 partitions, saved each second, with all of their models?

Against a loop that only consumes; against the loop by hand, which decodes, keeps a dict, calls the same update and writes the same
LMDB; and against Quix Streams, which keeps its state in RocksDB, without a changelog. Ratios are of this process's CPU time, since
the broker, which the tests' `kafka_server.py` starts, is on the same cores. Quix Streams wants another version of the client than we
do: QUIX_PYTHON names a Python that has it, if this one does not.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ratio import line, skip

import go_state as gs

MESSAGES, KEYS, PARTITIONS = 500_000, 1_000, 8
ROUNDS = 5
SECONDS = 1.0  # between two saves

QUIX = """
import logging, sys, tempfile, time
from quixstreams import Application
servers, topic, group, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
with tempfile.TemporaryDirectory() as folder:
    app = Application(broker_address=servers, consumer_group=group, auto_offset_reset="earliest", state_dir=folder,
                      use_changelog_topics=False, commit_interval=1.0, loglevel="ERROR")
    def update(message, state):
        tally = state.get("tally") or [0, 0]
        state.set("tally", [tally[0] + 1, tally[1] + message["n"]])
    frame = app.dataframe(app.topic(topic, value_deserializer="json", key_deserializer="str"))
    frame.update(update, stateful=True)
    cpu, wall = time.process_time(), time.perf_counter()
    app.run(count=count, timeout=60)
    print(time.process_time() - cpu, time.perf_counter() - wall)
"""


@dataclass(frozen=True, slots=True)
class Add:
    key: str
    n: int


@dataclass(frozen=True, slots=True)
class Tally:
    count: int = 0
    total: int = 0


def init() -> gs.Step[Tally, Add]:
    return Tally(), ()


def update(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
    return Tally(model.count + 1, model.total + msg.n), ()


def key_of(msg: Add) -> str:
    return msg.key


tally = gs.Program(init, update, name="tally")


def main() -> None:
    try:
        with running() as server:
            server.create("adds", PARTITIONS)
            keys = [(f"k{key}", key % PARTITIONS) for key in range(KEYS)]
            for _ in range(MESSAGES // KEYS // 10):
                server.put("adds", *((key, b'{"key":"%s","n":7}' % key.encode(), at) for _ in range(10) for key, at in keys))
            throughput(server.servers)
            hand_over(server)
    except (ImportError, AssertionError, OSError) as error:
        skip("Kafka", f"no broker can be started here ({error})")


@contextmanager
def running() -> Iterator[Any]:
    """Start a broker, and remove it."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from kafka_server import KafkaServer

    server = KafkaServer()
    server.start()
    try:
        yield server
    finally:
        server.remove()


# -------------------------------------------------------------------- throughput


def throughput(servers: str) -> None:
    cases: dict[str, Callable[[str], tuple[float, float]]] = {
        "ours": lambda group: timed(lambda: ours(servers, group)),
        "bare": lambda group: timed(lambda: consumed(servers, group, len)),
        "hand": lambda group: timed(lambda: by_hand(servers, group)),
    }
    python = os.environ.get("QUIX_PYTHON", sys.executable if find_spec("quixstreams") else "")
    if python:
        cases["quix"] = lambda group: quix(python, servers, group)
    else:
        skip("Quix Streams", "it is not installed: QUIX_PYTHON may name a Python that has it")
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for number in range(ROUNDS):
        for name, case in cases.items():
            if name != "quix" or number < 3:
                found[name].append(case(f"{name}-{number}"))

    def detail(name: str) -> str:
        cpu, wall = (statistics.median(each[n] for each in found[name]) for n in (0, 1))
        return f"{cpu / MESSAGES * 1e6:.1f} us ({MESSAGES / wall / 1000:.0f} k/s)"

    def against(what: str, above: str, below: str, budget: str) -> None:
        pairs = zip(found[above], found[below], strict=False)
        ratio = statistics.median(one[0] / other[0] for one, other in pairs)
        line(f"Kafka, 1,000 keys, saved each second, against {what}", ratio, budget, f"{detail(above)} : {detail(below)}")

    against("a loop that only consumes", "ours", "bare", "reported")
    against("the loop by hand", "ours", "hand", "<= 1.5")
    if python:
        against("Quix Streams, whose cost is that many times ours", "quix", "ours", ">= 4")


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Return the CPU time of this process, and the time, of a call."""
    cpu, wall = time.process_time(), time.perf_counter()
    call()
    return time.process_time() - cpu, time.perf_counter() - wall


def consumed(servers: str, group: str, handle: Callable[[list[Any]], object]) -> Any:
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "enable.auto.commit": False})
    consumer.assign([TopicPartition("adds", number, 0) for number in range(PARTITIONS)])
    count = 0
    while count < MESSAGES:
        got = consumer.consume(5_000, 0.1)
        handle(got)
        count += len(got)
    consumer.close()


def by_hand(servers: str, group: str) -> None:
    import msgspec

    decode, encode = msgspec.json.Decoder(Add).decode, msgspec.json.encode
    models: dict[str, Tally] = {}
    changed: set[str] = set()
    versions: dict[str, int] = {}
    positions: dict[int, int] = {}
    with tempfile.TemporaryDirectory() as folder, gs.LMDBStore(f"{folder}/state") as store:
        begin, save_at = Tally(), time.monotonic() + SECONDS

        def save() -> None:
            writes = {key: gs.abc.Write(encode(models[key]), versions.get(key, 0)) for key in changed}
            writes["positions"] = gs.abc.Write(encode(positions), versions.get("positions", 0))
            versions.update(store.store(writes))
            changed.clear()

        def handle(got: list[Any]) -> None:
            nonlocal save_at
            for record in got:
                if record.error() is not None:
                    continue
                msg = decode(record.value())
                key = msg.key
                models[key] = update(models.get(key, begin), msg)[0]
                changed.add(key)
                positions[record.partition()] = record.offset()
            if time.monotonic() >= save_at:
                save()
                save_at = time.monotonic() + SECONDS

        consumed(servers, group, handle)
        save()


def ours(servers: str, group: str) -> None:
    source = gs.sources.Kafka("adds", Add, group=group, servers=servers)
    with tempfile.TemporaryDirectory() as folder, gs.LMDBStore(f"{folder}/state") as store:
        result = gs.aggregate(tally, source, store=store, key=key_of, snapshots=gs.Snapshots(seconds=SECONDS), limit=MESSAGES)
        assert result.processed == MESSAGES


def quix(python: str, servers: str, group: str) -> tuple[float, float]:
    done = subprocess.run(
        [python, "-c", QUIX, servers, "adds", group, str(MESSAGES)], stdout=subprocess.PIPE, text=True, check=True
    )
    cpu, wall = map(float, done.stdout.split()[-2:])
    return cpu, wall


# -------------------------------------------------------------------- a hand-over


class Handed:
    """When partitions were let go of, and when they were somebody else's: an observer of two members."""

    def __init__(self) -> None:
        self.gone: dict[str, float] = {}
        self.seconds: list[float] = []
        self.arrived, self.moved = threading.Event(), threading.Event()

    def on_event(self, event: object) -> None:
        if isinstance(event, gs.observe.PartitionRevoked):
            self.gone[event.partition] = time.perf_counter()
        elif isinstance(event, gs.observe.PartitionAssigned):
            if event.partition in self.gone:
                self.seconds.append(time.perf_counter() - self.gone.pop(event.partition))
                self.moved.set()
            self.arrived.set()


def hand_over(server: Any) -> None:
    """A second member joins one that keeps saving 1,000 models; how long nobody has the partitions that move."""
    handed = Handed()
    with tempfile.TemporaryDirectory() as folder, gs.LMDBStore(f"{folder}/state") as store:
        for number in range(ROUNDS):
            handed.gone.clear()
            handed.arrived.clear()
            handed.moved.clear()
            group = f"hand-over-{number}"
            first = start(server.servers, group, store, handed)
            assert handed.arrived.wait(30), "nobody was given a partition"
            second = start(server.servers, group, store, handed)
            handed.moved.wait(20)
            for stop, thread in (second, first):
                stop.set()
                thread.join()
    if not handed.seconds:
        skip("Kafka, a hand-over", "no partition has moved")
        return
    what = "Kafka, from the revoke of a partition to its claim by another member"
    line(what, statistics.median(handed.seconds) * 1000, "reported", unit="ms")


def start(servers: str, group: str, store: Any, handed: Handed) -> tuple[gs.StopSwitch, threading.Thread]:
    stop = gs.StopSwitch()
    settings = {"heartbeat.interval.ms": 300, "session.timeout.ms": 6000}  # a member hears of a change at its heartbeat
    source = gs.sources.Kafka("adds", Add, group=group, servers=servers, name=group, settings=settings)
    options: dict[str, Any] = {"snapshots": gs.Snapshots(seconds=SECONDS), "stop": stop, "observe": handed}
    thread = threading.Thread(target=lambda: gs.aggregate(tally, source, store=store, key=key_of, **options))
    thread.start()
    return stop, thread


if __name__ == "__main__":
    main()
