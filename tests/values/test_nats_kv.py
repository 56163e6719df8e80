"""What only NATS has: buckets that go, a client that keeps what it could not send, keys and payloads with limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from nats_server import NatsServer

import go_state as gs

pytestmark = pytest.mark.processes


async def _ignore(error: Exception) -> None:
    """A lost connection is what these tests are about."""


@asynccontextmanager
async def connected(server: NatsServer) -> AsyncIterator[Any]:
    import nats

    client = await nats.connect(server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, error_cb=_ignore)
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def opened(server: NatsServer, bucket: str, look: float = 0.2) -> AsyncIterator[tuple[Any, gs.values.NatsKV]]:
    async with connected(server) as client, gs.values.NatsKV(client, bucket, look=look) as values:
        yield client, values


async def test_a_bucket_that_was_made_again_shows_nothing_old(nats_server: NatsServer) -> None:
    async with opened(nats_server, "remade") as (client, values):
        value = values.value("limits", int)
        for number in range(5):
            await value.set_async(number)
        async with value.watch() as watcher:
            assert await watcher.get_async(10) == 4
            stream = client.jetstream()
            await stream.delete_key_value("remade")
            with pytest.raises(gs.errors.StoreUnavailable):  # not known: our own watch hears it, and no stream
                await value.set_async(5)
            await stream.create_key_value(bucket="remade")
            with pytest.raises(gs.errors.SourceChanged):
                await watcher.get_async(10)
        with pytest.raises(gs.errors.SourceChanged):
            value.peek()
        again = values.value("limits", int)
        await again.set_async(1)
        assert again.peek() == 1


async def test_a_key_whose_time_is_over_is_unset(nats_server: NatsServer) -> None:
    """It was the last one set, and nothing is published when it goes."""
    async with connected(nats_server) as client:
        await client.jetstream().create_key_value(bucket="fleeting", ttl=0.5)
        async with gs.values.NatsKV(client, "fleeting", look=0.1) as values:
            value = values.value("leader", str)
            await value.set_async("ann")
            async with asyncio.timeout(20):
                while value.peek("") == "ann":  # noqa: ASYNC110  the copy changes without telling watchers, who wait for a value
                    await asyncio.sleep(0.02)
            await value.set_async("bob")
            assert value.peek() == "bob"


async def test_what_could_not_be_written_is_not_written_later() -> None:
    """The client would keep what it cannot send, and send it when it is connected again."""
    server = NatsServer()
    server.start()
    try:
        async with opened(server, "config") as (client, values):
            value = values.value("limits", int)
            await value.set_async(1)
            async with value.connected.watch() as watcher:
                server.stop()
                await watcher.get_async(10, where=lambda yes: not yes)
                while client.is_connected:  # noqa: ASYNC110  it has no event for it
                    await asyncio.sleep(0)
                with pytest.raises(gs.errors.StoreUnavailable, match="nothing was written"):
                    await value.set_async(2)
                with pytest.raises(gs.errors.StoreUnavailable, match="nothing was written"):
                    await value.delete_async()
                server.start()
                async with asyncio.timeout(20):
                    while True:
                        await watcher.get_async(where=lambda yes: yes)
                        try:
                            assert await value.update_async(lambda number: number) == 1
                            break
                        except gs.errors.StoreUnavailable:  # on a busy machine a server may hang up on a client once more
                            await watcher.get_async(where=lambda yes: not yes)
    finally:
        server.remove()


async def test_a_set_is_not_hidden_by_a_delete_that_came_before_it(nats_server: NatsServer) -> None:
    """The answer to a delete comes late: by then the key was set by somebody else."""
    async with opened(nats_server, "late", look=60) as (client, values), opened(nats_server, "late", look=60) as (_, others):
        bucket = await client.jetstream().key_value("late")
        for number in range(30):
            mine, theirs = values.value(f"key-{number}", int), others.value(f"key-{number}", int)
            await mine.set_async(0)
            await asyncio.gather(mine.delete_async(), *[theirs.set_async(n) for n in range(1, 6)])
            with suppress(bucket_errors()):
                there = int((await bucket.get(f"key-{number}")).value)
                async with mine.watch() as watcher:
                    assert await watcher.get_async(10, where=lambda known: known == there) == there  # noqa: B023


def bucket_errors() -> type[Exception]:
    from nats.js.errors import KeyNotFoundError

    return KeyNotFoundError


async def test_a_value_that_is_too_large_is_refused(nats_server: NatsServer) -> None:
    async with connected(nats_server) as client:
        await client.jetstream().create_key_value(bucket="small", max_value_size=1000)
        for bucket, size in (("small", 2000), ("large", 10_000_000)):
            async with gs.values.NatsKV(client, bucket) as values:
                value = values.value("text", str)
                await value.set_async("short")
                with pytest.raises(gs.errors.UsageError):
                    await value.set_async("x" * size)
                assert await value.update_async(lambda text: text + "er") == "shorter"


@pytest.mark.parametrize("key", ["", "a b", "ü", "a..b", ".a", "a.", "a*", ">", "a\nb", "$x", "x" * 5000, 1, "\ud800"])
async def test_a_key_that_no_bucket_has_is_refused_before_anything_is_sent(nats_server: NatsServer, key: Any) -> None:
    async with opened(nats_server, "keys") as (client, values):
        sent = client.stats["out_msgs"]
        with pytest.raises(gs.errors.UsageError, match="a key of a bucket"):
            values.value(key, int)
        assert client.stats["out_msgs"] == sent


@pytest.mark.parametrize("key", ["a", "a.b.c", "-/_=", "A1", "x" * 1024])
async def test_keys_that_a_bucket_has(nats_server: NatsServer, key: str) -> None:
    async with opened(nats_server, "keys") as (_, values):
        await values.value(key, int).set_async(1)
        assert await values.value(key, int).update_async(lambda number: number + 1) == 2


@pytest.mark.parametrize("bucket", ["", "a b", "a.b", "ü", 1, "*"])
def test_a_bucket_s_name_is_checked(bucket: Any) -> None:
    with pytest.raises(gs.errors.UsageError, match="bucket"):
        gs.values.NatsKV(None, bucket)


async def test_a_client_that_is_closed_says_so(nats_server: NatsServer) -> None:
    async with connected(nats_server) as client:
        bucket = gs.values.NatsKV(client, "closed")
    with pytest.raises(gs.errors.StoreUnavailable, match="not connected"):
        async with bucket:
            pass


async def test_a_value_that_is_asked_for_last_leaves_no_task(nats_server: NatsServer) -> None:
    async with connected(nats_server) as client:
        async with gs.values.NatsKV(client, "last") as values:
            before = asyncio.all_tasks()
            value = values.value("limits", int)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() <= before
        assert value.closed


@pytest.mark.parametrize("data", [b"\xff", b"[" * 100_000, b"nan", b'"text"', b""], ids=len)
async def test_what_others_have_written_is_raised_to_who_reads(nats_server: NatsServer, data: bytes) -> None:
    async with opened(nats_server, "hostile") as (client, values):
        await client.jetstream().publish("$KV.hostile.key", data)
        value = values.value("key", int)
        async with value.watch() as watcher:
            with pytest.raises(gs.errors.Incompatible):
                await watcher.get_async(10, where=lambda number: number != 5)
        await value.set_async(5)
        assert value.peek() == 5
