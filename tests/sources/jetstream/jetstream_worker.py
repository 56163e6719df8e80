"""Read a stream's subjects until it is told to stop: `jetstream_worker.py URL STREAM STORE SUBJECTS`. It prints when it begins."""

import asyncio
import sys

from tallies import TALLY, Add, key_of, open_store

import go_state as gs


async def main(url: str, stream: str, where: str, subjects: str) -> None:
    import nats

    client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=_quiet)
    names = [f"{stream}.{n}.>" for n in range(int(subjects))]
    source = gs.sources.JetStream(stream, Add, client=client, subjects=names, share=gs.Leases(seconds=2))
    with open_store(where) as store, gs.signals() as stop:
        print("ready", flush=True)  # noqa: T201
        await gs.aggregate_async(TALLY, source, store=store, key=key_of, snapshots=gs.Snapshots(seconds=0.2), stop=stop)
    await client.close()


async def _quiet(error: Exception) -> None:
    """Say nothing of a server that is started again."""


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
