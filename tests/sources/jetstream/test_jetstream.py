"""A JetStream stream as a source: subjects, leases, positions, and what it refuses."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from nats_server import NatsServer
from tallies import TALLY, Add, encoded, key_of, lasts

import go_state as gs
from go_state.sources.jetstream.subjects import checked_subjects

SUBJECTS = [f"orders.{n}.>" for n in range(3)]
KEYS = [f"k{n}" for n in range(6)]
SECONDS = 30.0  # until what has to happen has, on a busy machine


class Stream:
    """A server's stream of a test's own, and what is put into it."""

    def __init__(self, server: NatsServer, client: Any) -> None:
        self.server, self.client, self.js = server, client, client.jetstream()

    async def make(self, **options: Any) -> None:
        await self.js.add_stream(name="ORDERS", subjects=["orders.>"], **options)

    async def put(self, count: int, first: int = 0) -> None:
        for n in range(first, first + count):
            for k, key in enumerate(KEYS):
                await self.js.publish(f"orders.{k % 3}.{key}", encoded(key, n))

    def source(self, of: Any = Add, **options: Any) -> Any:
        return gs.sources.JetStream(
            "ORDERS", of, client=self.client, **{"subjects": SUBJECTS, "share": gs.Leases(1), **options}
        )


pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    server = NatsServer()
    server.start()
    yield server
    server.remove()


async def _quiet(error: Exception) -> None:
    """Say nothing of a server that is started again."""


@pytest.fixture
async def stream(server: NatsServer) -> AsyncIterator[Stream]:
    import nats

    client = await nats.connect(server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=_quiet)
    stream = Stream(server, client)
    await stream.make()
    yield stream
    await stream.js.delete_stream("ORDERS")
    await client.close()
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and "nats" in repr(task.get_coro())]
    assert left == []


def read(stream: Stream, store: gs.abc.Store, **options: Any) -> Awaitable[Any]:
    """Read with an aggregate; `source=` are options of the source."""
    source = stream.source(**options.pop("source", {}))
    return gs.aggregate_async(TALLY, source, store=store, key=key_of, snapshots=gs.Snapshots(seconds=0.05), **options)


@asynccontextmanager
async def reading(stream: Stream, store: gs.abc.Store, **options: Any) -> AsyncIterator[asyncio.Task[Any]]:
    """Read until the block is left."""
    stop = asyncio.Event()
    task = asyncio.ensure_future(read(stream, store, stop=stop, **options))
    try:
        yield task
    finally:
        stop.set()
        await task


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not done():  # noqa: ASYNC110  - it looks into a store
            await asyncio.sleep(0.02)


def are_at(store: gs.abc.Store, n: int) -> bool:
    return lasts(store, KEYS) == dict.fromkeys(KEYS, n)


async def test_an_aggregate_reads_the_subjects(stream: Stream) -> None:
    """To a limit, and on from there; the positions are numbers of messages, by subject."""
    store = gs.MemoryStore()
    await stream.put(20)
    for _ in range(2):
        result = await read(stream, store, limit=60)
        assert (result.ended, result.processed) == ("limit", 60)
    assert are_at(store, 19)
    assert {subject: position for subject, position in result.position.items() if position > 114} == {
        "orders.0.>": 118,
        "orders.1.>": 119,
        "orders.2.>": 120,
    }


async def test_what_was_fetched_and_not_saved_is_read_again_first(stream: Stream) -> None:
    """The trap of redelivery: with a durable consumer, later messages come before those that were fetched and never acknowledged."""
    store = gs.MemoryStore()
    await stream.put(10)
    source = stream.source()
    dead = await source.open_partitions_async()
    given: list[Any] = []

    class Holder:
        program, store = "Another", gs.MemoryStore()

        async def assigned(self, partitions: Any) -> Any:
            return dict.fromkeys(partitions)

        async def lost(self, partitions: Any) -> None: ...
        async def revoked(self, partitions: Any) -> Any:
            return {}

        def give(self, partition: str, records: Any) -> None:
            given.extend(records)

    async with asyncio.timeout(SECONDS):
        while len(given) < 60:
            await dead.poll(0.1, Holder())
    await stream.put(10, 10)
    assert (await read(stream, store, limit=120)).processed == 120
    assert are_at(store, 19)
    await dead.close(Holder())


async def test_poison_is_set_aside_or_ends_the_reading(stream: Stream) -> None:
    store = gs.MemoryStore()
    await stream.put(2)
    await stream.js.publish("orders.0.k0", b"{")
    await stream.put(2, 2)
    result = await read(stream, store, limit=25, on_error=gs.SetAside())
    assert [failed.message for failed in result.set_aside] == [b"{"]
    assert are_at(store, 3)
    halted = await read(stream, gs.MemoryStore(), on_error=gs.Halt())
    assert halted.ended == "failed"
    assert halted.failed.message == b"{"


async def test_two_readers_share_and_one_takes_over(stream: Stream) -> None:
    """The second has its part soon, and all of it when the first has ended; nothing is lost or read twice on the way."""
    store = gs.MemoryStore()
    async with reading(stream, store):
        async with reading(stream, store):
            await stream.put(10)
            await until(lambda: are_at(store, 9))
            await until(lambda: _holders(store) == [1, 2])
        await stream.put(10, 10)
        await until(lambda: are_at(store, 19))
        assert _holders(store) == [3]


def _holders(store: gs.abc.Store) -> list[int]:
    """Return how many subjects each of the readers holds."""
    records = [store.load(key) for key in store.keys("@leases/")]
    held = [record.data.partition(b'"holds":')[2].partition(b"}")[0].count(b'":') for record in records if record is not None]
    return sorted(number for number in held if number)


@pytest.mark.processes
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_server_that_is_started_again_is_read_on(stream: Stream, how: signal.Signals) -> None:
    """Its consumers are gone; new ones begin after what was fetched."""
    store = gs.MemoryStore()
    async with reading(stream, store):
        await stream.put(5)
        await until(lambda: are_at(store, 4))
        stream.server.stop(how)
        stream.server.start()
        await until(lambda: stream.client.is_connected)
        async with asyncio.timeout(SECONDS):
            while True:
                try:
                    await stream.js.stream_info("ORDERS")
                    break
                except Exception:
                    await asyncio.sleep(0.1)
        await stream.put(5, 5)
        await until(lambda: are_at(store, 9))


async def test_a_consumer_that_is_deleted_is_made_anew(stream: Stream) -> None:
    """Whoever deletes it: an operator, or the server because it was idle."""
    store = gs.MemoryStore()
    async with reading(stream, store):
        await stream.put(5)
        await until(lambda: are_at(store, 4))
        for consumer in await stream.js.consumers_info("ORDERS"):
            await stream.js.delete_consumer("ORDERS", consumer.name)
        await stream.put(5, 5)
        await until(lambda: are_at(store, 9))


async def test_a_purged_stream_is_a_gap_if_messages_were_not_read(stream: Stream) -> None:
    """What was removed unread is named, at the beginning and while it is read."""
    store = gs.MemoryStore()
    await stream.put(5)
    await read(stream, store, limit=30)
    await stream.put(5, 5)
    await stream.js.purge_stream("ORDERS")
    with pytest.raises(gs.errors.SourceChanged, match="not read"):
        await read(stream, store)
    assert are_at(store, 4)


async def test_a_purged_stream_of_which_all_was_read_is_read_on(stream: Stream) -> None:
    """Also the subjects that had nothing for long: it is stored how far they were looked at."""
    store = gs.MemoryStore()
    for k, key in enumerate(KEYS[:3]):
        await stream.js.publish(f"orders.{k}.{key}", encoded(key, 0))
    for n in range(1, 50):
        await stream.js.publish(f"orders.0.{KEYS[0]}", encoded(KEYS[0], n))
    async with reading(stream, store):
        await until(lambda: lasts(store, KEYS[:1]) == {KEYS[0]: 49} and lasts(store, KEYS[2:3]) == {KEYS[2]: 0})
    await stream.js.purge_stream("ORDERS")
    await stream.js.publish(f"orders.2.{KEYS[2]}", encoded(KEYS[2], 1))
    assert (await read(stream, store, limit=1)).processed == 1
    assert lasts(store, [KEYS[2]]) == {KEYS[2]: 1}


async def test_a_stream_that_was_made_again_is_refused(stream: Stream) -> None:
    """Its numbers begin again, so the positions say nothing about it; also while it is read."""
    store = gs.MemoryStore()
    await stream.put(5)
    await read(stream, store, limit=30)
    await stream.js.delete_stream("ORDERS")
    await stream.make()
    await stream.put(8)
    with pytest.raises(gs.errors.SourceChanged, match="made again"):
        await read(stream, store)
    other = gs.MemoryStore()
    task = asyncio.ensure_future(read(stream, other))
    await until(lambda: are_at(other, 7))
    await stream.js.delete_stream("ORDERS")
    await stream.make()
    with pytest.raises(gs.errors.SourceChanged, match="made again"):
        await task


async def test_the_newest_is_what_came_after_the_first_reader(stream: Stream) -> None:
    store = gs.MemoryStore()
    await stream.js.publish("orders.0.k0", b"not ours")
    async with reading(stream, store, source={"start": "newest"}):
        await until(lambda: _holders(store) == [3])
        await stream.put(3)
        await until(lambda: are_at(store, 2))
    assert await read(stream, store, source={"start": "newest"}, budget=0.2)
    assert are_at(store, 2)


async def test_a_stream_that_forgets_what_was_acknowledged_is_refused(server: NatsServer) -> None:
    """It cannot be read again from a position."""
    import nats

    client = await nats.connect(server.url)
    await client.jetstream().add_stream(name="WORK", subjects=["work.>"], retention="workqueue")
    with pytest.raises(gs.errors.SourceError, match="retention"):
        await gs.aggregate_async(TALLY, gs.sources.JetStream("WORK", Add, client=client), store=gs.MemoryStore(), key=key_of)
    with pytest.raises(gs.errors.SourceError, match="no stream 'NONE'"):
        await gs.aggregate_async(TALLY, gs.sources.JetStream("NONE", Add, client=client), store=gs.MemoryStore(), key=key_of)
    await client.close()
    with pytest.raises(gs.errors.SourceError, match="closed"):
        await gs.aggregate_async(TALLY, gs.sources.JetStream("WORK", Add, client=client), store=gs.MemoryStore(), key=key_of)


async def test_subjects_are_those_of_the_stream_by_default(stream: Stream) -> None:
    await stream.put(3)
    store = gs.MemoryStore()
    result = await read(stream, store, limit=18, source={"subjects": None})
    assert list(result.position) == ["orders.>"]
    assert are_at(store, 2)


async def test_a_reading_that_is_cancelled_leaves_nothing_behind(stream: Stream) -> None:
    """No task of ours or of the client's goes on, whenever it is cancelled."""
    store = gs.MemoryStore()
    await stream.put(50)
    for wait in (0, 0.01, 0.05, 0.2, 0.5):
        before = asyncio.all_tasks()
        task = asyncio.ensure_future(read(stream, store))
        await asyncio.sleep(wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda before=before: asyncio.all_tasks() <= before)  # type: ignore[misc]
    async with reading(stream, store):
        await until(lambda: are_at(store, 49))


