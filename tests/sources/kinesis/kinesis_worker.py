"""Read a stream until it is told to stop: `kinesis_worker.py URL STREAM STORE`. It prints when it begins, and what it cannot go on with."""

import sys

from tallies import TALLY, Add, key_of, open_store

import go_state as gs


def main(url: str, stream: str, where: str) -> None:
    import boto3

    client = boto3.client(
        "kinesis", region_name="us-east-1", endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test"
    )
    source = gs.sources.Kinesis(stream, Add, client=client, share=gs.Leases(seconds=2))
    with open_store(where) as store, gs.signals() as stop:
        print("ready", flush=True)  # noqa: T201
        gs.aggregate(TALLY, source, store=store, key=key_of, snapshots=gs.Snapshots(seconds=0.2), stop=stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
