"""Be the function of one shard: `lambda_worker.py STORE SHARD SEED`. Some answers are lost, and one record is poison."""

import random
import sys
from typing import Any

from lambda_events import EventSource
from tallies import TALLY, Add, encoded, key_of, open_store

import go_state as gs


def main(where: str, shard: str, seed: int) -> None:
    chance = random.Random(seed)
    records = [encoded(f"{shard}-k{k}", n) for n in range(30) for k in range(5)]
    with open_store(where) as store:

        def handler(event: Any) -> Any:
            source = gs.sources.KinesisEvent(event, Add)
            on_error: Any = gs.Halt() if chance.random() < 0.8 else gs.SetAside()
            return source.answer(gs.aggregate(TALLY, source, store=store, key=key_of, on_error=on_error))

        bad = [*records[:77], b"{", *records[77:]]
        print("ready", flush=True)  # noqa: T201
        EventSource(shard, bad, handler).deliver(25, lambda: chance.random() < 0.3)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