@pytest.mark.parametrize(
    ("subjects", "fits"),
    [
        (["a.>", "b.>"], True),
        (["a.*.x", "a.*.y"], True),
        (["a.b", "a.b.c"], True),
        (["a.>", "a.b"], False),
        (["a.*.x", "a.b.*"], False),
        (["a", "a"], False),
        ([], False),
        ("orders.>", False),
        ([""], False),
    ],
)
def test_subjects_have_no_message_in_common(subjects: Any, fits: bool) -> None:
    """It would be processed twice, in any order."""
    if fits:
        assert checked_subjects(subjects) == tuple(subjects)
    else:
        with pytest.raises(gs.UsageError, match="subjects"):
            checked_subjects(subjects)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(gs.UsageError, match="connect"):
        gs.sources.JetStream("ORDERS", Add, client="nats://")  # type: ignore[arg-type]
    with pytest.raises(gs.UsageError, match="start="):
        gs.sources.JetStream("ORDERS", Add, client=None, start="latest")  # type: ignore[arg-type,call-overload]


async def test_a_message_that_was_lost_on_its_way_is_read_all_the_same(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of its consumer have a hole, so another consumer begins before it."""
    from nats.js import JetStreamContext

    fetch, lost = JetStreamContext.PullSubscription.fetch, []

    async def lossy(self: Any, *arguments: Any, **named: Any) -> Any:
        found = await fetch(self, *arguments, **named)
        if len(found) > 2 and len(lost) < 5:
            lost.append(found.pop(len(lost) % 2))
        return found

    monkeypatch.setattr(JetStreamContext.PullSubscription, "fetch", lossy)
    store = gs.MemoryStore()
    await stream.put(10)
    async with reading(stream, store):
        await until(lambda: are_at(store, 9))
    assert len(lost) == 5
