"""The model that a program comes to: the command `go-state replay`."""

from __future__ import annotations

from typing import Any

from go_state.cli.opened import find_journal, import_program, named, open_store
from go_state.cli.parameters import Db, NameIfSeveral, Schema, Target, Until
from go_state.cli.terminal import show_json
from go_state.core.errors import UsageError
from go_state.history.replay import replay
from go_state.storage.codec.json_codec import JsonCodec
from go_state.storage.codec.program_types import model_type


def replay_journal(
    target: Target,
    db: Db,
    name: NameIfSeveral = "",
    until: Until = None,
    schema: Schema = "go_state",
) -> None:
    """Print the model that a program comes to at a position of its journal, as JSON."""
    program = import_program(target)
    with open_store(db, schema, readonly=True) as store:
        names = store.journal_names()
        if not name and len(names) != 1:
            raise UsageError(f"{store.where} has {named(names)}: say which with --name; `go-state journal list` shows them all")
        model = replay(program, find_journal(store, name or names[0]), until=until)
    show_json(JsonCodec[Any](model_type(program)).encode(model))
