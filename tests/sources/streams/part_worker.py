"""Process one part of a file of messages into a store: `part_worker.py FILE STORE N OF`; each message takes a moment."""

import sys
import time

from tallies import TALLY, Add, key_of, open_store

import go_state as gs


def slow_key(msg: Add) -> str:
    time.sleep(0.0005)
    return key_of(msg)


def main(file: str, where: str, n: int, of: int) -> None:
    with open_store(where) as store:
        adds = gs.sources.part(gs.sources.JSONLines(file, Add), n, of=of, key=key_of)
        print("ready", flush=True)  # noqa: T201
        gs.aggregate(TALLY, adds, store=store, key=slow_key, snapshots=gs.Snapshots(every=20))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
