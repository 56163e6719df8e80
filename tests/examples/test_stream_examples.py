"""The workers of the examples read real streams, and hand over when they are asked to end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kinesis_server import KinesisServer, kinesis_server
from nats_server import NatsServer, nats_server

__all__ = ["kinesis_server", "nats_server"]

EXAMPLES = Path(__file__).parents[2] / "examples"
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


def lines(example: str, arguments: list[str], **env: str) -> Iterator[str]:
    """Give what the example prints; once nothing more is wanted, ask it to end, and see to it that it ends well."""
    process = subprocess.Popen(
        [sys.executable, EXAMPLES / example, *arguments], env={**os.environ, **env}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:  # noqa: UP028  - `yield from` would close the pipe
            yield line
    finally:
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read().splitlines()
        process.stdout.close()
        assert process.wait(60) == 0
        assert rest[-1].endswith("processed, stopped")


def read_until(printed: Iterator[str], wanted: set[str]) -> None:
    for line in printed:
        wanted.discard(line.rstrip())
        if not wanted:
            break
    printed.close()  # type: ignore[attr-defined]
    assert not wanted


@pytest.mark.processes
def test_the_kinesis_worker_counts_sales(kinesis_server: KinesisServer, tmp_path: Path) -> None:
    kinesis_server.create("sales", 2)
    for shop in ("north", "south", "north"):
        data = b'{"shop": "%s", "cents": 250}' % shop.encode()
        kinesis_server.client().put_record(StreamName="sales", PartitionKey=shop, Data=data)
    arguments = ["sales", str(tmp_path / "s")]
    read_until(
        lines("17_kinesis.py", arguments, AWS_ENDPOINT_URL=kinesis_server.url, **AWS),
        {"north: 2 sales, 5.00", "south: 1 sales, 2.50"},
    )


@pytest.mark.processes
def test_the_jetstream_worker_counts_sales(nats_server: NatsServer, tmp_path: Path) -> None:
    async def put() -> None:
        import nats
        from nats.js.api import StreamConfig, SubjectTransform

        client = await nats.connect(nats_server.url)
        stream = client.jetstream()
        transform = SubjectTransform(src="sales.*", dest="sales.{{partition(8,1)}}.{{wildcard(1)}}")
        await stream.add_stream(StreamConfig(name="SALES", subjects=["sales.*"], subject_transform=transform))
        for shop in ("north", "south", "north"):
            await stream.publish(f"sales.{shop}", b'{"shop": "%s", "cents": 250}' % shop.encode())
        await client.close()

    asyncio.run(put())
    read_until(
        lines("18_jetstream.py", [nats_server.url, str(tmp_path / "s")]), {"north: 2 sales, 5.00", "south: 1 sales, 2.50"}
    )


@pytest.mark.slow
@pytest.mark.processes
def test_ray_works_on_all_parts_though_each_dies_once(tmp_path: Path) -> None:
    """Every sale is counted once: what a process had not saved when it died is read again by the one in its place."""
    ended = subprocess.run([sys.executable, EXAMPLES / "19_ray.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [line for line in ended.stdout.splitlines() if "raylet" not in line] == [
        "parts done: [0, 1, 2, 3]",
        "sales of each of the 40 shops: 500",
        "cents of all: 199990000 of 199990000",
    ]
