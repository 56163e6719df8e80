"""JSON without types, as migrations get it and give it back."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from go_state.core.migrations import FailedMigrationError
from go_state.storage.codec.depth import with_room


def from_json(data: bytes) -> Any:
    """Return what the JSON holds: dicts, lists, strings, numbers, booleans and None."""
    return with_room(msgspec.json.decode, data)


def to_json(value: Any, schema: int) -> bytes:
    """Return the JSON of what the migration to the schema has made; `FailedMigrationError` when it is none."""
    advice = "return dicts, lists, strings and numbers"
    try:
        data = with_room(msgspec.json.encode, value)
    except (TypeError, ValueError, RecursionError) as error:
        raise FailedMigrationError(schema - 1, f"made what JSON cannot hold ({type(error).__name__}): {advice}") from error
    if b"null" in data and with_room(_has_nan, value):
        raise FailedMigrationError(schema - 1, f"made a NaN or an infinity, which JSON cannot hold: {advice}")
    return data


def _has_nan(value: Any) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_has_nan, value.values())) or any(map(_has_nan, value))
    return isinstance(value, (list, tuple)) and any(map(_has_nan, value))
