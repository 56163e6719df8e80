"""All calls of a member's client are made in one thread: another would wait for the one that polls, and from a callback for ever."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import confluent_kafka
import pytest
from kafka_server import KafkaServer
from sources.streams.kafka.support import QUICK, Add, Worker, key_of, records, tally, wait_for, wait_for_count

import go_state as gs

pytestmark = [pytest.mark.slow]

CALLED = {"subscribe", "poll", "consume", "incremental_assign", "incremental_unassign", "get_watermark_offsets"}
CALLED |= {"commit", "pause", "resume", "close"}


class Recorded:
    """The real consumer, of whose calls the threads are noted, by the name of the call."""

    made: list[Recorded]

    def __init__(self, settings: dict[str, Any]) -> None:
        self.threads: dict[str, set[int]] = defaultdict(set)
        self.threads["Consumer"].add(threading.get_ident())
        self._inner = REAL(settings)
        self.made.append(self)

    def __getattr__(self, name: str) -> Callable[..., object]:
        real = getattr(self._inner, name)

        def call(*arguments: object, **options: object) -> object:
            self.threads[name].add(threading.get_ident())
            return real(*arguments, **options)

        return call


REAL = confluent_kafka.Consumer


class Told:
    """An observer that waits for a hand-over."""

    def __init__(self) -> None:
        self.revoked = threading.Event()

    def on_event(self, event: gs.observe.Event) -> None:
        if isinstance(event, gs.observe.PartitionRevoked):
            self.revoked.set()


def start(on_loop: bool, source: Any, store: Any, told: Told) -> tuple[threading.Thread, gs.StopSwitch]:
    """Read the topic in a thread, or in one with an event loop."""
    stop = gs.StopSwitch()
    options: Any = {"store": store, "key": key_of, "snapshots": gs.Snapshots(seconds=0.1), "stop": stop, "observe": told}

    def read() -> None:
        if on_loop:
            asyncio.run(gs.aggregate_async(tally, source, **options))
        else:
            gs.aggregate(tally, source, **options)

    thread = threading.Thread(target=read)
    thread.start()
    return thread, stop


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
@pytest.mark.parametrize("on_loop", [False, True], ids=["in a thread", "on an event loop"])
def test_all_calls_of_a_client_are_made_in_one_thread(
    kafka_server: KafkaServer, monkeypatch: pytest.MonkeyPatch, protocol: Any, on_loop: bool
) -> None:
    """Also of partitions that come and go, of those that were fenced and are claimed again, and of the close."""
    topic = f"threads-{protocol}-{on_loop}"
    kafka_server.create(topic, 4)
    kafka_server.put(topic, *records(8, 50, 4))
    settings = QUICK if protocol == "classic" else {}

    def source(group: str) -> Any:
        return gs.sources.Kafka(topic, Add, group=group, servers=kafka_server.servers, protocol=protocol, settings=settings)

    def epochs() -> list[int]:
        return [each.epoch for each in gs.positions(store, tally)]

    monkeypatch.setattr(confluent_kafka, "Consumer", Recorded)
    monkeypatch.setattr(Recorded, "made", made := [], raising=False)
    told = Told()
    with gs.MemoryStore() as store:
        thread, stop = start(on_loop, source(topic), store, told)
        try:
            wait_for_count(store, 8, 50)
            (recorded,) = made
            monkeypatch.setattr(confluent_kafka, "Consumer", REAL)
            other = Worker(source("another group"), store)  # which claims what the first one has
            wait_for(lambda: min(epochs()) > 1, "claims of another group")
            other.end()
            kafka_server.put(topic, *records(8, 50, 4, begin=50))
            wait_for_count(store, 8, 100)
            second = Worker(source(topic), store)  # which is given two of its partitions
            assert told.revoked.wait(60)
            second.end()
        finally:
            stop.set()
            thread.join(60)
    assert recorded.threads.keys() >= CALLED | ({"memberid"} if protocol == "classic" else {"committed"})
    assert len(set().union(*recorded.threads.values())) == 1, dict(recorded.threads)
