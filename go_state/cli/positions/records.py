"""How far sources were read: the commands below `go-state positions`."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict

from go_state.cli.opened import open_store
from go_state.cli.output import confirm, print_json, print_table
from go_state.cli.parameters import Db, Json, Partition, ProgramName, ProgramOption, Schema, SetPosition, Source, Yes
from go_state.modes.aggregate.positions import PositionInfo, all_positions, positions_of


def list_positions(db: Db, program: ProgramOption = "", as_json_lines: Json = False, schema: Schema = "go_state") -> None:
    """List the positions of sources and partitions: who has claimed each, in which epoch, and when it was saved last."""
    with open_store(db, schema) as store:
        found = positions_of(store, program) if program else all_positions(store)
        if as_json_lines:
            for each in found:
                print_json(asdict(each))
            return
        columns = ("program", "source", "partition", "position", "holder", "epoch", "saved", "ended")
        print_table(columns, (_row(each) for each in found))


def set_position(
    db: Db,
    program: ProgramName,
    source: Source,
    position: SetPosition,
    partition: Partition = None,
    yes: Yes = False,
    schema: Schema = "go_state",
) -> None:
    """Make a source, or a partition of it, be read on after a position: any JSON value, or a text.

    Whoever reads it is fenced, saves nothing more, and goes on from there if it reads partitions. Models stay as they are.
    """
    with open_store(db, schema) as store:
        confirm(
            f"{_named(source, partition)} of {program} is read on after {position}, by whoever has it; models stay as they are",
            yes=yes,
        )
        print_json(asdict(positions_of(store, program).set(source, partition, _position(position))))


def reset_position(
    db: Db, program: ProgramName, source: Source, partition: Partition = None, yes: Yes = False, schema: Schema = "go_state"
) -> None:
    """Make a source, or a partition of it, be read from its beginning; whoever reads it is fenced. Models stay as they are."""
    with open_store(db, schema) as store:
        confirm(
            f"{_named(source, partition)} of {program} is read from its beginning, and counts again in models that have it",
            yes=yes,
        )
        print_json(asdict(positions_of(store, program).reset(source, partition)))


def _position(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _named(source: str, partition: str | None) -> str:
    return source if partition is None else f"{source}/{partition}"


def _row(info: PositionInfo) -> tuple[object, ...]:
    saved = datetime.datetime.fromtimestamp(info.saved_at, datetime.UTC).isoformat(timespec="seconds") if info.saved_at else ""
    partition = "" if info.partition is None else info.partition
    position = "" if info.position is None else json.dumps(info.position)
    return info.program, info.source, partition, position, info.holder, info.epoch, saved, "ended" if info.ended else ""
