"""JSON without types, as migrations take and return it."""

from __future__ import annotations

import math

import msgspec

from go_state.core.migrations import FailedMigrationError, Json
from go_state.storage.codec.depth import with_room


def from_json(data: bytes) -> Json:
    """Return what the JSON holds."""
    return with_room(msgspec.json.decode, data)


def to_json(value: Json, schema: int) -> bytes:
    """Return the JSON of what the migration to the schema has returned; `FailedMigrationError` if JSON cannot hold it."""
    advice = "return dicts, lists, strings and numbers"
    try:
        data = with_room(msgspec.json.encode, value)
    except (TypeError, ValueError, RecursionError) as error:
        raise FailedMigrationError(schema - 1, f"made what JSON cannot hold ({type(error).__name__}): {advice}") from error
    if b"null" in data and with_room(_has_nan, value):
        raise FailedMigrationError(schema - 1, f"made a NaN or an infinity, which JSON cannot hold: {advice}")
    return data


def _has_nan(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_has_nan, value.values())) or any(map(_has_nan, value))
    return isinstance(value, (list, tuple)) and any(map(_has_nan, value))
