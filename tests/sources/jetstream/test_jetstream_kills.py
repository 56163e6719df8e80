"""Three processes read the subjects of a stream, are killed and stopped, and the server is started again in between."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats_server import NatsServer
from stream_workers import workers
from tallies import encoded, lasts, open_store

SUBJECTS, STREAM, NUMBER = 6, "orders", 1000
KEYS = [f"k{n}" for n in range(12)]  # 12,000 messages


@pytest.fixture
def server() -> Iterator[NatsServer]:
    server = NatsServer()
    server.start()
    yield server
    server.remove()


def put(server: NatsServer, first: int, until: int) -> None:
    """Put messages of each key in order; the subject follows from the key."""

    async def run() -> None:
        import nats

        client = await nats.connect(server.url)
        stream = client.jetstream()
        await stream.add_stream(name=STREAM, subjects=[f"{STREAM}.>"])
        for n in range(first, until):
            await asyncio.gather(
                *(stream.publish(f"{STREAM}.{k % SUBJECTS}.{key}", encoded(key, n)) for k, key in enumerate(KEYS))
            )
        await client.close()

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.processes
def test_all_of_12_000_messages_in_order_through_three_kills_and_a_restart(server: NatsServer, tmp_path: Path) -> None:
    """Nothing is delivered again, so nothing is passed over: what was fetched and not saved is read again from the position."""
    where, script = str(tmp_path / "s"), Path(__file__).with_name("jetstream_worker.py")
    put(server, 0, 200)
    with open_store(where) as store, workers(script, [server.url, STREAM, where, str(SUBJECTS)], 3) as crew:
        crew.wait(lambda: min(lasts(store, KEYS).values()) >= 0)
        crew.kill_one()
        put(server, 200, 400)
        crew.kill_one()
        server.stop(signal.SIGKILL)
        server.start()
        put(server, 400, 600)
        crew.stop_one()
        put(server, 600, 800)
        crew.kill_one()
        crew.wait(lambda: min(lasts(store, KEYS).values()) == 799)  # the one that is stopped was replaced
        crew.go_on()
        put(server, 800, NUMBER)
        crew.wait(lambda: min(lasts(store, KEYS).values()) == NUMBER - 1)
        crew.close()
        assert lasts(store, KEYS) == dict.fromkeys(KEYS, NUMBER - 1)
        assert (crew.kills, crew.stops) == (3, 1)
