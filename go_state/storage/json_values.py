"""JSON without types, as migrations get it and give it back."""

from __future__ import annotations

from typing import Any

import msgspec

from go_state.core.migrations import FailedMigrationError
from go_state.storage.depth import with_room


def from_json(data: bytes) -> Any:
    """Return what the JSON holds: dicts, lists, strings, numbers, booleans and None."""
    return with_room(msgspec.json.decode, data)


def to_json(value: Any, schema: int) -> bytes:
    """Return the JSON of what the migration to the schema has made; `FailedMigrationError` when it is none."""
    try:
        return with_room(msgspec.json.encode, value)
    except (TypeError, ValueError, RecursionError) as error:
        why = f"made what JSON cannot hold ({type(error).__name__}): return dicts, lists, strings and numbers"
        raise FailedMigrationError(schema - 1, why) from error
