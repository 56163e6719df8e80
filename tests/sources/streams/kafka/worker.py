"""A worker as a process of its own: `python worker.py servers topic group store protocol [member]`. It ends at SIGTERM.

The store is an LMDB file, or a Postgres if it begins with "host=" or "postgres", or, if it begins with "copies:", one file for each partition
on this worker alone, which counts as a machine of its own, with copies in the folder that is named. For each message a command is performed, which
appends its effect id to `commands/<process>` beside the LMDB file or in the folder of GO_STATE_COMMANDS, if that is set.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any

from sources.streams.kafka.support import QUICK, Add, Tally, key_of, tally, update

import go_state as gs


def noting(folder: Path) -> gs.Program[Tally, Add]:
    """Return the program with a command for each message, which notes its id."""
    out = (folder / str(os.getpid())).open("ab", buffering=0)

    def note() -> None:
        out.write(f"{gs.effect_id()}\n".encode())

    def updated(model: Tally, msg: Add) -> gs.Step[Tally, Add]:
        return update(model, msg)[0], (gs.Cmd.call(note),)

    return gs.Program(tally.init, updated, name="tally")


def opened(where: str) -> Any:
    """Return the store."""
    if where.startswith("copies:"):
        copies = Path(where.removeprefix("copies:"))
        return gs.CopiedStore(
            copies.with_name(f"machine-{os.getpid()}"), copies, every=0.3, grown="pass"
        )  # keys stay where they are
    return gs.PostgresStore(where) if "=" in where or where.startswith("postgres") else gs.LMDBStore(where)


def main() -> None:
    servers, topic, group, where, protocol, *rest = sys.argv[1:]
    logging.basicConfig(format=f"%(asctime)s {os.getpid()} %(message)s", level=os.environ.get("GO_STATE_LOG", "ERROR"))
    settings = {**({} if protocol == "consumer" else QUICK), "topic.metadata.refresh.interval.ms": 2000}
    folder = os.environ.get("GO_STATE_COMMANDS")
    program = tally if folder is None else noting(Path(folder))
    seconds = float(os.environ.get("GO_STATE_SAVE_EVERY", "0.5"))
    with opened(where) as store, gs.signals() as stop:
        source = gs.sources.Kafka(
            topic, Add, group=group, servers=servers, protocol=protocol, member=rest[0] if rest else None, settings=settings
        )
        gs.aggregate(program, source, store=store, key=key_of, snapshots=gs.Snapshots(seconds=seconds), stop=stop)


if __name__ == "__main__":
    main()
